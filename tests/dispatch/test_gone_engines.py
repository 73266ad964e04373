"""Engines that come and go while something else happens."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.dispatch.fleet import Fleet
from bot.engine.children import EngineStart, Way, start
from bot.engine.conversation import Conversation
from bot.engine.environment import engine_environment
from bot.errors import StorageError
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
    changes: "asyncio.Queue[Mapping[str, EngineStart]]" = field(default_factory=asyncio.Queue)
    metrics: Metrics = field(default_factory=Metrics)
    work: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.fleet = Fleet(
            self.database,
            folder=self.folder,
            clock=self.clock,
            work=self.work,
            news=asyncio.Event(),
            drain=asyncio.Event(),
            metrics=self.metrics,
            source=self._source,
            pause=0.01,
            turn=0.5,
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

    async def render(self, prompt: str, model: str = "scripted") -> int:
        async with self.database.transaction() as tx:
            number = await put(tx, "jobs", prompt=prompt, model=model, takes=1, work=8)
        self.work.set()
        await self.has(number, Status.RUNNING)
        return number

    async def has(self, number: int, status: Status) -> Job:
        async def found() -> Job | None:
            job = await jobs.find(self.database, number)
            return job if job and job.status is status else None

        return await until(found)


@pytest.fixture
async def site(database: Database, tmp_path: Path, clock: Clock) -> AsyncIterator[Site]:
    for name in ("audio", "previews"):
        (tmp_path / name).mkdir(exist_ok=True)
    site = Site(database, tmp_path, clock)
    yield site
    site.running.cancel()
    with suppress(asyncio.CancelledError):
        await site.running


def child(*how: str, **where: str) -> AbstractAsyncContextManager[Conversation]:
    return start(Way(command=(*SCRIPTED, *how)), {**engine_environment(), **where})


async def test_a_fleet_ends_while_it_waits_for_the_end_of_an_engine_that_is_gone(
    site: Site,
) -> None:
    ending, ended = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def slow_to_end() -> AsyncIterator[Conversation]:
        try:
            async with child() as engine:
                yield engine
        finally:
            ending.set()
            await asyncio.shield(ended.wait())

    site.changes.put_nowait({"a": slow_to_end})
    await site.ready("a")
    site.changes.put_nowait({})
    await ending.wait()
    site.running.cancel()
    await asyncio.sleep(0)
    ended.set()
    await asyncio.wait({site.running})
    assert site.running.cancelled()


async def test_an_engine_that_dies_as_it_is_gone_is_not_started_again(site: Site) -> None:
    """Its death and the news of it come at once, as when a machine is switched off."""
    starts = list["asyncio.Task[None]"]()

    @asynccontextmanager
    async def noticed() -> AsyncIterator[Conversation]:
        async with child() as engine:
            task: asyncio.Task[None] | None = asyncio.current_task()
            assert task
            starts.append(task)
            attend = engine.attend

            async def dies() -> None:
                try:
                    await attend()
                finally:
                    asyncio.get_running_loop().call_soon(task.cancel)

            engine.attend = dies  # type: ignore[method-assign]
            yield engine

    site.changes.put_nowait({"a": noticed})
    await site.ready("a")
    number = await site.render("slow")
    pid = site.metrics.engines["a"]
    assert pid
    os.kill(pid, signal.SIGKILL)
    job = await site.has(number, Status.QUEUED)
    assert job.deaths == 1
    task = starts[0]
    while not task.done() and len(starts) == 1:
        await asyncio.sleep(0.01)
    assert task.cancelled()
    site.changes.put_nowait({"b": child})
    await site.ready("b")
    await site.has(number, Status.RUNNING)
    assert len(starts) == 1
    assert set(site.metrics.engines) == {"b"}


async def test_what_a_gone_engine_rendered_is_settled_once_the_database_allows_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.changes.put_nowait({"a": child})
    await site.ready("a")
    number = await site.render("slow")
    lost, times = engines.lost, list[str]()

    async def locked(*arguments: object) -> None:
        times.append("tried")
        if len(times) == 1:
            raise StorageError("The database is locked.")
        await lost(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(engines, "lost", locked)
    site.changes.put_nowait({"b": child})
    await site.ready("b")
    job = await site.has(number, Status.RUNNING)
    assert (job.engine, job.deaths) == ("b", 1)


async def test_one_that_was_gone_before_it_could_begin_is_waited_for_by_nothing(
    site: Site,
) -> None:
    """Of a model that is too large for all who are there, one of these has to say so."""
    large = {"SCRIPTED_MODELS": "scripted large", "SCRIPTED_UNFIT": "large"}
    for there in ({"a": child}, {}, {"b": lambda: child(**large)}):
        site.changes.put_nowait(there)
    await site.ready("b")
    await site.render("slow", "large")


async def test_one_that_never_answers_as_it_loads_keeps_no_other_from_work(site: Site) -> None:
    site.changes.put_nowait({"a": lambda: child("mute"), "b": child, "c": child})
    await site.ready("b", "c", of=3)
    assert set(site.metrics.engines) == {"a", "b", "c"}
