"""Everything a cog may ask: submit, cancel, where a job stands, and what is owed to whom."""

import asyncio
import logging
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from bot import (
    grants,
    jobs,
    ledger,
    members,
    posts,
    servers,
    settings,
    speeds,
    takes,
    tiers,
    turns,
    uploads,
)
from bot.admission import Admission
from bot.database import Database, Transaction
from bot.errors import Refusal
from bot.logs import change
from bot.models import (
    EngineState,
    Job,
    Membership,
    Notice,
    Offer,
    Origin,
    Owed,
    Post,
    PostKind,
    Presence,
    Request,
    Route,
    Standing,
    Status,
    Style,
    Take,
    Usage,
)

log = logging.getLogger(__name__)

TOKEN_LIFE = timedelta(minutes=14)
"""How long an interaction's token is relied upon; Discord gives it 15 minutes."""

FLOOR = 200_000_000
"""Bytes of free disk below which nothing more is accepted; an hour of music in mono is 230 MB."""

LONGEST_PAUSE = timedelta(minutes=5)

LIMITS_REMEMBERED = timedelta(days=1)
"""How long it is believed that a file or a piece is too large: boosts and hardware change."""

LOOKAHEAD = turns.LOOKAHEAD

WHOLE = 100
"""A post's part is this times the number of a take that it holds by itself."""

PARTS = 4
"""How many parts a take is cut into that is too large by itself."""

