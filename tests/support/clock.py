"""A clock to turn, and a way to wait for what must come."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """A clock that stands still until it is turned, and the ticks that it makes then."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self._ticks = 0.0

    def __call__(self) -> datetime:
        return self.time

    def ticks(self) -> float:
        return self._ticks

    def turn(self, **by: float) -> None:
        self.time += timedelta(**by)
        self._ticks += timedelta(**by).total_seconds()

    def set(self, **by: float) -> None:
        """Put it forward or back, which is no time that passes."""
        self.time += timedelta(**by)


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    """Return the first true thing that `look` sees."""
    while not (seen := await look()):
        await asyncio.sleep(0.02)
    return seen
