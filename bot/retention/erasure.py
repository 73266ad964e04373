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
        await self._database.transact(removals.done, removal.message)
        for receipt in self._receipts:
            receipt.note(removal.message, gone=gone)

    async def postponed(self, removal: Removal, at_least: float = 0.0) -> None:
        """Discord gave no clear answer: try again after a growing pause, `at_least` in seconds."""
        grown = min(2.0 ** min(removal.attempts, 30), LONGEST_DELETION_PAUSE.total_seconds())
        pause = min(max(at_least, grown), LONGEST_DELETION_PAUSE.total_seconds())
        due_at = self._clock() + timedelta(seconds=pause)
        await self._database.transact(removals.postponed, removal.message, due_at)

    async def repeated(self, job: Job, channel: int, message: int) -> None:
        """Note that a piece was posted again; if it was erased meanwhile, that message goes too."""
        async with self._database.transaction() as tx:
            await removals.repeated(tx, job.id, channel, message)
            await removals.add_late_repeats(tx, job.id, self._clock())
            # Noted first: this and the line above look for it among what is noted.
            await removals.add_late(tx, job.id, self._clock())

    async def age(self, keep: Keep) -> None:
        """Erase expired drafts and tokens, and words older than the operator keeps them."""
        now, rows = self._clock(), ROWS_PER_TRANSACTION
        if await self._database.transact(drafts.aged, now - drafts.LIFE, now):
            await self._database.purge()
        today = await self._calendar.today()
        old = today - TOKEN_LIFE
        await self._database.bit_by_bit(lambda tx: erasures.tokens_erased(tx, old, rows), rows)
        if keep.words is None:
            return
        before = today - timedelta(days=keep.words)
        erased = await self._database.bit_by_bit(
            lambda tx: erasures.words_erased(tx, before, self._clock(), rows), rows
        )
        if erased:
            await self._database.purge()
            log.info("erased the words of %s older than KEEP_WORDS_DAYS", counted(erased, "job"))
