"""When jobs will be done: the queue played forward as the dispatcher serves it."""

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush, heapreplace

from bot.engine.cards import card
from bot.rules.fairness import Line
from bot.values import EngineStatus, QueuedJob, Speed

PLACES_FORECAST = 300
"""How many places are computed; anyone behind them learns only that so many are ahead."""


class Slots:
    """A model's slots: each take goes to the first that is free.

    A job is begun while the takes of those under way are fewer than the slots.
    """

    def __init__(self, slots: int) -> None:
        self._free = [0.0] * slots
        self._slots = slots
        self._under_way: list[tuple[float, int]] = []
        self._now = 0.0
        self.end = 0.0
        """When all that was begun is done."""

    def begin(self, takes: int, work: float, since: float) -> float:
        """Begin takes, each of `work` seconds, no earlier than `since`; return when all are done.

        The times are in seconds from now.
        """
        # max: what ended earlier than something already waited for does not turn time back.
        self._now = max(self._now, since)
        while self._under_way and sum(takes for _, takes in self._under_way) >= self._slots:
            self._now = max(self._now, heappop(self._under_way)[0])
        ends = self._now
        for _ in range(takes):
            end = max(self._free[0], self._now) + work
            heapreplace(self._free, end)
            ends = max(ends, end)
        heappush(self._under_way, (ends, takes))
        self.end = max(self.end, ends)
        return ends


class EngineForecast:
    """The slots of all models; a job that has seen the engine die is alone there."""

    def __init__(self, speeds: Mapping[str, Speed]) -> None:
        self._speeds = speeds
        self._cards = {model: card(model) for model in speeds}
        # What denoises makes takes one after another, however many are under way.
        self._slots = {
            model: Slots(speed.slots if self._cards[model].denoising is None else 1)
            for model, speed in speeds.items()
        }
        self._since = 0.0
        self._alone = False

    def begin(self, job: QueuedJob, left: float = 1.0) -> float:
        """Begin a job of which this part is left, 0…1; return the seconds until it is done."""
        if job.alone or self._alone:
            self._since = max(slots.end for slots in self._slots.values())
        self._alone = job.alone
        usual = self._cards[job.model].effort(job.work / job.takes, 0.0, {})
        work = self._speeds[job.model].pace * usual * left
        return self._slots[job.model].begin(job.takes, work, self._since)


def ends(
    running: Sequence[tuple[QueuedJob, float, str | None]],
    line: Line,
    turn: int,
    engines: Sequence[EngineStatus],
) -> Iterator[tuple[QueuedJob, float | None]]:
    """Yield running jobs, given with their progress, then waiting ones in the order of their start.

    Each with the seconds from now until it is done; None from the first on whose speed is unknown.
    """
    speeds = engines[0].speeds if engines else {}
    engine: EngineForecast | None = EngineForecast(speeds)
    for job, progress, _ in running:
        engine = engine if job.model in speeds else None
        yield job, engine.begin(job, 1 - progress) if engine else None
    while (following := line.next(turn)) is not None:
        line.start(following)
        turn += 1
        engine = engine if following.model in speeds else None
        yield following, engine.begin(following) if engine else None
