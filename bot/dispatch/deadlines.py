"""When each running job should be done, by this machine's measured speed."""

import logging
import math
from collections.abc import Callable, Collection, Iterable

from bot.dispatch.running_job import RunningJob, Timer
from bot.engine import cards
from bot.engine.cards import ModelCard
from bot.values import Job

log = logging.getLogger(__name__)

GRACE = 120.0
SLACK = 5.0
"""A job's deadline: these seconds plus this multiple of what the machine usually needs."""

ALONE, TAKE_BY_TAKE = 1, 2
"""How carefully to render a job that ran out of memory."""


class Deadlines:
    """A timer for each job in the engine, which runs while nothing else keeps the job waiting.

    The jobs are given in the order that the engine takes them.
    """

    def __init__(self, ticks: Callable[[], float], grace: float = GRACE) -> None:
        """Measure by `ticks`, a monotonic clock in seconds."""
        self._ticks = ticks
        self._grace = grace
        self._slots: dict[str, int] = {}
        self._paces: dict[str, float] = {}

    def engine(self, slots: int, pace: float) -> None:
        """Note the slots and the pace of models without better ones.

        A pace is in seconds of work per second of music.
        """
        self._usual_slots, self._pace = slots, pace
        self._slots.clear()
        self._paces.clear()

    def slots(self, model: str, slots: int) -> None:
        """Note how many takes of a model are rendered side by side."""
        self._slots[model] = slots

    def pace(self, model: str, pace: float) -> None:
        """Use this pace for a model from now on."""
        self._paces[model] = pace

    def watch(
        self,
        line: Collection[RunningJob],
        loaded: Collection[str],
        late: Callable[[RunningJob], None],
    ) -> None:
        """Set the deadline of each job that waits for no model, neither its own nor another's.

        `late` is called once a deadline has passed.
        """
        # The engine does one thing at a time: while it loads a model for one, all wait.
        if any(running.loads for running in line):
            return
        for running in line:
            # Nor those behind it: the engine takes them in order, and will load its model first.
            if running.job.request.model not in loaded:
                return
            if running.timer is None:
                others = [other.job for other in line if other is not running]
                self._set(running, others, len(loaded), late)
        # Models share the device's time: how fast one is shows while it alone is used.
        if len({running.job.request.model for running in line}) > 1:
            for running in line:
                running.disturbed = True

    def suspend(self, line: Iterable[RunningJob]) -> None:
        """Suspend all deadlines until the jobs are watched again: a model is being loaded."""
        for running in line:
            if running.timer:
                running.disturb()
                running.timer = None

    def stop(self, line: Iterable[RunningJob]) -> None:
        """Stop all timers: the engine's reports cannot be recorded."""
        for running in line:
            if running.timer:
                running.disturb()

    def go_on(self, line: Iterable[RunningJob]) -> None:
        """Restart all stopped timers with their whole time."""
        for running in line:
            if running.timer:
                running.timer.cancel()
                running.timer.start()

    def measured(self, running: RunningJob) -> float | None:
        """Return the pace of a job that has just finished; None if others held it up."""
        if running.disturbed or running.undisturbed_since is None:
            return None
        spent = self._ticks() - running.undisturbed_since
        return spent / self._effort(running.job)

    def _set(
        self,
        running: RunningJob,
        others: list[Job],
        models: int,
        late: Callable[[RunningJob], None],
    ) -> None:
        # Each of the loaded models has a share of the device's time, whoever comes meanwhile.
        job = running.job
        beside = self._held_up(job, others)
        running.disturbed |= beside > 0
        running.undisturbed_since = self._ticks()
        deadline = self._grace + SLACK * models * (self._work(job) + beside)

        def over() -> None:
            log.warning("job %d is not done after %.0f s: its deadline", job.id, deadline)
            late(running)

        running.timer = Timer(deadline, over)

    def _held_up(self, job: Job, others: list[Job]) -> float:
        """Return the longest work of those whose slots a job needs; 0 if there are enough.

        One that denoises steps all its jobs in turn: each is held up by all others.
        """
        same = [other for other in others if other.request.model == job.request.model]
        if _card(job).denoising is not None:
            return sum(map(self._work, same))
        if sum(each.request.takes for each in (job, *same)) <= self._slots_of(job):
            return 0.0
        return max(map(self._work, same), default=0.0)

    def _work(self, job: Job) -> float:
        """Return the seconds that this machine usually needs for a job."""
        pace = self._paces.get(job.request.model, self._pace)
        return pace * self._effort(job)

    def _effort(self, job: Job) -> float:
        """Return how many seconds of music, of a single take, cost as much time as a job."""
        card, request = _card(job), job.request
        # Five takes that a GPU denoises in a batch take 0.29 of the time of five (docs/gpu.md).
        # They count one by one all the same: a batch is smaller where memory lacks, and a deadline
        # is no more than a bound. By a pace that batches taught it gives a single take SLACK * 0.29
        # of its time, which is still enough.
        alone = job.care == TAKE_BY_TAKE or card.denoising is not None
        rounds = math.ceil(request.takes / (1 if alone else self._slots_of(job)))
        return rounds * card.effort(request.seconds, request.before, request.options)

    def _slots_of(self, job: Job) -> int:
        return self._slots.get(job.request.model, self._usual_slots)


def _card(job: Job) -> ModelCard:
    return cards.card(job.request.model)
