"""What members do: request music, stop it, cancel it, have it posted again."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bot.admission import Admission
from bot.engine.cards import Ability, ModelCard, card
from bot.errors import Refusal
from bot.logs import change
from bot.rules import bounds, visibility
from bot.tables import grants, interactions, jobs, ledger, posts, takes
from bot.tables.database import Database, Reader, Transaction
from bot.values import NOBODY, Job, Origin, Presence, Request, Status, Viewer, Wish

log = logging.getLogger(__name__)


class Studio:
    """The domain behind the commands; every change of state is one transaction.

    `cards` are those of the models that there are, the usual one first.

    It rings `work` when there is something for the dispatcher and `news` when there is something to
    tell the members.
    """

    def __init__(
        self,
        database: Database,
        admission: Admission,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        news: asyncio.Event,
        cards: tuple[ModelCard, ...],
        max_seconds: int,
    ) -> None:
        self.cards = cards
        self.models = tuple(each.name for each in cards)
        self.max_seconds = max_seconds
        self._database = database
        self._folder = folder
        self._clock = clock
        self._work = work
        self._news = news
        self._admission = admission

    def ask(self, wish: Wish) -> Request:
        """Return the request that a wish comes to; raise Refusal outside what anybody may have."""
        seed = secrets.randbelow(2**31)
        return bounds.ask(wish, models=self.cards, max_seconds=self.max_seconds, seed=seed)

    async def submit(self, origin: Origin, wish: Wish, presence: Presence = NOBODY) -> Job:
        """Queue what is wished for and reserve what it costs; raise Refusal if it is not allowed.

        Discord may deliver an interaction twice: what it queued is not queued once more.
        """
        request = self.ask(wish)
        now, interaction = self._clock(), origin.interaction_id
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
        # Not before it is committed: a dispatcher that looks too early does not look again.
        self._work.set()
        return job

    async def stop(self, number: int, viewer: Viewer) -> Job:
        """Let a waiting or running job end with the music made so far, or raise Refusal."""
        async with self._database.transaction() as tx:
            job = await self._open(tx, number, "stop", viewer)
            _require_early_end(job)
            await self._stop(tx, job)
        change(log, job, "stopping", by=str(viewer.user))
        self._work.set()
        self._news.set()
        return job

    async def post_again(
        self, number: int, presence: Presence, viewer: Viewer, *, interaction: int | None = None
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
            lost = not all((self._folder / (take.audio or "")).exists() for take in made)
            if lost or not await jobs.wanted_again(tx, number):
                raise Refusal(f"The music of #{number} is no longer kept.")
            # What there is of it, which is less than was asked for if it was stopped.
            now, price = self._clock(), sum(take.added or 0 for take in made)
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
                await jobs.cancelled(tx, number, self._clock())
                await ledger.returned(tx, number, self._clock())
                # A preview that is still owed would be posted of music that was refunded.
                await posts.superfluous(tx, number, self._clock())
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

    async def _job(self, reader: Reader, number: int) -> Job:
        job = await jobs.find(reader, number)
        if job is None:
            raise Refusal(f"There is no piece #{number}.")
        return job

    async def _open(self, tx: Transaction, number: int, verb: str, viewer: Viewer) -> Job:
        """Return a waiting or running job that a member may do this to, or raise Refusal."""
        job = visibility.theirs(await jobs.find(tx, number), number, viewer, verb)
        if job.status not in (Status.QUEUED, Status.RUNNING):
            raise Refusal(f"#{number} is already {job.status}.")
        return job

    async def _stop(self, tx: Transaction, job: Job) -> None:
        if not await jobs.stopped(tx, job.id):
            raise Refusal(f"#{job.id} is already stopping: what is done so far will be posted.")


def _require_early_end(job: Job) -> None:
    """Raise Refusal for a piece of which nothing can be heard before all of it is made."""
    known = card(job.request.model)
    if Ability.STOP_EARLY not in known.abilities:
        raise Refusal(
            f"#{job.id} cannot end early: {known.label} makes all of a piece at once. Cancel it "
            "instead; what is cancelled is refunded."
        )
