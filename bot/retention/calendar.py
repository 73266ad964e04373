"""The date by which things are too old, protected from a clock that is set wrong."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bot.tables import erasures, servers, state
from bot.tables.database import Database

PROBATION = timedelta(days=1).total_seconds()
"""How far the clock may jump ahead, and how long until a longer jump is believed, in seconds."""

EARLIEST_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""No time before this is possible: there was no Fantasia. Clocks without a battery say 1970."""


class Calendar:
    """Follows the clock back at once, and forward by less than a day.

    A clock that is further ahead is believed once the bot has run for a day with it, restarts
    included: it may be wrong for one start, or the bot may have been away. What has a date that
    cannot be gets that of today, once this can be.
    """

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], ticks: Callable[[], float]
    ) -> None:
        self._database = database
        self._clock = clock
        self._ticks = ticks
        self._last = ticks()

    async def today(self) -> datetime:
        """Return the time by which to remove what is too old."""
        now, ticks = self._clock().timestamp(), self._ticks()
        async with self._database.transaction() as tx:
            trusted, doubted = await state.calendar(tx) or (now, 0.0)
            # By the clock that nobody sets: it alone says how long the other was doubted.
            passed = ticks - self._last
            trusted, doubted = trusted + passed, doubted + passed
            if now - trusted <= PROBATION or doubted >= PROBATION:
                trusted, doubted = now, 0.0
            await state.believe(tx, trusted, doubted)
            today = datetime.fromtimestamp(trusted, UTC)
            if today >= EARLIEST_TIME:
                await erasures.dated(tx, EARLIEST_TIME, today)
                await servers.dated(tx, EARLIEST_TIME, today)
        self._last = ticks
        return today
