"""What each engine could begin at once, so that a job starts where its model is loaded."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping

from bot.dispatch.running_job import Phase, RunningJob
from bot.queue import Opening


class EngineSlots:
    """The slots of an engine's models, and the jobs that take them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.work = asyncio.Event()
        """Rung when there may be something to begin, or to stop."""
        self.running: dict[int, RunningJob] = {}
        """The jobs in the engine, in the order that it took them; those of a lost one."""
        self.serving = False
        """Whether an engine is there that renders."""
        self.known: frozenset[str] | None = None
        """All models that it has, also those too large for it; None until it was first ready."""
        self.able: frozenset[str] = frozenset()
        """Those that it can render."""
        self.loaded: tuple[str, ...] = ()
        """Those in memory."""
        self.paces: dict[str, float] = {}
        """Seconds of work per second of music, by model."""
        self.too_long: dict[str, float] = {}
        """The shortest pieces that the memory was too small for, in seconds, by model."""
        self._slots: dict[str, int] = {}
        self._declined = False
        self._rung = False
        """Whether something happened since it began to look."""
        self._left = False

    def ready(self, models: Iterable[str], unfit: Iterable[str], first: str, slots: int) -> None:
        """An engine is there, with its first model in memory."""
        self.known = frozenset(models)
        self.able = self.known - frozenset(unfit)
        self.loaded, self._slots = (first,), {first: slots}
        self.serving = True

    def swapped(self, model: str, loaded: tuple[str, ...], slots: int) -> None:
        """It loaded a model, perhaps in another's place."""
        kept = {name: slots for name, slots in self._slots.items() if name in loaded}
        self.loaded, self._slots = loaded, {**kept, model: slots}

    def ring(self) -> None:
        """Let it look whether there is something for it."""
        self._declined, self._rung = False, True
        self.work.set()

    async def called(self) -> None:
        """Wait until it is to look, because of a ring or of what another left to it."""
        await self.work.wait()
        self.work.clear()
        self._rung = False

    def declined(self, others: "Iterable[EngineSlots]") -> None:
        """It looked and begins nothing now: what others left to it they may begin themselves."""
        # Whatever others told it meanwhile: of two that leave a job to each other, each would wait
        # for the other to decline.
        self._declined = not self._rung
        for other in others:
            if other is not self and other._left:
                other._left = False
                other.work.set()

    def leaves(self) -> None:
        """It begins nothing since another engine may: it looks again if that does not."""
        self._left = True

    def full(self) -> set[str]:
        """Return the models whose slots are all taken.

        One that is about to be loaded has a single slot until the engine says how many.
        """
        taken = Counter[str]()
        for running in self.running.values():
            taken[running.job.request.model] += running.job.request.takes
        return {model for model, takes in taken.items() if takes >= self._slots.get(model, 1)}

    def rank(self, model: str) -> tuple[int, float]:
        """Return by what engines that could begin a job are compared: the least does."""
        taken = sum(running.job.request.takes for running in self.running.values())
        return taken, self.paces.get(model, math.inf)

    def holds(self, model: str, seconds: float) -> bool:
        """Whether it may have the memory for a piece of this length."""
        return model in self.able and self.too_long.get(model, math.inf) > seconds

    def drops(self) -> bool:
        """Whether it still has a job that is back in the queue."""
        return any(running.phase is Phase.REQUEUED for running in self.running.values())

    def begins(self) -> set[str]:
        """Return the models of which it could begin a job at once, as far as is known."""
        if not self.serving or self._declined or self.drops():
            return set()
        full = self.full()
        return set(self.loaded) - full if full else set(self.able)


def opening(mine: EngineSlots, engines: Mapping[str, EngineSlots]) -> Opening:
    """Return what an engine could begin, beside the others of all `engines`."""
    others = [other for other in engines.values() if other is not mine]
    # One that was never ready may have any model.
    unknown = any(other.known is None for other in others)
    known = frozenset[str]().union(*(each.known or () for each in engines.values()))
    elsewhere = frozenset[str]().union(*(other.able for other in others))
    begun = [(other, model) for other in others for model in other.begins() & {*other.loaded}]
    serving = [other for other in others if other.serving]
    return Opening(
        engine=mine.name,
        loaded=mine.loaded,
        full=mine.full(),
        elsewhere={model for _, model in begun},
        better={model for other, model in begun if other.rank(model) < mine.rank(model)},
        barred=(known if unknown else elsewhere) - mine.able,
        too_long={
            model: seconds
            for model, seconds in mine.too_long.items()
            if any(other.holds(model, seconds) for other in serving)
        },
    )


def begun_elsewhere(mine: EngineSlots, engines: Mapping[str, EngineSlots]) -> set[str]:
    """Return the models of which another engine begins a job at once, or makes room for one."""
    found: set[str] = set()
    for other in engines.values():
        if other is not mine:
            found |= other.able if other.serving and other.drops() else other.begins()
    return found
