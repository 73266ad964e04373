"""Models of several families behind one engine.

What fits stays loaded, the least recently used makes room.
"""

import gc
import logging
import math
import time
import traceback
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from msgspec.structs import replace

from bot.engine import names, sharing
from bot.engine.contract import FamilyRoom, Idle, Model, Rendering
from bot.engine.executors import Executor, InlineExecutor, ThreadExecutor
from bot.engine.hardware import devices, memory
from bot.engine.loading import stay_offline
from bot.engine.messages import Loaded, Loading, Ready, Render
from bot.engine.names import Family
from bot.engine.settings import EngineSettings
from bot.engine.sharing import Need
from bot.errors import JobError, OperatorError

log = logging.getLogger(__name__)

MEMORY_LOOK_INTERVAL = 1.0
"""Seconds between two looks at the memory, for a model that has no room."""

SHORTEST_STEP = 0.001
"""Seconds that a step counts at least."""


def writer(device: torch.device) -> Executor:
    """Return who writes what was rendered on a device.

    On a GPU that is a thread beside the steps; on a CPU they would share its cores.
    """
    return ThreadExecutor("writer") if device.type == "cuda" else InlineExecutor()


def _musicgen(settings: EngineSettings, device: torch.device, writer: Executor) -> FamilyRoom:
    from bot.engine.musicgen import family

    return family.room(settings, device, writer)


def _acestep(settings: EngineSettings, device: torch.device, writer: Executor) -> FamilyRoom:
    from bot.engine.acestep import family

    return family.room(settings, device, writer)


FAMILY_ROOMS: Mapping[Family, Callable[[EngineSettings, torch.device, Executor], FamilyRoom]] = {
    Family.MUSICGEN: _musicgen,
    Family.ACESTEP: _acestep,
}
"""What loads the models of each family; only then are its libraries imported."""


