"""The slow part of erasing: messages at Discord's pace, words and tokens by their age."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from weakref import WeakSet

from bot.retention.calendar import Calendar
from bot.rules.wording import counted
from bot.tables import drafts, erasures, removals
from bot.tables.database import Database
from bot.values import Job, Keep, Removal

log = logging.getLogger(__name__)

TOKEN_LIFE = timedelta(minutes=15)
"""How long Discord accepts answers to an interaction."""

ROWS_PER_TRANSACTION = 200
"""The most rows that one transaction changes, so that others do not wait long for theirs."""

LONGEST_DELETION_PAUSE = timedelta(hours=1)
"""The longest pause before a message is tried again."""


class Receipt:
    """Counts what becomes of the messages about somebody's pieces."""

    def __init__(self) -> None:
        self._asked: frozenset[int] = frozenset()
        self._gone: dict[int, bool] = {}

    def expect(self, messages: frozenset[int]) -> None:
        """Count these messages."""
        self._asked = messages

    def note(self, message: int, *, gone: bool) -> None:
        """Note that a message is gone, or can never be deleted."""
        self._gone[message] = gone

    @property
    def gone(self) -> int:
        """How many of the messages were deleted."""
        return sum(self._gone.get(message, False) for message in self._asked)

    @property
    def left(self) -> int:
        """How many are still to be deleted."""
        return len(self._asked - self._gone.keys())

    @property
    def lost(self) -> int:
        """How many cannot be deleted."""
        return len(self._asked) - self.gone - self.left


class Erasure:
    """What is still to be erased of forgotten members, and what grows too old."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], calendar: Calendar
    ) -> None:
        self._database = database
        self._clock = clock
        self._calendar = calendar
        # Weak: a receipt lives as long as the reply that shows it, and nobody has to hand it back.
        self._receipts: WeakSet[Receipt] = WeakSet()

    def receipt(self) -> Receipt:
        """Return a receipt that is kept up to date for as long as it is referenced."""
        receipt = Receipt()
        self._receipts.add(receipt)
        return receipt

    async def due(self, most: int) -> list[Removal]:
        """Return the messages to delete now, at most `most`."""
        now = self._clock()
        return await removals.due(self._database, now, now + LONGEST_DELETION_PAUSE, most)

    async def left(self) -> int:
        """Return how many messages are still to be deleted."""
        return await removals.count(self._database)

    async def done(self, removal: Removal, *, gone: bool) -> None:
        """Note that a message is gone, or can never be deleted."""
        async with self._database.transaction() as tx:
            await removals.done(tx, removal.message)
        for receipt in self._receipts:
            receipt.note(removal.message, gone=gone)

    async def postponed(self, removal: Removal, at_least: float = 0.0) -> None:
        """Discord gave no clear answer: try again after a growing pause, `at_least` in seconds."""
        grown = min(2.0 ** min(removal.attempts, 30), LONGEST_DELETION_PAUSE.total_seconds())
        pause = min(max(at_least, grown), LONGEST_DELETION_PAUSE.total_seconds())
        due_at = self._clock() + timedelta(seconds=pause)
        async with self._database.transaction() as tx:
            await removals.postponed(tx, removal.message, due_at)

    async def repeated(self, job: Job, channel: int, message: int) -> None:
        """Note that a piece was posted again; if it was erased meanwhile, that message goes too."""
        async with self._database.transaction() as tx:
            await removals.repeated(tx, job.id, channel, message)
            await removals.add_late_repeats(tx, job.id, self._clock())
            # Noted first: this and the line above look for it among what is noted.
            await removals.add_late(tx, job.id, self._clock())

    async def age(self, keep: Keep) -> None:
        """Erase expired drafts and tokens, and words older than the operator keeps them."""
        await self._without_drafts()
        now = await self._calendar.today()
        while await self._without_tokens(now - TOKEN_LIFE) == ROWS_PER_TRANSACTION:
            pass
        if keep.words is None:
            return
        erased, before = 0, now - timedelta(days=keep.words)
        while last := await self._without_words(before):
            erased += last
            if last < ROWS_PER_TRANSACTION:
                break
        if erased:
            await self._database.purge()
            log.info("erased the words of %s older than KEEP_WORDS_DAYS", counted(erased, "job"))

    async def _without_drafts(self) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            erased = await drafts.aged(tx, now - drafts.LIFE, now)
        if erased:
            await self._database.purge()

    async def _without_tokens(self, before: datetime) -> int:
        async with self._database.transaction() as tx:
            return await erasures.tokens_erased(tx, before, ROWS_PER_TRANSACTION)

    async def _without_words(self, before: datetime) -> int:
        async with self._database.transaction() as tx:
            return await erasures.words_erased(tx, before, self._clock(), ROWS_PER_TRANSACTION)
