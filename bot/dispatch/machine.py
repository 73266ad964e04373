"""This machine's speed: what the engine measured at its start, and what each piece took."""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from bot.dispatch.deadlines import Deadlines
from bot.engine.messages import Loaded, Ready
from bot.tables import speeds, state
from bot.tables.database import Database, Transaction
from bot.values import Job, Request

log = logging.getLogger(__name__)


class Machine:
    """Keeps the table of speeds, and the deadlines in line with it."""

    def __init__(self, database: Database, deadlines: Deadlines) -> None:
        self._database = database
        self._deadlines = deadlines
        self._ready: Ready | None = None
        self._slots: dict[str, int] = {}
        """How many takes of a loaded model are rendered side by side."""
        self.models: tuple[str, ...] = ()
        """The models that the engine has loaded."""

    @property
    def known(self) -> bool:
        """Whether an engine has ever been ready."""
        return self._ready is not None

    def full(self, running: Iterable[Job]) -> set[str]:
        """Return the models whose slots are all taken by these jobs.

        One that is about to be loaded has a single slot until the engine says how many.
        """
        taken = Counter[str]()
        for job in running:
            taken[job.request.model] += job.request.takes
        return {model for model, takes in taken.items() if takes >= self._slots.get(model, 1)}

    async def loaded(self, ready: Ready) -> None:
        """An engine is ready."""
        self._ready, self.models = ready, ready.models[:1]
        self._slots = dict.fromkeys(self.models, ready.slots)
        self._deadlines.engine(ready.slots, ready.pace)
        async with self._database.transaction() as tx:
            await state.engine_runs(
                tx,
                device=ready.device,
                precision=ready.precision,
                unfit=ready.unfit,
            )
            await speeds.found(tx, self._setup(ready.models[0]), ready.pace, ready.slots)
            # After `found`: it may have just put an impossible pace right.
            for known in await speeds.all_here(tx):
                self._deadlines.pace(known.model, known.pace)
        found = ", ".join(ready.models), ready.device, ready.precision, ready.slots
        log.info("engine ready: %s on %s in %s, takes side by side: %d", *found)

    async def swapped(self, said: Loaded) -> None:
        """The engine loaded another model."""
        self.models = said.models
        known = {model: slots for model, slots in self._slots.items() if model in said.models}
        self._slots = {**known, said.model: said.slots}
        self._deadlines.slots(said.model, said.slots)
        async with self._database.transaction() as tx:
            await speeds.found(tx, self._setup(said.model), said.pace, said.slots)
            await self._go_by_what_is_known(tx, said.model)
        found = said.model, said.slots, ", ".join(said.models)
        log.info("engine loaded %s, takes side by side: %d; in memory: %s", *found)

    async def made(self, tx: Transaction, job: Job, pace: float) -> None:
        """A whole piece was rendered at this pace, so its length fits."""
        model = job.request.model
        await speeds.made(tx, self._setup(model), pace, job.request.length)
        await self._go_by_what_is_known(tx, model)

    async def ran_out(self, tx: Transaction, request: Request, now: datetime) -> float:
        """A piece ran out of memory; return the seconds that fit, or 0."""
        await speeds.ran_out(tx, self._setup(request.model), request.length, now)
        known = await speeds.here(tx, request.model)
        return known.fits if known else 0.0

    async def _go_by_what_is_known(self, tx: Transaction, model: str) -> None:
        if known := await speeds.here(tx, model):
            self._deadlines.pace(model, known.pace)

    def _setup(self, model: str) -> speeds.Setup:
        assert self._ready
        return speeds.Setup(model, self._ready.device, self._ready.precision)
