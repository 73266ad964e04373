"""An engine's speed: what it measured at its start, and what each piece took."""

import logging
from collections.abc import Mapping

from bot.dispatch.deadlines import Deadlines
from bot.dispatch.openings import EngineSlots
from bot.engine.messages import Loaded, Ready
from bot.tables import engines, speeds
from bot.tables.database import Database
from bot.values import Speed

log = logging.getLogger(__name__)


class Machine:
    """Keeps an engine's rows, its slots and its deadlines in line with what it says."""

    def __init__(self, database: Database, slots: EngineSlots, deadlines: Deadlines) -> None:
        self._database = database
        self._slots = slots
        self._deadlines = deadlines

    async def loaded(self, ready: Ready) -> None:
        """The engine is ready."""
        name, first = self._slots.name, ready.models[0]
        self._device = ready.device
        self._deadlines.engine(ready.slots, ready.pace)
        async with self._database.transaction() as tx:
            await engines.runs(
                tx,
                name,
                device=ready.device,
                precision=ready.precision,
                models=ready.models,
                unfit=ready.unfit,
            )
            await engines.holds(tx, name, [first])
            setup = speeds.Setup(name, first, ready.device, ready.precision)
            await speeds.found(tx, setup, ready.pace, ready.slots)
            # After `found`: it may have just put an impossible pace right.
            known = await speeds.of(tx, name)
        for model in known:
            self._go_by(known, model)
        # Once it is recorded: a job that began before would count as one of an engine that loads.
        self._slots.ready(ready.models, ready.unfit, first, ready.slots)
        self._slots.ring()
        found = name, ", ".join(ready.models), ready.device, ready.precision, ready.slots
        log.info("engine %s ready: %s on %s in %s, takes side by side: %d", *found)

    async def swapped(self, said: Loaded) -> None:
        """The engine loaded another model."""
        name = self._slots.name
        self._slots.swapped(said.model, said.models, said.slots)
        self._deadlines.slots(said.model, said.slots)
        async with self._database.transaction() as tx:
            await engines.holds(tx, name, said.models)
            setup = speeds.Setup(name, said.model, self._device, said.precision)
            await speeds.found(tx, setup, said.pace, said.slots)
            known = await speeds.of(tx, name)
        self._go_by(known, said.model)
        self._slots.ring()  # it may have more slots than the one that the model had until now
        found = name, said.model, said.slots, ", ".join(said.models)
        log.info("engine %s loaded %s, takes side by side: %d; in memory: %s", *found)

    async def learns(self, model: str) -> None:
        """A piece has ended: go by what is known of its model now."""
        self._go_by(await speeds.of(self._database, self._slots.name), model)

    def _go_by(self, known: Mapping[str, Speed], model: str) -> None:
        if speed := known.get(model):
            self._deadlines.pace(model, speed.pace)
            self._slots.paces[model] = speed.pace
            self._slots.too_long.pop(model, None)
            if speed.too_long is not None:
                self._slots.too_long[model] = speed.too_long
