"""Engines without a process, which look for jobs as their dispatchers let them."""

import random
from collections.abc import AsyncIterator, Collection, Mapping

from bot import queue
from bot.dispatch.openings import EngineSlots, opening
from bot.dispatch.running_job import RunningJob
from bot.tables import backlog, engines, jobs, speeds
from bot.tables.database import Transaction
from bot.values import Job
from tests.support.clock import Clock


class Fleet:
    """Engines over one queue; which of those that were rung looks first is a throw of dice."""

    def __init__(self, tx: Transaction, clock: Clock, dice: random.Random) -> None:
        self._tx, self._clock, self._dice = tx, clock, dice
        self.engines: dict[str, EngineSlots] = {}

    async def starts(
        self, name: str, paces: Mapping[str, float], slots: int, loaded: Collection[str]
    ) -> None:
        """An engine is ready that has these models, so many slots for each, and some in memory."""
        await engines.runs(self._tx, name, device="cuda", precision="float16", models=[*paces])
        for model, pace in paces.items():
            setup = speeds.Setup(name, model, "cuda", "float16")
            await speeds.found(self._tx, setup, pace, slots)
        engine = self.engines[name] = EngineSlots(name)
        engine.ready(paces, (), next(iter(loaded)), slots)
        engine.paces.update(paces)
        for model in loaded:
            await self.load(engine, model, loaded, slots)
        engine.ring()

    async def load(
        self, engine: EngineSlots, model: str, loaded: Collection[str], slots: int
    ) -> None:
        """An engine loads a model, and has these now."""
        engine.swapped(model, tuple(loaded), slots)
        await engines.holds(self._tx, engine.name, engine.loaded)

    def ring(self) -> None:
        """Let all look: there is a new request."""
        for engine in self.engines.values():
            engine.ring()

    async def begin(self) -> AsyncIterator[tuple[EngineSlots, Job]]:
        """Let those look that were rung; yield what each begins."""
        while rung := [each for each in self.engines.values() if each.work.is_set()]:
            engine = self._dice.choice(rung)
            await engine.called()
            while engine.serving and not engine.full().issuperset(engine.loaded):
                could = opening(engine, self.engines)
                job = await queue.claim(self._tx, could, self._clock())
                if job is None:
                    if could.elsewhere:
                        engine.leaves()
                    break
                engine.running[job.id] = RunningJob(job=job, begun=0.0)
                yield engine, job
            engine.declined(self.engines.values())

    async def ends(self, engine: EngineSlots, job: Job) -> None:
        """An engine has rendered a job."""
        await jobs.rendered(self._tx, job.id, self._clock())
        del engine.running[job.id]
        engine.ring()

    async def dies(self, engine: EngineSlots) -> None:
        """An engine is lost, and its jobs are queued again."""
        await engines.lost(self._tx, engine.name, "It died.")
        await backlog.awaits_no_more(self._tx, engine.name)
        for number in engine.running:
            await queue.wait_again(self._tx, number, self._clock(), deaths=1)
        engine.serving = False
        engine.running.clear()
        self.ring()