class Repertoire:
    """The available models, by name; the first is loaded at once.

    Orders begin in the order they come: one that waits for room is not overtaken for ever by others
    whose model is loaded.
    """

    def __init__(
        self,
        models: Sequence[str],
        settings: EngineSettings,
        most: int | None = None,
        *,
        some: bool = False,
    ) -> None:
        """Load the first of `models`, repositories or folders; raise OperatorError.

        At most `most` stay loaded, as many as fit if nothing is said. Where `some` will do, those
        that cannot be had are unfit, and the first of the others is the first.
        """
        self._device = devices.device(settings.device)
        stay_offline()
        self._paths = {names.name(model): model for model in models}
        families = {name: names.family(model) for name, model in self._paths.items()}
        given = settings, self._device, writer(self._device)
        rooms = {family: FAMILY_ROOMS[family](*given) for family in set(families.values())}
        self._rooms = {name: rooms[family] for name, family in families.items()}
        self._most = most or len(self._paths)
        self.loaded: OrderedDict[str, Model] = OrderedDict()
        self._users: Counter[str] = Counter()
        self._spent: dict[str, float] = defaultdict(float)
        """Seconds of the device's time that each model has had, or as good as had."""
        self._line: list[int] = []
        self._next_look = -math.inf
        _, *others = self._paths
        asked = self._paths if some else others
        troubles = {name: self._rooms[name].trouble(self._paths[name]) for name in asked}
        self._lacking = {name: found for name, found in troubles.items() if found}
        if self._lacking and not (some and len(self._lacking) < len(self._paths)):
            raise OperatorError(next(iter(self._lacking.values())))
        # A sort keeps the order of equals, behind which are those that are not there.
        self._paths = dict(sorted(self._paths.items(), key=lambda each: each[0] in self._lacking))
        self._load(next(iter(self._paths)))

    def ready(self) -> Ready:
        """Return what the first model is, and the names of all."""
        first = next(iter(self.loaded.values())).ready()
        total = memory.total(self._device)
        absent = (name for name in self._paths if name not in self.loaded)
        unfit = tuple(name for name in absent if name in self._lacking or self._bytes(name) > total)
        return replace(first, models=tuple(self._paths), unfit=unfit)

    def slots(self, model: str) -> int:
        """Return how many takes of a model are rendered side by side; see contract.Engine."""
        return self.loaded[model].ready().slots if model in self.loaded else 1

    def expected(self) -> float:
        """Return the seconds that the next step should take; see contract.Engine."""
        name = self._next()
        return self.loaded[name].expected() if name else 0.0

    def step(self) -> None:
        """Make a step of that model, of those in use, which has had the least time.

        So they share the device's time equally, however long a step of each is.
        """
        if (name := self._next()) is None:
            return
        begun = time.perf_counter()
        self.loaded[name].step()
        if len(self._used()) > 1:
            devices.wait(self._device)  # or its work would count as that of the next
        # One that can only wait, for its files, is asked in vain, and then it is another's turn.
        self._spent[name] += max(time.perf_counter() - begun, SHORTEST_STEP)

    def _next(self) -> str | None:
        return min(self._used(), key=self._spent.__getitem__, default=None)

    def _used(self) -> list[str]:
        return [name for name in self.loaded if self._users[name]]

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        """Render an order with its model, once that is loaded; see contract.Engine."""
        if order.model not in self._paths:
            raise JobError(f"The model {order.model} is not available here.")
        yield from self._turn(order)
        # Who comes later has no claim to the time that others had before.
        earned = min((self._spent[name] for name in self._used()), default=0.0)
        self._spent[order.model] = max(self._spent[order.model], earned)
        self._users[order.model] += 1
        try:
            yield from self.loaded[order.model].render(order, finishing)
        finally:
            self._users[order.model] -= 1

    def _turn(self, order: Render) -> Rendering:
        """Wait until it is this order's turn and its model is loaded."""
        self._line.append(order.id)
        try:
            while self._line[0] != order.id or not self._has_room(order.model):
                yield Idle()
            if order.model not in self.loaded:
                yield Loading(id=order.id, model=order.model)
                self._fetch(order.model)
                yield self._announced(order)
            self.loaded.move_to_end(order.model)
        finally:
            self._line.remove(order.id)

    def _announced(self, order: Render) -> Loaded:
        ready = self.loaded[order.model].ready()
        return Loaded(
            id=order.id,
            model=order.model,
            models=tuple(self.loaded),
            precision=ready.precision,
            slots=ready.slots,
            pace=ready.pace,
            confirms=ready.confirms,
        )

    def _has_room(self, name: str) -> bool:
        """Whether a model is loaded or can be now; models that nobody uses make room.

        It looks now and then while all are in use, as a look at a CPU's memory takes a while.
        """
        if name in self.loaded:
            return True
        idle = [other for other in self.loaded if not self._users[other]]
        if not idle and time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + MEMORY_LOOK_INTERVAL
        while not self._fits(name):
            if not idle:
                return not self.loaded
            self._let_go(idle.pop(0))
        return True

    def _fits(self, name: str) -> bool:
        room = len(self.loaded) < self._most
        return room and self._bytes(name) <= memory.free(self._device)

    def _bytes(self, name: str) -> float:
        """Return the bytes that must be free for a model to be loaded."""
        return self._need(name).weights + memory.RESERVED_BYTES

    def _need(self, name: str) -> Need:
        return self._rooms[name].need(self._paths[name])

    def _load(self, name: str) -> None:
        """Load a model, and leave room for those that are to be loaded beside it."""
        absent = [self._need(other) for other in self._paths if other not in (name, *self.loaded)]
        free = memory.free(self._device) - memory.RESERVED_BYTES
        others = sharing.beside(self._need(name), free, absent) if absent else []
        others = others[: self._most - len(self.loaded) - 1]
        self.loaded[name] = self._rooms[name].load(self._paths[name], others)

    def _let_go(self, name: str) -> None:
        del self.loaded[name]
        gc.collect()
        memory.give_back()
        torch.cuda.empty_cache()  # which does nothing where there is none
        log.info("%s was unloaded to make room", name)

    def _fetch(self, name: str) -> None:
        """Load a model; if that fails, once more with nothing beside it that nobody uses."""
        try:
            self._load(name)
        except OperatorError as error:
            traceback.clear_frames(error.__traceback__)  # they hold what was loaded so far
            idle = [other for other in self.loaded if not self._users[other]]
            if not idle:
                log.error("%s", error)
                raise JobError(f"The model {name} could not be loaded: {error}") from error
            for other in idle:
                self._let_go(other)
            self._fetch(name)
