"""The messages that members are owed: how each goes on its way, and what becomes of its job."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot import jobs, posts, settlement, takes, uploads
from bot.database import Database, Transaction
from bot.logs import change
from bot.models import WHOLE, Job, Owed, Post, PostKind, Route, Target

log = logging.getLogger(__name__)

TOKEN_LIFE = timedelta(minutes=14)
"""How long an interaction's token is relied upon; Discord gives it 15 minutes."""

LONGEST_PAUSE = timedelta(minutes=5)

LIMITS_REMEMBERED = timedelta(days=1)
"""How long it is believed that a file is too large: boosts change."""

PARTS = 4
"""How many parts a take is cut into that is too large by itself."""


class Outbox:
    """What is owed, and every step that a post takes until it is delivered or refused.

    It rings `news` when there is more to tell the members.
    """

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], news: asyncio.Event
    ) -> None:
        self._database = database
        self._clock = clock
        self._news = news

    async def owed(self) -> list[Owed]:
        """Return what is due to be told to members, oldest first."""
        due = await posts.undelivered(self._database, self._clock())
        return [await self._owed(post) for post in due]

    async def previews_to_replace(self) -> list[tuple[Job, Post]]:
        """Return the previews that stand though their job has ended, or a later one stands."""
        found = await posts.previews_to_replace(self._database)
        return [(await self._job(post.job_id), post) for post in found]

    async def replaced(self, post: Post) -> None:
        """A preview's message is gone."""
        async with self._database.transaction() as tx:
            await posts.replaced(tx, post.id, self._clock())

    async def trying(self, owed: Owed) -> bool:
        """A post is about to be sent; return False if it is not wanted any more."""
        async with self._database.transaction() as tx:
            if not await posts.tried(tx, owed.post.id, self._clock()):
                return False
            if owed.post.kind is PostKind.PREVIEW:
                await jobs.heard(tx, owed.job.id)
        return True

    async def delivered(self, owed: Owed, message: int) -> None:
        """Discord accepted a post as this message."""
        async with self._database.transaction() as tx:
            await posts.delivered(tx, owed.post.id, message, self._clock())
            await self._settle(tx, owed)
        took = (self._clock() - owed.job.created_at).total_seconds()
        what = "delivered" if owed.post.kind is PostKind.RESULT else f"{owed.post.kind} posted"
        change(log, owed.job, what, route=owed.post.route, after=took)
        self._news.set()

    async def refused(self, owed: Owed) -> None:
        """Discord refused a post for good on its route: take the next, or give the seconds back."""
        route = self._next_route(owed)
        async with self._database.transaction() as tx:
            place = owed.job.origin.user_id if route is Route.DIRECT else owed.place
            if not (route and await posts.rerouted(tx, owed.post, route, place)):
                await posts.refused(tx, owed.post.id, self._clock())
                if owed.post.kind is PostKind.PREVIEW:
                    await jobs.unheard(tx, owed.job.id)
                await self._settle(tx, owed)
        log.warning("job %d: %s refused, next: %s", owed.job.id, owed.post.route, route)
        self._news.set()

    async def postponed(self, owed: Owed, at_least: float = 0.0, *, holds: bool) -> None:
        """Discord gave no clear answer: repeat the same send after a growing pause.

        It is `at_least` so many seconds. A post that `holds` lets no later one overtake it.
        """
        grown = min(2.0 ** min(owed.post.attempts, 30), LONGEST_PAUSE.total_seconds())
        pause = timedelta(seconds=max(at_least, grown))
        async with self._database.transaction() as tx:
            await posts.postponed(tx, owed.post.id, self._clock() + pause, holds=holds)

    async def split(self, owed: Owed) -> bool:
        """Owe a result that is too large in several messages; return False if that cannot be.

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
            if not await posts.split(tx, owed.post, parts, self._clock()):
                return False
        log.info("job %d: too large for one message, owed in %d", owed.job.id, len(parts))
        self._news.set()
        return True

    async def known_too_large(self, target: Target, sizes: Sequence[int]) -> bool:
        """Whether Discord lately refused files that were no larger than these, in bytes, there."""
        since = self._clock() - LIMITS_REMEMBERED
        least = await uploads.refused_bytes(self._database, target, len(sizes), since)
        return least is not None and max(sizes) >= least

    async def too_large(self, target: Target, sizes: Sequence[int]) -> None:
        """Discord refused files of these bytes there."""
        async with self._database.transaction() as tx:
            await uploads.refused(tx, target, len(sizes), max(sizes), self._clock())

    async def fitted(self, target: Target, sizes: Sequence[int]) -> None:
        """Discord took files of these bytes there."""
        async with self._database.transaction() as tx:
            await uploads.accepted(tx, target, len(sizes), max(sizes))

    async def _job(self, number: int) -> Job:
        job = await jobs.find(self._database, number)
        assert job is not None, "a foreign key holds it"
        return job

    async def _owed(self, post: Post) -> Owed:
        job = await self._job(post.job_id)
        return Owed(post=post, job=job, takes=tuple(await takes.of(self._database, job.id)))

    def _next_route(self, owed: Owed) -> Route | None:
        alive = self._clock() < owed.job.created_at + TOKEN_LIFE
        if owed.post.route is Route.CHANNEL and alive:
            return Route.FOLLOWUP
        if owed.post.kind is PostKind.PREVIEW or owed.post.route is Route.DIRECT:
            return None
        return Route.DIRECT

    async def _settle(self, tx: Transaction, owed: Owed) -> None:
        """End the job of a result, if that was the last of its results."""
        job = await jobs.find(tx, owed.job.id)  # it may have been forgotten meanwhile
        if job and owed.post.kind is PostKind.RESULT:
            await settlement.posted(tx, job, self._clock())
