"""Two clocks: the time of day, which may be changed at any moment, and a monotonic one."""

import time
from datetime import UTC, datetime
from typing import Protocol


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Clock(Protocol):
    """What is stored uses the time; what is measured within a run uses the ticks."""

    def __call__(self) -> datetime:
        """Return the time, in UTC."""

    def ticks(self) -> float:
        """Return seconds that pass evenly, even if the time is changed."""


class SystemClock:
    """The clocks of this machine."""

    def __call__(self) -> datetime:
        """Return the time, in UTC."""
        return utc_now()

    def ticks(self) -> float:
        """Return the seconds since some moment in the past."""
        return time.monotonic()
