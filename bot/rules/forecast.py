"""When jobs will be done: the queue played forward as the dispatchers of all engines serve it.

Each waiting job, in the order of the line, goes to the engine that can begin it first. Of those
that can at once it goes to one that has its model loaded, then to the one with the fewest takes,
then to the fastest.
"""

import math
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush, heapreplace

from bot.engine.cards import card
from bot.rules.fairness import Line
from bot.rules.lazy_heap import Key, LazyHeap
from bot.values import EngineState, EngineStatus, QueuedJob, Speed

PLACES_FORECAST = 300
"""How many places are computed; anyone behind them learns only that so many are ahead."""


class Slots:
    """A model's slots: each take goes to the first that is free.

    A job is begun while the takes of those under way are fewer than the slots. All times are in
    seconds from now.
    """

    def __init__(self, slots: int) -> None:
        self._free = [0.0] * slots
        self._slots = slots
        self._under_way: list[tuple[float, int]] = []
        self._taken = 0
        self._now = 0.0

    def ready(self) -> float:
        """Return when the next job can begin."""
        while self._taken >= self._slots:
            end, takes = heappop(self._under_way)
            self._taken -= takes
            # max: what ended earlier than something already waited for does not turn time back.
            self._now = max(self._now, end)
        return self._now

    def begin(self, takes: int, work: float, start: float) -> float:
        """Begin takes, each of `work`, at a time by which it is ready; return when all are done."""
        ends = self._now = start
        for _ in range(takes):
            end = max(self._free[0], self._now) + work
            heapreplace(self._free, end)
            ends = max(ends, end)
        heappush(self._under_way, (ends, takes))
        self._taken += takes
        return ends


class EngineForecast:
    """An engine's slots for each model; a job that has seen an engine die is alone there.

    Once it has begun one of a model whose speed is unknown, nobody can tell when it will be ready.
    """

    def __init__(self, engine: EngineStatus) -> None:
        self.able = frozenset[str]() if engine.paused else engine.able
        self._engine = engine
        self._slots = {model: _slots(speed) for model, speed in engine.speeds.items()}
        self._since = self._end = 0.0
        self._alone = False
        self._taken = 0
        """How many takes it has at once."""

    def turn(self, model: str, alone: bool) -> Key:
        """Return by what it is chosen to begin a job of a model: the time, and who can by then."""
        speed = self._engine.speeds.get(model)
        unloaded = model not in self._engine.loaded
        return self._ready(model, alone), unloaded, self._taken, speed.pace if speed else math.inf

    def begin(self, job: QueuedJob, left: float = 1.0) -> float | None:
        """Begin a job of which this part is left, 0…1; return the seconds until it is done."""
        speed = self._engine.speeds.get(job.model)
        if speed is None or self._since == math.inf:
            self._since = self._end = math.inf
            return None
        start = self._ready(job.model, job.alone)
        if start == 0:
            self._taken += job.takes
        if job.alone or self._alone:
            self._since = start
        self._alone = job.alone
        usual = card(job.model).effort(job.work / job.takes, job.before, job.options)
        end = self._slots[job.model].begin(job.takes, speed.pace * usual * left, start)
        self._end = max(self._end, end)
        return end

    def _ready(self, model: str, alone: bool) -> float:
        since = self._end if alone or self._alone else self._since
        slots = self._slots.get(model)
        return max(since, slots.ready()) if slots else since


class FleetForecast:
    """The engines that are there. One that is paused finishes what it has, and begins nothing."""

    def __init__(self, engines: Sequence[EngineStatus]) -> None:
        there = [engine for engine in engines if engine.state is not EngineState.LOST]
        self._engines = list(map(EngineForecast, there))
        self._by_name: dict[str | None, int] = {engine.name: i for i, engine in enumerate(there)}
        self._able: dict[tuple[str, str | None, bool], LazyHeap] = {}

    def begin(self, job: QueuedJob) -> float | None:
        """Begin a job on the engine that can first; return the seconds until it is done."""
        able = self._able_to(job.model, job.engine, job.alone)
        return self._engines[able.least()].begin(job) if able else None

    def go_on(self, job: QueuedJob, left: float) -> float | None:
        """Go on with a job of which this part is left, 0…1; return the seconds until it is done."""
        i = self._by_name.get(job.engine)
        return None if i is None else self._engines[i].begin(job, left)

    def _able_to(self, model: str, engine: str | None, alone: bool) -> LazyHeap:
        if (able := self._able.get((model, engine, alone))) is None:
            able = self._able[model, engine, alone] = LazyHeap(
                (
                    i
                    for name, i in self._by_name.items()
                    if engine in (None, name) and model in self._engines[i].able
                ),
                lambda i: self._engines[i].turn(model, alone),
            )
        return able


def ends(
    running: Sequence[tuple[QueuedJob, float]],
    line: Line,
    turn: int,
    engines: Sequence[EngineStatus],
) -> Iterator[tuple[QueuedJob, float | None]]:
    """Yield running jobs, given with their progress, then waiting ones in the order of the line.

    Each with the seconds from now until it is done. That is None where no engine can begin it, or
    nobody can tell when it will have: it, or one that it would wait for, is of a model whose speed
    is unknown there.
    """
    fleet = FleetForecast(engines)
    for job, progress in running:
        yield job, fleet.go_on(job, 1 - progress)
    while (following := line.next(turn)) is not None:
        line.start(following)
        turn += 1
        yield following, fleet.begin(following)


def _slots(speed: Speed) -> Slots:
    # What denoises makes takes one after another, however many are under way.
    return Slots(speed.slots if card(speed.model).denoising is None else 1)
