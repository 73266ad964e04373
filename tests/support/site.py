"""A fleet by itself, without a studio: rows come in, and engines come and go as a test says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.dispatch.deadlines import GRACE
from bot.dispatch.fleet import Fleet
from bot.engine.children import EngineStart, Way, start
from bot.engine.conversation import Conversation
from bot.engine.environment import engine_environment
from bot.monitoring.metrics import Metrics
from bot.tables import engines, jobs
from bot.tables.database import Database
from bot.values import EngineState, Job, Status
from tests.support.clock import Clock, until
from tests.support.rows import put
from tests.support.scripted_child import SCRIPTED


@dataclass
class Site:
    """A fleet over real children, which come and go as a test says."""

    database: Database
    folder: Path
    clock: Clock
    grace: float = GRACE
    turn: float = 0.5
    changes: "asyncio.Queue[Mapping[str, EngineStart]]" = field(default_factory=asyncio.Queue)
    metrics: Metrics = field(default_factory=Metrics)
    work: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    drain: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.fleet = Fleet(
            self.database,
            folder=self.folder,
            clock=self.clock,
            work=self.work,
            news=self.news,
            drain=self.drain,
            metrics=self.metrics,
            source=self._source,
            ticks=self.clock.ticks,
            pause=0.01,
            grace=self.grace,
            turn=self.turn,
            needed=False,
        )
        self.running = asyncio.create_task(self.fleet.run())

    async def _source(self) -> AsyncGenerator[Mapping[str, EngineStart], None]:
        while True:
            yield await self.changes.get()

    async def ready(self, *names: str, of: int = 1) -> None:
        async def are_ready() -> bool:
            found = {each.name: each.state for each in await engines.every(self.database)}
            ready = [name for name, state in found.items() if state is EngineState.READY]
            return ready == [*names] and len(found) == of

        await until(are_ready)

    async def ask(self, prompt: str, **columns: Any) -> int:
        usual: dict[str, Any] = {"model": "scripted", "takes": 1, "work": 8}
        async with self.database.transaction() as tx:
            number = await put(tx, "jobs", prompt=prompt, **usual | columns)
            await put(tx, "takes", job_id=number)
        self.work.set()
        return number

    async def render(self, prompt: str, **columns: Any) -> int:
        number = await self.ask(prompt, **columns)
        await self.has(number, Status.RUNNING)
        return number

    async def has(self, number: int, status: Status) -> Job:
        async def found() -> Job | None:
            job = await jobs.find(self.database, number)
            return job if job and job.status is status else None

        return await until(found)


@asynccontextmanager
async def a_site(
    database: Database, folder: Path, clock: Clock, **more: Any
) -> AsyncIterator[Site]:
    """Have a fleet for as long as the block, with no engine yet."""
    for name in ("audio", "previews"):
        (folder / name).mkdir(exist_ok=True)
    site = Site(database, folder, clock, **more)
    yield site
    site.running.cancel()
    with suppress(asyncio.CancelledError):
        await site.running


def child(*how: str, **where: str) -> AbstractAsyncContextManager[Conversation]:
    return start(Way(command=(*SCRIPTED, *how)), {**engine_environment(), **where})
