"""All engines: a dispatcher for each that is there, over one queue."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from bot.dispatch.deadlines import Deadlines
from bot.dispatch.dispatcher import Dispatcher
from bot.dispatch.endings import Endings
from bot.dispatch.patience import Patience
from bot.dispatch.surroundings import LONGEST_TURN, Surroundings
from bot.engine.children import EngineStart
from bot.errors import OperatorError
from bot.monitoring.metrics import Metrics
from bot.tables import engines
from bot.tables.database import Database

log = logging.getLogger(__name__)

EngineSource = AsyncGenerator[Mapping[str, EngineStart], None]
"""Yields the engines that are there, by their names, at first and whenever that changes."""


class Fleet:
    """Keeps a dispatcher running for each engine that is there."""

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        news: asyncio.Event,
        drain: asyncio.Event,
        metrics: Metrics,
        source: Callable[[], EngineSource],
        ticks: Callable[[], float],
        pause: float,
        grace: float,
        turn: float = LONGEST_TURN,
        needed: bool,
    ) -> None:
        """What is stored uses the `clock`; what is measured uses the `ticks`, in seconds.

        Where engines are `needed`, it ends if none of the first ones can start.
        """
        self._source = source
        self._needed = needed
        self._work = work
        self._metrics = metrics
        self._around = Surroundings(
            database=database,
            folder=folder,
            clock=clock,
            ticks=ticks,
            pause=pause,
            grace=grace,
            turn=turn,
            news=news,
            drain=drain,
            metrics=metrics,
            endings=Endings(database, folder=folder, clock=clock, work=work, news=news),
            failed=self._failed,
        )
        self._patiently = Patience(Deadlines(ticks, grace), {})
        self._dispatchers: dict[str, tuple[Dispatcher, asyncio.Task[None]]] = {}
        self._troubles: dict[str, str] = {}
        """What was last said of engines that were lost or cannot start."""

    async def run(self) -> None:
        """Serve the queue; raise OperatorError if engines are needed and none can start."""
        # This comes first, so that nothing below has to consider an earlier life of the bot.
        await self._patiently(self._around.endings.recover, deaths=0)
        await self._patiently(self._around.database.transact, engines.are, ())
        try:
            await self._serve()
        except* OperatorError as wrong:
            raise wrong.exceptions[0] from None

    async def _serve(self) -> None:
        changes: asyncio.Queue[Mapping[str, EngineStart]] = asyncio.Queue()
        # It ends after all dispatchers: with it engines end, which must not look like their fault.
        following = asyncio.create_task(self._follow(changes))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_outcome(following))
                group.create_task(self._relay())
                while True:
                    await self._change(await changes.get(), group)
        finally:
            following.cancel()
            await asyncio.wait({following})

    async def _follow(self, changes: "asyncio.Queue[Mapping[str, EngineStart]]") -> None:
        async with aclosing(self._source()) as source:
            async for there in source:
                changes.put_nowait(there)

    async def _change(self, there: Mapping[str, EngineStart], group: asyncio.TaskGroup) -> None:
        """Let there be a dispatcher for each engine that is there, and for no other."""
        await self._end(self._dispatchers.keys() - there)
        await self._patiently(self._around.database.transact, engines.are, there)
        for name in [each for each in there if each not in self._dispatchers]:
            dispatcher = Dispatcher(name, there[name], self._around)
            # A series that begins with its first event has no rate.
            self._metrics.engine_restarts.labels(name)
            self._dispatchers[name] = dispatcher, group.create_task(dispatcher.run())

    async def idle(self) -> None:
        """Wait until no job is rendered."""
        for dispatcher, _ in list(self._dispatchers.values()):
            await dispatcher.idle()

    async def _relay(self) -> None:
        """Ring for all engines when it rings for work."""
        while True:
            await self._work.wait()
            self._work.clear()
            for slots in self._around.engines.values():
                slots.ring()

    async def _end(self, names: Collection[str]) -> None:
        """End the dispatchers of engines that are gone."""
        ended = {name: self._dispatchers.pop(name) for name in names}
        for dispatcher, task in ended.values():
            dispatcher.gone()
            task.cancel()
        for name, (dispatcher, task) in ended.items():
            # Not `await task`: who cancels this meanwhile must not be taken for its end.
            await asyncio.wait({task})
            await self._patiently(dispatcher.settle)
            self._troubles.pop(name, None)

    def _failed(self, name: str, trouble: str) -> None:
        """An engine was lost or cannot start."""
        known = any(slots.known is not None for slots in self._around.engines.values())
        was_ready = self._around.engines[name].known is not None
        said, self._troubles[name] = self._troubles.get(name), trouble
        if self._needed and not known and self._troubles.keys() >= self._dispatchers.keys():
            none = "The engine cannot" if len(self._dispatchers) == 1 else "No engine can"
            raise OperatorError(f"{none} start: {trouble}")
        if was_ready:
            self._metrics.engine_restarts.labels(name).inc()
            log.error("restarting the engine %s: %s", name, trouble)
        elif said != trouble:
            log.error("the engine %s cannot start, and is tried again: %s", name, trouble)


async def _outcome(task: "asyncio.Task[None]") -> None:
    """Wait for a task, which outlasts whoever waits."""
    await asyncio.shield(task)
