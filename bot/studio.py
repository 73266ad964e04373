"""What the cogs call: submit, cancel, where a job stands, and what a member has left."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bot import queue
from bot.admission import Admission
from bot.errors import Refusal
from bot.logs import change
from bot.queue import Expected
from bot.rules import bounds, days, visibility
from bot.tables import (
    backlog,
    grants,
    interactions,
    jobs,
    ledger,
    members,
    posts,
    removals,
    servers,
    state,
    takes,
)
from bot.tables.database import Database, Reader, Transaction
from bot.values import (
    UNRENDERED,
    Job,
    Membership,
    Notice,
    Offer,
    Origin,
    Parent,
    Post,
    PostKind,
    Presence,
    Request,
    SamplingOptions,
    Standing,
    Status,
    Take,
    TakeState,
    Usage,
    Viewer,
    Wish,
)

log = logging.getLogger(__name__)


DRAINING = "it is about to restart"

NOBODY = Presence()


class Studio:
    """The domain behind the commands; every change of state is one transaction.

    It rings `work` when there is something for the dispatcher and `news` when there is something to
    tell the members.
    """

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        news: asyncio.Event,
        drain: asyncio.Event,
        models: tuple[str, ...],
        max_seconds: int,
        admission: Admission,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ticks = ticks
        """A monotonic clock, in seconds."""
        self.models = models
        self.max_seconds = max_seconds
        self._database = database
        self._folder = folder
        self._clock = clock
        self._work = work
        self._news = news
        self._drain = drain
        self._admission = admission

    def now(self) -> datetime:
        """Return the time, in UTC, that this studio goes by."""
        return self._clock()

    async def submit(
        self,
        origin: Origin,
        wish: Wish,
        presence: Presence = NOBODY,
    ) -> Job:
        """Queue what is wished for and reserve what it costs; raise Refusal if it is not allowed.

        Discord may deliver an interaction twice: what it queued is not queued once more.
        """
        request = bounds.ask(
            wish,
            models=self.models,
            max_seconds=self.max_seconds,
            seed=secrets.randbelow(2**31),
        )
        now, interaction = self.now(), origin.interaction_id
        async with self._database.transaction() as tx:
            if interaction and (before := await interactions.answered(tx, interaction)):
                return await self._job(tx, before)
            promise = await self._admission.admit(
                tx, origin, presence, request, now, or_less=wish.seconds is None
            )
            job = await jobs.add(tx, origin, promise, now)
            await takes.add(tx, job, promise.price)
            await grants.drawn(tx, job.id, promise.draws)
            if interaction:
                await interactions.answer(tx, interaction, job.id)
        change(log, job, "queued", length=float(promise.request.work), tier=job.tier)
        self._work.set()
        return job

    async def again(self, number: int, viewer: Viewer) -> Wish:
        """Return the wish for a piece's like; raise Refusal if they see none.

        One that goes on from another's music goes on from there once more.
        """
        request = (await self._seen(number, viewer)).request
        if request.parent_take is None:
            return _like(request)
        parent = await self.parent(request)
        if parent is None:
            raise Refusal("The piece that this one extends is gone.")
        return await self.extension(parent.job_id, parent.number, request.seconds, viewer)

    async def extension(self, number: int, take: int, seconds: int, viewer: Viewer) -> Wish:
        """Return the wish to extend a take by these seconds; raise Refusal if it has no codes."""
        job, kept = await self._kept(number, take, viewer)
        if kept.codes is None or not self.path(kept.codes).exists():
            raise Refusal(f"#{number} can no longer be extended: its source data is gone.")
        assert kept.seconds is not None
        parent = Parent(take=kept.id, seconds=kept.seconds)
        return replace(_like(job.request), seconds=seconds, takes=1, parent=parent)

    async def stop(self, number: int, viewer: Viewer) -> Job:
        """Let a waiting or running job end with the music made so far, or raise Refusal."""
        async with self._database.transaction() as tx:
            job = await self._open(tx, number, "stop", viewer)
            await self._stop(tx, job)
        change(log, job, "stopping", by=str(viewer.user))
        self._work.set()
        self._news.set()
        return job

    async def post_again(
        self,
        number: int,
        presence: Presence,
        viewer: Viewer,
        *,
        interaction: int | None = None,
    ) -> Job:
        """Charge a piece that could not be posted and owe it once more, or raise Refusal.

        An `interaction` that did so before changes nothing.
        """
        async with self._database.transaction() as tx:
            if interaction and (before := await interactions.answered(tx, interaction)):
                return await self._job(tx, before)
            job = visibility.seen(await jobs.find(tx, number), number, viewer)
            if job.origin.user_id != viewer.user:
                raise Refusal(f"Only the member who requested #{number} can post it again.")
            if job.status is not Status.UNDELIVERABLE:
                raise Refusal(f"#{number} is {job.status}, so there is nothing to post again.")
            made = [take for take in await takes.of(tx, number) if take.audio]
            lost = not all(self.path(take.audio or "").exists() for take in made)
            if lost or not await jobs.wanted_again(tx, number):
                raise Refusal(f"The music of #{number} is no longer kept.")
            now, price = self.now(), sum(take.added or 0 for take in made)
            promise = await self._admission.admit_again(tx, job, price, presence, now)
            await ledger.charged_again(tx, number, promise, now)
            await posts.wanted_again(tx, number, now)
            if interaction:
                await interactions.answer(tx, interaction, number)
        change(log, job, "wanted again")
        self._news.set()
        return await self.job(number)

    async def cancel(self, number: int, viewer: Viewer, *, refund: bool = False) -> Job:
        """Cancel a waiting or running job and refund it, or raise Refusal.

        One whose preview was posted is stopped instead, since that was heard, unless the
        operator wants it refunded.
        """
        async with self._database.transaction() as tx:
            job = await self._open(tx, number, "cancel", viewer)
            if job.heard and not refund:
                await self._stop(tx, job)
            else:
                await jobs.cancelled(tx, number, self.now())
                await ledger.returned(tx, number, self.now())
                await posts.superfluous(tx, number, self.now())
                await takes.erased(tx, [number])
            after = await jobs.find(tx, number)
        assert after
        did = "cancelled" if after.status is Status.CANCELLED else "stopping"
        change(log, after, did, by=str(viewer.user))
        self._work.set()
        self._news.set()
        return after

    async def job(self, number: int) -> Job:
        """Return the job with this number; raise Refusal if there is none."""
        return await self._job(self._database, number)

    async def repeatable(self, number: int, viewer: Viewer) -> Request:
        """Return what a piece was made from; raise Refusal if they see none."""
        return (await self._seen(number, viewer)).request

    async def takes(self, number: int, viewer: Viewer) -> tuple[Job, tuple[Take, ...]]:
        """Return a piece and its available takes; raise Refusal if there are none.

        Everything that hands out music asks here: it was delivered, is kept, and they may see it.
        """
        job = await self._seen(number, viewer)
        if job.status is not Status.DELIVERED:
            raise Refusal(_not_delivered(job))
        had = tuple(
            take
            for take in await takes.of(self._database, number)
            if take.state is TakeState.RENDERED and take.audio
        )
        if job.deleted or not had:
            raise Refusal(f"The music of #{number} is no longer kept.")
        return job, had

    async def parent(self, request: Request) -> Take | None:
        """Return the take that a request extends."""
        if request.parent_take is None:
            return None
        return await takes.find(self._database, request.parent_take)

    async def history(
        self, guild: int, user: int, limit: int, skip: int
    ) -> list[tuple[Job, tuple[Take, ...], Post | None]]:
        """Return a member's pieces, newest first, with takes and delivered post."""
        return [
            (job, tuple(await takes.of(self._database, job.id)), await self.result(job))
            for job in await jobs.history(self._database, guild, user, limit, skip)
        ]

    async def piece(self, number: int, viewer: Viewer) -> tuple[Job, tuple[Take, ...], Post | None]:
        """Return a piece, its takes and its post; raise Refusal if they see none.

        What was not delivered is shown to its owner and to managers only.
        """
        job = await self._seen(number, viewer)
        known = viewer.manager or viewer.user == job.origin.user_id
        if job.status is not Status.DELIVERED and not known:
            raise Refusal(visibility.absent(number))
        return job, tuple(await takes.of(self._database, number)), await self.result(job)

    async def standing(self, job: Job) -> Standing:
        """Return a waiting or running job's place and, where speeds are known, its expected end."""
        return (await self.standings([job.id]))[0]

    async def standings(self, numbers: Sequence[int]) -> list[Standing]:
        """Return jobs as they are now, and where those stand that wait or run."""
        async with self._database.snapshot() as tx:
            found = [job for number in numbers if (job := await jobs.find(tx, number))]
            if any(job.status in UNRENDERED for job in found):
                return await self._standings(tx, found, await queue.expected(tx, self.now()))
            return await self._standings(tx, found, {})

    async def queue(self, guild: int | None, page: int, size: int) -> tuple[list[Standing], int]:
        """Return a page of a server's jobs, or of all servers', in the order of their start.

        And how many there are in all.
        """
        async with self._database.snapshot() as tx:
            expected = await queue.expected(tx, self.now())
            order = {number: i for i, number in enumerate(expected)}
            found = await jobs.open_ones(tx, guild)
            found.sort(key=lambda job: (order.get(job.id, len(order)), job.id))
            shown = found[page * size : (page + 1) * size]
            return await self._standings(tx, shown, expected), len(found)

    async def cancellable(self, guild: int, user: int, *, manager: bool) -> list[Job]:
        """Return the running and waiting jobs of a server that a member may cancel."""
        found = await jobs.open_ones(self._database, guild)
        return [job for job in found if manager or job.origin.user_id == user]

    async def usage(self, guild: int, user: int, presence: Presence = NOBODY) -> Usage:
        """Return where a member stands: tier, what is left today, jobs and the ledger."""
        async with self._database.transaction() as tx:
            now = self.now()
            held = await self._admission.membership(tx, guild, user, presence, now)
            used = await self._admission.used(tx, guild, user, held, days.day(now))
            return Usage(
                membership=held,
                used=used,
                left=max(0, held.per_day - used),
                resets_at=days.resets_at(now),
                grants=tuple(await grants.open_ones(tx, guild, user, now)),
                waiting=tuple(await backlog.of(tx, guild, user)),
                running=tuple(await backlog.rendering(tx, guild, user)),
                ledger=tuple(await ledger.last(tx, guild, user)),
                block=(await members.find(tx, guild, user, now)).block,
            )

    async def membership(self, guild: int, user: int, presence: Presence) -> Membership:
        """Return a member's tier and where it comes from."""
        return await self._admission.membership(self._database, guild, user, presence, self.now())

    async def offers(self, guild: int) -> list[Offer]:
        """Return a server's tiers and how to get each, lowest first."""
        return await self._admission.offers(self._database, guild)

    async def longest(self, guild: int, held: Membership) -> int:
        """Return the seconds of the longest piece that a membership and the operator allow."""
        limits = await self._admission.limits(self._database, guild)
        return min(held.tier.longest, limits.max_seconds, self.max_seconds)

    async def turned_away(self, guild: int) -> bool:
        """Whether a server has yet to be told that it may not use the studio."""
        if (await self._admission.limits(self._database, guild)).allows(guild):
            return False
        return not await servers.was_told(self._database, guild)

    async def told(self, guild: int) -> None:
        """Note that a server was told that it may not use the studio."""
        async with self._database.transaction() as tx:
            await servers.told(tx, guild, self.now())

    async def untold(self) -> bool:
        """Whether a status message does not yet show that its job was rendered or has ended."""
        return any(
            notice.shown is not notice.status and notice.status not in UNRENDERED
            for notice in await self.to_show()
        )

    async def to_show(self) -> list[Notice]:
        """Return the status messages that may be out of date, oldest first."""
        return await jobs.to_show(self._database)

    async def status_message(self, job: Job, message: int | None, shown: Status) -> None:
        """Note the message that shows a job's status (None: it is gone) and what it shows."""
        async with self._database.transaction() as tx:
            await jobs.status_message(tx, job.id, message, shown)
            await removals.add_late(tx, job.id, self.now())

    async def result(self, job: Job) -> Post | None:
        """Return the delivered post that holds a job's music."""
        for post in await posts.of(self._database, job.id):
            if post.kind is PostKind.RESULT and post.delivered_at:
                return post
        return None

    def path(self, name: str) -> Path:
        """Return where a take's file lies."""
        return self._folder / name

    async def synced(self, scope: str) -> str | None:
        """Return the digest of the commands last synced to a scope."""
        return await state.commands(self._database, scope)

    async def note_synced(self, scope: str, digest: str) -> None:
        """Remember the digest of the commands synced to a scope."""
        async with self._database.transaction() as tx:
            await state.note_commands(tx, scope, digest)

    async def _standings(
        self, tx: Transaction, found: Sequence[Job], expected: Mapping[int, Expected]
    ) -> list[Standing]:
        engine = await state.engine(tx)
        paused = await state.paused(tx)
        if self._drain.is_set():
            paused = DRAINING
        return [
            Standing(
                job=job,
                place=at.place if (at := expected.get(job.id)) else None,
                engine=engine,
                ends_at=at.ends_at if at and paused is None else None,
                paused=paused,
            )
            for job in found
        ]

    async def _job(self, reader: Reader, number: int) -> Job:
        job = await jobs.find(reader, number)
        if job is None:
            raise Refusal(f"There is no piece #{number}.")
        return job

    async def _seen(self, number: int, viewer: Viewer) -> Job:
        """Return a job whose words are known; for what they may not see, refuse as for none."""
        job = visibility.seen(await jobs.find(self._database, number), number, viewer)
        if job.forgotten:
            raise Refusal(visibility.absent(number))
        return job

    async def _kept(self, number: int, take: int, viewer: Viewer) -> tuple[Job, Take]:
        job, found = await self.takes(number, viewer)
        for each in found:
            if each.number == take:
                return job, each
        raise Refusal(f"#{number} has no take {take}.")

    async def _open(self, tx: Transaction, number: int, verb: str, viewer: Viewer) -> Job:
        """Return a waiting or running job that a member may do this to, or raise Refusal."""
        job = visibility.theirs(await jobs.find(tx, number), number, viewer, verb)
        if job.status not in (Status.QUEUED, Status.RUNNING):
            raise Refusal(f"#{number} is already {job.status}.")
        return job

    async def _stop(self, tx: Transaction, job: Job) -> None:
        if not await jobs.stopped(tx, job.id):
            raise Refusal(f"#{job.id} is already stopping: what is done so far will be posted.")


def _like(request: Request) -> Wish:
    """Return the wish for what a request was for, but for the seed and where it came from."""
    return Wish(
        prompt=request.prompt,
        seconds=request.seconds,
        takes=request.takes,
        model=request.model,
        style=SamplingOptions(
            guidance=request.guidance, temperature=request.temperature, top_k=request.top_k
        ),
    )


def _not_delivered(job: Job) -> str:
    """Say why a piece has no music to hand out."""
    if job.status is Status.UNDELIVERABLE:
        return (
            f"#{job.id} could not be posted, so it was refunded. **Post again** tries once more "
            "and charges it; once posted, it can be saved and extended."
        )
    if job.status in (Status.FAILED, Status.CANCELLED):
        did = "failed" if job.status is Status.FAILED else "was cancelled"
        return f"#{job.id} {did}, so there is no music."
    return f"#{job.id} is {job.status}: it can be saved and extended once it is posted."
