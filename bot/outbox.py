"""The messages that members are owed: how each is sent, and what becomes of its job."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot import settlement
from bot.logs import change
from bot.tables import interactions, jobs, notices, panels, posts, removals, takes, uploads
from bot.tables.database import Database, Transaction
from bot.values import (
    UNRENDERED,
    Delivered,
    Fault,
    Job,
    Later,
    Notice,
    Outcome,
    Oversized,
    Owed,
    Post,
    PostKind,
    Route,
    Share,
    Status,
    Target,
    Unsent,
    Upload,
    UploadLimits,
)

log = logging.getLogger(__name__)

TOKEN_RELIED_UPON = timedelta(minutes=14)
"""How long we rely on an interaction's token; Discord gives it 15 minutes."""

LONGEST_RETRY_PAUSE = timedelta(minutes=5)
"""The longest pause between tries, unless Discord asks for a longer one."""

UPLOAD_LIMITS_REMEMBERED = timedelta(days=1)
"""How long to believe that a file is too large: a server's limit changes with its boosts."""

POST_TRIES = 10
"""How often to try a post that fails because of a bug: for about nine minutes."""

PARTS_PER_TAKE = 4
"""How many parts to cut a take into that is too large by itself."""

UNSENT_FAULTS: Mapping[Outcome, Fault] = {
    Unsent.BROKEN: Fault.POSTING,
    Unsent.UNREADABLE: Fault.POSTING,
    Unsent.GONE: Fault.GONE,
}
"""Outcomes that are no fault of Discord's but ours."""


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
        """Return the messages that are due, oldest first."""
        due = await posts.undelivered(self._database, self._clock())
        return [await self._owed(post) for post in due]

    async def first(self, busy: Collection[int]) -> list[Owed]:
        """Return what is due first in each place, but in none of these."""
        first: dict[int, Post] = {}
        for post in await posts.undelivered(self._database, self._clock()):
            if post.place not in busy:
                first.setdefault(post.place, post)
        return [await self._owed(post) for post in first.values()]

    async def previews_to_replace(self) -> list[tuple[Job, Post]]:
        """Return the posted previews whose job has ended, or that a later one replaces."""
        found = await posts.previews_to_replace(self._database)
        return [(await self._job(post.job_id), post) for post in found]

    async def replaced(self, post: Post) -> None:
        """Note that a preview's message is gone."""
        await self._database.transact(posts.replaced, post.id, self._clock())

    async def outdated(self) -> list[Owed]:
        """Return the posted results that may show takes which are gone, oldest first."""
        return [await self._owed(post) for post in await posts.outdated(self._database)]

    async def updated(self, post: Post, *, stands: bool) -> None:
        """Note that a result shows what there is, or that its message is gone."""
        await self._database.transact(posts.updated, post.id, stands=stands)

    async def notices(self) -> list[Notice]:
        """Return the status messages that may be out of date, oldest first."""
        return await notices.to_show(self._database)

    async def changed_notices(self) -> list[Notice]:
        """Return those of them that do not show their jobs' status."""
        return await notices.changed(self._database)

    async def shown(self, job: Job, message: int | None, status: Status) -> None:
        """Note the message that shows a job's status (None: it is gone) and what it shows."""
        async with self._database.transaction() as tx:
            await notices.shown(tx, job.id, message, status)
            await removals.add_late(tx, job.id, self._clock())

    async def untold(self) -> bool:
        """Whether a message is due, or a status message does not yet show that its job has ended.

        Music that was rendered counts as an end.
        """
        if await posts.undelivered(self._database, self._clock()):
            return True
        return any(notice.status not in UNRENDERED for notice in await self.changed_notices())

    async def trying(self, owed: Owed) -> Unsent | None:
        """Note that a post is about to be sent; return the reason if it must not be.

        It is no longer wanted, or its interaction has expired.
        """
        now = self._clock()
        if owed.post.route is Route.FOLLOWUP and not _answerable(owed.job, now):
            return Unsent.REFUSED
        async with self._database.transaction() as tx:
            if not await posts.kept(tx, owed.post):
                return Unsent.UNWANTED
            if not await posts.tried(tx, owed.post.id, now):
                return Unsent.UNWANTED
            # Before it is sent: who hears a preview is charged for it, even if we die meanwhile.
            if owed.post.kind is PostKind.PREVIEW:
                await jobs.heard(tx, owed.job.id)
        return None

    async def settle(self, owed: Owed, outcome: Outcome) -> None:
        """Decide what becomes of a post, and of its job, by what came of sending it."""
        async with self._database.transaction() as tx:
            # While it was sent it may have been forgotten, or replaced by another message.
            if not await posts.kept(tx, owed.post):
                return
            await self._decide(tx, owed, outcome)
            await self._settle(tx, owed, UNSENT_FAULTS.get(outcome))
            await removals.add_late(tx, owed.job.id, self._clock())
        if isinstance(outcome, Delivered):
            took = (self._clock() - owed.job.created_at).total_seconds()
            what = "delivered" if owed.post.kind is PostKind.RESULT else f"{owed.post.kind} posted"
            change(log, owed.job, what, route=owed.post.route, after=took)
        else:
            log.warning("job %d: not posted by %s: %s", owed.job.id, owed.post.route, outcome)
        if not isinstance(outcome, Later):
            self._news.set()

    async def _decide(self, tx: Transaction, owed: Owed, outcome: Outcome) -> None:
        now = self._clock()
        match outcome:
            case Delivered(message, upload):
                await posts.delivered(tx, owed.post.id, message, now)
                await panels.passed(tx, owed.post.place)
                if upload:
                    await uploads.accepted(tx, upload)
            case Later(least):
                await posts.postponed(tx, owed.post.id, self.after(owed.post.attempts, least))
            case Oversized(upload, smaller):
                if upload:
                    await uploads.refused(tx, upload, now)
                if smaller:  # the next look then knows that this is too large
                    await posts.untried(tx, owed.post)
                elif not await self._split(tx, owed, _smaller(owed)):
                    await self._refused(tx, owed)
            case Unsent.BROKEN | Unsent.UNREADABLE if owed.post.faults + 1 < POST_TRIES:
                await posts.failed(tx, owed.post.id, self.after(owed.post.faults))
            case Unsent.BROKEN | Unsent.UNREADABLE | Unsent.GONE:
                if not await self._split(tx, owed, _each(owed)):
                    await self._lost(tx, owed)
            case Unsent.REFUSED:
                await self._refused(tx, owed)
            case Unsent.UNWANTED:
                await self._lost(tx, owed)

    def after(self, tries: int, least: float = 0.0) -> datetime:
        """Return when to try again: after a growing pause, of at least `least` seconds."""
        return self._clock() + timedelta(seconds=self.pause(tries, least))

    def pause(self, tries: int, least: float = 0.0) -> float:
        """Return the seconds until the next try, which grow from at least `least`."""
        # 2.0 ** 1024 is an OverflowError, and a post may be tried for weeks.
        grown = min(2.0 ** min(tries, 30), LONGEST_RETRY_PAUSE.total_seconds())
        return min(max(least, grown), posts.LONGEST_POST_PAUSE.total_seconds())

    async def limits(self, target: Target) -> UploadLimits:
        """Return what Discord recently refused there as too large."""
        now = self._clock()
        return await uploads.limits(self._database, target, now - UPLOAD_LIMITS_REMEMBERED, now)

    async def too_large(self, upload: Upload) -> None:
        """Note that Discord refused these files in an answer."""
        await self._database.transact(uploads.refused, upload, self._clock())

    async def fitted(self, upload: Upload) -> None:
        """Note that Discord accepted these files in an answer."""
        await self._database.transact(uploads.accepted, upload)

    async def _job(self, number: int) -> Job:
        job = await jobs.find(self._database, number)
        assert job is not None, "a foreign key holds it"
        return job

    async def _owed(self, post: Post) -> Owed:
        job = await self._job(post.job_id)
        parent = job.request.parent_take
        owed = Owed(
            post=post,
            job=job,
            parent=await takes.find(self._database, parent) if parent else None,
            takes=tuple(await takes.of(self._database, job.id)),
            # Only what was tried may be there already: then it is looked for from here on.
            since=await interactions.first(self._database, job.id) if post.tried_at else None,
        )
        return replace(owed, limits=await self.limits(owed.target))

    async def _split(self, tx: Transaction, owed: Owed, shares: Sequence[Share]) -> bool:
        """Owe a result in these parts instead; return False if there are none."""
        return bool(shares) and await posts.split(tx, owed.post, shares, self._clock())

    async def _refused(self, tx: Transaction, owed: Owed) -> None:
        """Discord refused a post for good on its route: use the next, if there is one."""
        route = self._next_route(owed)
        # A place is where one message waits for another: a member has but one direct channel.
        place = owed.job.origin.user_id if route is Route.DIRECT else owed.post.place
        if not (route and await posts.rerouted(tx, owed.post, route, place)):
            await self._lost(tx, owed)

    async def _lost(self, tx: Transaction, owed: Owed) -> None:
        """A post cannot be sent at all."""
        await posts.refused(tx, owed.post.id, self._clock())
        if owed.post.kind is PostKind.PREVIEW:
            await settlement.unheard(tx, owed.job.id, self._clock())

    def _next_route(self, owed: Owed) -> Route | None:
        if owed.post.route is Route.CHANNEL and _answerable(owed.job, self._clock()):
            return Route.FOLLOWUP
        if owed.post.kind is PostKind.PREVIEW or owed.post.route is Route.DIRECT:
            return None
        return Route.DIRECT

    async def _settle(self, tx: Transaction, owed: Owed, fault: Fault | None) -> None:
        """End the job of a result, if that was the last of its results."""
        job = await jobs.find(tx, owed.job.id)  # it may have been forgotten meanwhile
        if job and owed.post.kind is PostKind.RESULT:
            await settlement.posted(tx, job, self._clock(), fault)


def _answerable(job: Job, now: datetime) -> bool:
    """Whether the interaction that asked for a job can still be answered."""
    return bool(job.origin.token) and now < job.created_at + TOKEN_RELIED_UPON


def _each(owed: Owed) -> list[Share]:
    """Return the shares in which the takes of a message are owed each by itself, if it has several.

    So a fault in one does not lose another.
    """
    if owed.post.kind is not PostKind.RESULT or owed.post.share.take:
        return []
    made = [Share(take.number) for take in owed.takes if take.audio]
    return made if len(made) > 1 else []


def _smaller(owed: Owed) -> list[Share]:
    """Return the smaller shares in which a result is owed that is too large; none of parts."""
    if owed.post.kind is not PostKind.RESULT or owed.post.share.part:
        return []
    take = owed.post.share.take or next(take.number for take in owed.takes if take.audio)
    return _each(owed) or [Share(take, part) for part in range(1, PARTS_PER_TAKE + 1)]
