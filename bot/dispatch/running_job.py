"""A job in the engine: one object for everything that its row does not hold."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.values import Job


class Phase(StrEnum):
    """What the engine was told about a job; from `CANCELLED` on its reports no longer count."""

    RENDERING = "rendering"
    FINISHING = "finishing"
    """To end it early and keep the music made so far."""
    CANCELLED = "cancelled"
    """To drop it: it is no longer wanted."""
    LATE = "late"
    """To drop it: it missed its deadline."""
    REQUEUED = "requeued"
    """To drop it: it is back in the queue, but the engine or its files are still in the way."""


class Timer:
    """Calls back after some seconds, unless it is stopped."""

    def __init__(self, seconds: float, over: Callable[[], None]) -> None:
        self._seconds, self._over = seconds, over
        self.start()

    def start(self) -> None:
        """Start counting."""
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._over)

    def cancel(self) -> None:
        """Stop it."""
        self._handle.cancel()


@dataclass(slots=True, kw_only=True, eq=False)
class RunningJob:
    """A job in the engine; times are from a monotonic clock in seconds."""

    job: Job
    begun: float
    phase: Phase = Phase.RENDERING
    preview_due: bool = False
    """Whether its preview is still to come."""
    noted: float = -math.inf
    """When its progress was last noted."""
    loads: bool = False
    """Whether the engine is loading a model for it."""
    timer: Timer | None = None
    """Its deadline, if it runs."""
    undisturbed_since: float | None = None
    """Since when nothing but its own work has held it up."""
    disturbed: bool = False
    """Whether something else has."""

    @property
    def unwanted(self) -> bool:
        """Whether the engine was told to drop it."""
        return self.phase not in (Phase.RENDERING, Phase.FINISHING)

    def disturb(self) -> None:
        """Something else holds it up: its deadline is suspended, its speed means nothing."""
        self.disturbed = True
        if self.timer:
            self.timer.cancel()

    def end(self) -> None:
        """The engine no longer has it."""
        self.loads = False
        if self.timer:
            self.timer.cancel()