DRAINING = "it is about to be started again"

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
    ) -> None:
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
        presence: Presence = NOBODY,
        *,
        prompt: str,
        seconds: int,
        takes: int = 1,
        model: str | None = None,
        seed: int | None = None,
        style: Style = tiers.PLAIN,
        edited_from: int | None = None,
    ) -> Job:
        """Queue a request and reserve what it costs; raise Refusal if it is not allowed."""
        request = tiers.ask(
            prompt,
            seconds=seconds,
            takes=takes,
            model=self._loaded(model),
            seed=secrets.randbelow(2**31) if seed is None else seed,
            max_seconds=self.max_seconds,
            style=style,
        )
        return await self._submit(origin, presence, replace(request, edited_from=edited_from))

    async def extend(
        self, origin: Origin, presence: Presence, number: int, take: int, seconds: int
    ) -> Job:
        """Queue a piece that goes on from a take's music; raise Refusal if it is not allowed."""
        job, kept = await self._kept(number, take, origin.guild_id)
        if kept.codes is None or not self.path(kept.codes).exists():
            raise Refusal(f"The codes of #{number} are gone, so it cannot go on.")
        assert kept.seconds is not None
        request = replace(
            job.request,
            seconds=seconds,
            takes=1,
            model=self._loaded(job.request.model),
            seed=secrets.randbelow(2**31),
            parent_take=kept.id,
            before=kept.seconds,
            edited_from=None,
        )
        return await self._submit(origin, presence, request)

    async def stop(self, number: int, *, guild: int, user: int, manager: bool) -> Job:
        """Let a running job end with the music that exists, or raise Refusal."""
        async with self._database.transaction() as tx:
            job = await self._cancellable(tx, number, guild, user, manager)
            if not await jobs.stopped(tx, number):
                raise Refusal(f"#{number} is ending already.")
        change(log, job, "stopping", by=str(user))
        self._work.set()
        return job

    async def post_again(self, number: int, presence: Presence, *, guild: int, user: int) -> Job:
        """Charge a piece that could not be posted again and owe it anew, or raise Refusal."""
        async with self._database.transaction() as tx:
            job = await jobs.find(tx, number)
            if job is None or (job.origin.guild_id, job.origin.user_id) != (guild, user):
                raise Refusal(f"Only the member who asked for #{number} may have it posted again.")
            if not await jobs.wanted_again(tx, number):
                raise Refusal(f"#{number} is {job.status}, so there is nothing to post again.")
            now = self.now()
            promise = await self._admission.admit_again(tx, job, presence, now)
            await ledger.charged_again(tx, number, promise, tiers.day(now), now)
            await posts.wanted_again(tx, number, now)
        change(log, job, "wanted again")
        self._news.set()
        return await self.job(number)

    async def cancel(self, number: int, *, guild: int, user: int, manager: bool) -> Job:
        """Cancel a waiting or running job and give its seconds back, or raise Refusal."""
        async with self._database.transaction() as tx:
            job = await self._cancellable(tx, number, guild, user, manager)
            await jobs.cancelled(tx, number, self.now())
            await ledger.returned(tx, number, self.now())
            await posts.superfluous(tx, number, self.now())
        change(log, job, "cancelled", by=str(user))
        self._work.set()
        self._news.set()
        return job

    async def job(self, number: int) -> Job:
        """Return the job with this number; raise Refusal if there is none."""
        job = await jobs.find(self._database, number)
        if job is None:
            raise Refusal(f"There is no piece #{number}.")
        return job

    async def repeatable(self, number: int, *, guild: int) -> Request:
        """Return what a piece of this server was made from; raise Refusal if there is none."""
        return (await self._here(number, guild)).request

    async def takes(self, number: int, *, guild: int) -> tuple[Job, tuple[Take, ...]]:
        """Return a piece of this server that was made, and its takes; raise Refusal for others."""
        job = await self._here(number, guild)
        found = tuple(await takes.of(self._database, number))
        if job.deleted or not any(take.audio for take in found):
            raise Refusal(f"The music of #{number} is not kept any more.")
        return job, found

    async def parent(self, request: Request) -> Take | None:
        """Return the take that a request goes on from."""
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

    async def piece(
        self, number: int, *, guild: int, user: int, manager: bool
    ) -> tuple[Job, tuple[Take, ...], Post | None]:
        """Return a piece of this server, its takes and its post; raise Refusal if there is none.

        What was not delivered is shown to its owner and to managers only.
        """
        job = await jobs.find(self._database, number)
        hidden = job and job.status is not Status.DELIVERED and user != job.origin.user_id
        absent = job is None or job.origin.guild_id != guild or job.forgotten
        if job is None or absent or (hidden and not manager):
            raise Refusal(f"There is no piece #{number} here.")
        return job, tuple(await takes.of(self._database, number)), await self.result(job)

    async def standing(self, job: Job) -> Standing:
        """Return a waiting or running job's place and, where speeds are known, its expected end."""
        return (await self.standings([job]))[0]

    async def standings(self, found: Sequence[Job]) -> list[Standing]:
        """Return where these waiting and running jobs stand."""
        expected = await turns.expected(self._database, self.now())
        engine = EngineState(await settings.get(self._database, "engine") or "loading")
        paused = await settings.get(self._database, "paused")
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

    async def queue(self, guild: int | None, page: int, size: int) -> tuple[list[Standing], int]:
        """Return a page of a server's jobs, or of all servers', in the order of their start.

        And how many there are in all.
        """
        order = {
            number: i for i, number in enumerate(await turns.expected(self._database, self.now()))
        }
        found = await jobs.open_ones(self._database, guild)
        found.sort(key=lambda job: (order.get(job.id, len(order)), job.id))
        return await self.standings(found[page * size : (page + 1) * size]), len(found)

    async def cancellable(self, guild: int, user: int, *, manager: bool) -> list[Job]:
        """Return the running and waiting jobs of a server that a member may cancel."""
        found = await jobs.open_ones(self._database, guild)
        return [job for job in found if manager or job.origin.user_id == user]

    async def usage(self, guild: int, user: int, presence: Presence = NOBODY) -> Usage:
        """Return where a member stands: tier, what is left today, jobs and the ledger."""
        async with self._database.transaction() as tx:
            now = self.now()
            held = await self._admission.membership(tx, guild, user, presence, now)
            used = await self._admission.used(tx, guild, user, held, now)
            return Usage(
                membership=held,
                used=used,
                left=max(0, held.per_day - used),
                resets_at=tiers.resets_at(now),
                grants=tuple(await grants.open_ones(tx, guild, user, now)),
                waiting=tuple(await jobs.waiting(tx, guild, user)),
                running=tuple(await jobs.rendering(tx, guild, user)),
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
        """A server was told that it may not use the studio."""
        async with self._database.transaction() as tx:
            await servers.told(tx, guild, self.now())

    async def to_show(self) -> list[Notice]:
        """Return the status messages that may be out of date, oldest first."""
        return await jobs.to_show(self._database)

    async def status_message(self, job: Job, message: int | None, shown: Status) -> None:
        """Note the message that shows a job's status (None: it is gone) and what it shows."""
        async with self._database.transaction() as tx:
            await jobs.status_message(tx, job.id, message, shown)

    async def owed(self) -> list[Owed]:
        """Return what is due to be told to members, oldest first."""
        return [
            await self._owed(post) for post in await posts.undelivered(self._database, self.now())
        ]

    async def result(self, job: Job) -> Post | None:
        """Return the delivered post that holds a job's music."""
        for post in await posts.of(self._database, job.id):
            if post.kind is PostKind.RESULT and post.delivered_at:
                return post
        return None

    async def previews_to_replace(self) -> list[tuple[Job, Post]]:
        """Return the previews that stand in a channel though their job has ended."""
        found = await posts.previews_to_replace(self._database)
        return [(await self.job(post.job_id), post) for post in found]

    async def replaced(self, post: Post) -> None:
        """A preview's message is gone."""
        async with self._database.transaction() as tx:
            await posts.replaced(tx, post.id, self.now())

    async def trying(self, owed: Owed) -> None:
        """A post is about to be sent."""
        if owed.post.tried_at is None:
            async with self._database.transaction() as tx:
                await posts.tried(tx, owed.post.id, self.now())

    async def delivered(self, owed: Owed, message: int) -> None:
        """Discord accepted a post as this message."""
        async with self._database.transaction() as tx:
            await posts.delivered(tx, owed.post.id, message, self.now())
            await self._settled(tx, owed)
        took = (self.now() - owed.job.created_at).total_seconds()
        what = "delivered" if owed.post.kind is PostKind.RESULT else f"{owed.post.kind} posted"
        change(log, owed.job, what, route=owed.post.route, after=took)
        self._news.set()

    async def refused(self, owed: Owed) -> None:
        """Discord refused a post for good on its route: take the next, or give the seconds back."""
        route = self._next_route(owed)
        async with self._database.transaction() as tx:
            if route:
                place = owed.job.origin.user_id if route is Route.DIRECT else owed.place
                await posts.rerouted(tx, owed.post, route, place)
            else:
                await posts.refused(tx, owed.post.id, self.now())
                await self._settled(tx, owed)
        log.warning("job %d: %s refused, next: %s", owed.job.id, owed.post.route, route)
        self._news.set()

    async def postponed(self, owed: Owed, at_least: float = 0.0, *, holds: bool) -> None:
        """Discord gave no clear answer: repeat the same send after a growing pause.

        It is `at_least` so many seconds. A post that `holds` lets no later one overtake it.
        """
        grown = min(2.0 ** min(owed.post.attempts, 30), LONGEST_PAUSE.total_seconds())
        pause = timedelta(seconds=max(at_least, grown))
        async with self._database.transaction() as tx:
            await posts.postponed(tx, owed.post.id, self.now() + pause, holds=holds)

    async def split(self, owed: Owed) -> bool:
        """Owe a result that is too large in several messages; return False if it is in parts.

        First each take has its own message, then each part of a take.
        """
        made = [take.number for take in owed.takes if take.audio]
        part = owed.post.part
        if part % WHOLE:
            return False
        if part == 0 and len(made) > 1:
            parts = [WHOLE * take for take in made]
        else:
            parts = [(part or WHOLE * made[0]) + number for number in range(1, PARTS + 1)]
        async with self._database.transaction() as tx:
            await posts.split(tx, owed.post, parts, self.now())
        log.info("job %d: too large for one message, owed in %d", owed.job.id, len(parts))
        self._news.set()
        return True

    async def known_too_large(self, owed: Owed, files: int, size: int) -> bool:
        """Whether Discord refused less than these bytes, in so many files, where a post goes."""
        since = self.now() - LIMITS_REMEMBERED
        least = await uploads.refused_bytes(self._database, _limited_by(owed), files, since)
        return least is not None and size >= least

    async def too_large(self, owed: Owed, files: int, size: int) -> None:
        """Discord refused so many files of these bytes in all where a post goes."""
        async with self._database.transaction() as tx:
            await uploads.refused(tx, _limited_by(owed), files, size, self.now())

    async def fitted(self, owed: Owed, files: int, size: int) -> None:
        """Discord took so many files of these bytes in all where a post goes."""
        async with self._database.transaction() as tx:
            await uploads.accepted(tx, _limited_by(owed), files, size)

    def path(self, name: str) -> Path:
        """Return where a take's file lies."""
        return self._folder / name

    async def synced(self, scope: str) -> str | None:
        """Return the digest of the commands last synced to a scope."""
        return await settings.get(self._database, f"commands {scope}")

    async def note_synced(self, scope: str, digest: str) -> None:
        """Remember the digest of the commands synced to a scope."""
        async with self._database.transaction() as tx:
            await settings.put(tx, f"commands {scope}", digest)

    async def _submit(self, origin: Origin, presence: Presence, request: Request) -> Job:
        self._check_disk()
        async with self._database.transaction() as tx:
            job = await self._reserve(tx, origin, presence, request)
        change(log, job, "queued", length=float(request.seconds * request.takes), tier=job.tier)
        self._work.set()
        return job

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < FLOOR:
            log.error("%s: %d MB are free, so no request is accepted", self._folder, free / 1e6)
            raise Refusal(
                "The studio's disk is nearly full, so no music can be accepted now. Whoever runs "
                "this bot has to make room; nothing was queued or charged."
            )

    async def _check_memory(self, tx: Transaction, request: Request) -> None:
        """Raise Refusal for what does not fit by the engine's count, or did not lately."""
        if request.model in (await settings.get(tx, "unfit") or "").split():
            raise Refusal(
                f"The model {request.model} needs more memory than this machine has. Choose a "
                "smaller one; nothing was queued or charged."
            )
        known = await speeds.here(tx, request.model)
        if known is None or known.too_long is None or known.too_long_at is None:
            return
        lately = self.now().timestamp() < known.too_long_at + LIMITS_REMEMBERED.total_seconds()
        if lately and request.length >= known.too_long:
            fits = f"It fits {known.fits:g} s" if known.fits else "Ask for a shorter piece"
            raise Refusal(
                f"The memory of this machine was too small for {known.too_long:g} s with "
                f"{request.model} lately. {fits}; nothing was queued or charged."
            )

    async def _here(self, number: int, guild: int) -> Job:
        """Return a job of this server whose words are known; raise Refusal for others."""
        job = await jobs.find(self._database, number)
        if job is None or job.origin.guild_id != guild or job.forgotten:
            raise Refusal(f"There is no piece #{number} here.")
        return job

    async def _kept(self, number: int, take: int, guild: int) -> tuple[Job, Take]:
        job, found = await self.takes(number, guild=guild)
        for each in found:
            if each.number == take and each.audio:
                return job, each
        raise Refusal(f"#{number} has no take {take}.")

    async def _reserve(
        self, tx: Transaction, origin: Origin, presence: Presence, request: Request
    ) -> Job:
        now = self.now()
        await self._check_memory(tx, request)
        promise = await self._admission.admit(tx, origin, presence, request, now)
        job = await jobs.add(tx, origin, request, promise, tiers.day(now), now)
        await takes.add(tx, job, free=promise.idle)
        await grants.drawn(tx, job.id, promise.draws)
        return job

    def _loaded(self, model: str | None) -> str:
        name = (model or self.models[0]).strip().casefold()
        if name not in self.models:
            raise Refusal(f"That model is unavailable here; loaded: {', '.join(self.models)}.")
        return name

    async def _cancellable(
        self, tx: Transaction, number: int, guild: int, user: int, manager: bool
    ) -> Job:
        job = await jobs.find(tx, number)
        if job is None or job.origin.guild_id != guild:
            raise Refusal(f"There is no piece #{number} here.")
        if job.origin.user_id != user and not manager:
            raise Refusal(f"Only the member who asked for #{number} or a manager may cancel it.")
        if job.status not in (Status.QUEUED, Status.RUNNING):
            raise Refusal(f"#{number} is already {job.status}.")
        return job

    async def _owed(self, post: Post) -> Owed:
        job = await jobs.find(self._database, post.job_id)
        assert job is not None, "a foreign key holds it"
        return Owed(post=post, job=job, takes=tuple(await takes.of(self._database, job.id)))

    def _next_route(self, owed: Owed) -> Route | None:
        alive = self.now() < owed.job.created_at + TOKEN_LIFE
        if owed.post.route is Route.CHANNEL and alive:
            return Route.FOLLOWUP
        if owed.post.kind is PostKind.PREVIEW or owed.post.route is Route.DIRECT:
            return None
        return Route.DIRECT

    async def _settled(self, tx: Transaction, owed: Owed) -> None:
        """End a job all of whose results were posted or refused, and give back what was refused."""
        job, now = owed.job.id, self.now()
        if owed.post.kind is not PostKind.RESULT:
            return
        results = [post for post in await posts.of(tx, job) if post.kind is PostKind.RESULT]
        if not all(post.delivered_at or post.refused for post in results):
            return
        lost = [post for post in results if post.refused]
        if len(lost) == len(results):
            if await jobs.undeliverable(tx, job, now):
                await ledger.returned(tx, job, now)
                why = "every route was refused"
                change(log, owed.job, "is undeliverable", logging.WARNING, because=why)
            return
        await jobs.delivered(tx, job, now)
        for take in {post.part // WHOLE for post in lost}:
            await ledger.take_returned(tx, job, take, now)


def _limited_by(owed: Owed) -> int:
    """Return the server whose limit holds for a post; 0 for direct messages."""
    return 0 if owed.post.route is Route.DIRECT else owed.job.origin.guild_id
