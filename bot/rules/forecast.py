"""When jobs will be done: the queue played forward as the dispatcher serves it."""

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from bot.rules.fairness import Line
from bot.values import QueuedJob

Paces = Mapping[str, float]
"""Seconds of work per second of music, by model."""

PLACES_FORECAST = 300
"""How many places are computed; anyone behind them learns only that so many are ahead."""


class Slots:
    """The engine's slots: each take goes to the first that is free.

    A job is begun while the takes of those under way are fewer than the slots; one that has seen
    the engine die, alone.
    """

    def __init__(self, slots: int) -> None:
        self._free = [0.0] * slots
        heapify(self._free)
        self._slots = slots
        self._under_way: list[tuple[float, int]] = []
        self._alone = False
        self._now = 0.0

    def begin(self, job: QueuedJob, work: float) -> float:
        """Begin a job, each take of which takes `work` seconds, and return when it is done."""
        while self._under_way and (
            job.alone or self._alone or sum(takes for _, takes in self._under_way) >= self._slots
        ):
            # max: what ended earlier than something already waited for does not turn time back.
            self._now = max(self._now, heappop(self._under_way)[0])
        ends = self._now
        for _ in range(job.takes):
            end = max(self._free[0], self._now) + work
            heapreplace(self._free, end)
            ends = max(ends, end)
        heappush(self._under_way, (ends, job.takes))
        self._alone = job.alone
        return ends


def ends(
    running: Sequence[tuple[QueuedJob, float]],
    line: Line,
    turn: int,
    paces: Paces,
    slots: int,
) -> Iterator[tuple[QueuedJob, float | None]]:
    """Yield running jobs, given with their progress, then waiting ones in the order of their start.

    Each with the seconds from now until it is done; None from the first on whose speed is unknown.
    """
    at: Slots | None = Slots(slots)
    for job, progress in running:
        at = at if job.model in paces else None
        work = paces.get(job.model, 0.0) * job.work / job.takes * (1 - progress)
        yield job, at.begin(job, work) if at else None
    while (following := line.next(turn)) is not None:
        line.start(following)
        turn += 1
        at = at if following.model in paces else None
        work = paces.get(following.model, 0.0) * following.work / following.takes
        yield following, at.begin(following, work) if at else None
