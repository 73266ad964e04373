"""When each running job should be done, by the speed that this machine was seen to have."""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterable

from bot.values import Job

log = logging.getLogger(__name__)

GRACE = 120.0
SLACK = 5.0
"""A job's deadline: so many seconds, and so many times what this machine usually needs for it."""

ALONE, TAKE_BY_TAKE = 1, 2
"""How carefully a job is rendered for which the memory was too small."""


class Timer:
    """Calls back after so many seconds, unless it is stopped."""

    def __init__(self, seconds: float, over: Callable[[], None]) -> None:
        self._seconds, self._over = seconds, over
        self.start()

    def start(self) -> None:
        """Begin with the first second."""
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._over)

    def cancel(self) -> None:
        """Stop it."""
        self._handle.cancel()


class Deadlines:
    """A clock for each job that the engine has, which runs while nothing else keeps it waiting."""

    def __init__(self, ticks: Callable[[], float], grace: float = GRACE) -> None:
        """Go by `ticks`, a clock in seconds that nobody sets."""
        self._ticks = ticks
        self._grace = grace
        self._slots = 1
        self._pace = 0.0
        self._paces: dict[str, float] = {}
        self._begun: dict[int, float | None] = {}
        """Since when nothing keeps a job from being done; None where something did meanwhile."""
        self._timers: dict[int, Timer] = {}
        self._loads: int | None = None
        """The job for which the engine loads a model."""

    def engine(self, slots: int, pace: float) -> None:
        """Go by an engine of so many slots, and by this pace where no better one is known.

        A pace is in seconds of work per second of music.
        """
        self._slots, self._pace = slots, pace
        self._paces.clear()

    def pace(self, model: str, pace: float) -> None:
        """Go by this pace of a model from now on."""
        self._paces[model] = pace

    def watch(
        self, running: Iterable[Job], loaded: Collection[str], late: Callable[[int], None]
    ) -> None:
        """Set the deadline of each job that waits for no model, neither its own nor another's.

        They are given in the order that the engine has them in line. `late` is called once a
        deadline is over.
        """
        line = list(running)
        for job in line:
            if self._loads is not None or job.request.model not in loaded:
                return
            if job.id not in self._timers:
                self._set(job, [other for other in line if other.id != job.id], late)

    def suspend(self, number: int) -> None:
        """Let all wait, as long as it takes: a model is being loaded for a job."""
        self._loads = number
        for watched, timer in self._timers.items():
            timer.cancel()
            self._begun[watched] = None
        self._timers.clear()

    def resume(self, number: int) -> None:
        """The model is loaded for a job: what is watched from now on has a deadline again."""
        if self._loads == number:
            self._loads = None

    def stop(self) -> None:
        """Let all wait: what the engine says of them cannot be written down."""
        for number, timer in self._timers.items():
            timer.cancel()
            self._begun[number] = None

    def go_on(self) -> None:
        """Give all that were stopped the whole time again."""
        for timer in self._timers.values():
            timer.cancel()
            timer.start()

    def forget(self, number: int) -> None:
        """A job is under way no more."""
        self.resume(number)
        self._begun.pop(number, None)
        if timer := self._timers.pop(number, None):
            timer.cancel()

    def clear(self) -> None:
        """Nothing is under way any more."""
        for number in [*self._begun, *self._timers]:
            self.forget(number)
        self._loads = None

    def measured(self, job: Job) -> float | None:
        """Return the pace at which a job was done just now; None if others held it up."""
        begun = self._begun.get(job.id)
        if begun is None:
            return None
        spent = self._ticks() - begun
        return spent / (job.request.seconds * self._rounds(job))

    def _set(self, job: Job, others: list[Job], late: Callable[[int], None]) -> None:
        beside = self._held_up(job, others)
        self._begun.setdefault(job.id, None if beside else self._ticks())
        deadline = self._grace + SLACK * (self._work(job) + beside)

        def over() -> None:
            log.warning("job %d is not done after %.0f s: its deadline", job.id, deadline)
            late(job.id)

        self._timers[job.id] = Timer(deadline, over)

    def _held_up(self, job: Job, others: list[Job]) -> float:
        """Return the longest work of those whose slots a job needs; 0 if there are enough."""
        if sum(each.request.takes for each in (job, *others)) <= self._slots:
            return 0.0
        return max(map(self._work, others), default=0.0)

    def _work(self, job: Job) -> float:
        """Return the seconds that this machine usually needs for a job."""
        pace = self._paces.get(job.request.model, self._pace)
        return pace * job.request.seconds * self._rounds(job)

    def _rounds(self, job: Job) -> int:
        """Return how often in turn the engine renders some of a job's takes side by side."""
        side_by_side = 1 if job.care == TAKE_BY_TAKE else self._slots
        return math.ceil(job.request.takes / side_by_side)
