"""Engines that come and go while something else happens."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from bot.engine.children import EngineStart
from bot.engine.conversation import Conversation
from bot.engine.messages import Ready
from bot.errors import StorageError
from bot.tables import engines
from bot.tables.database import Database
from bot.values import Status
from tests.support.clock import Clock, until
from tests.support.one_engine import runs
from tests.support.rows import put
from tests.support.site import Site, a_site, child


@pytest.fixture
async def site(database: Database, tmp_path: Path, clock: Clock) -> AsyncIterator[Site]:
    async with a_site(database, tmp_path, clock) as site:
        yield site


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
    await site.render("slow", model="large")


async def test_one_that_never_answers_as_it_loads_keeps_no_other_from_work(site: Site) -> None:
    site.changes.put_nowait({"a": lambda: child("mute"), "b": child, "c": child})
    await site.ready("b", "c", of=3)
    assert set(site.metrics.engines) == {"a", "b", "c"}


async def test_what_another_life_of_the_bot_rendered_waits_again_and_saw_nobody_die(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    async with database.transaction() as tx:
        await runs(tx, engine="a")
        number = await put(tx, "jobs", status="running", engine="a", attempts=1)
    async with a_site(database, tmp_path, clock) as site:
        await site.ready(of=0)
        job = await site.has(number, Status.QUEUED)
        assert (job.deaths, job.attempts) == (0, 1)


async def test_restarts_are_counted_from_none_on_and_who_is_back_may_fail_again_aloud(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def restarts() -> float | None:
        value = site.metrics.registry.get_sample_value
        return value("fantasia_engine_restarts_total", {"engine": "a"})

    async def said(words: str, times: int = 1) -> bool:
        return sum(words in line for line in caplog.messages) == times

    site.changes.put_nowait({"a": child})
    await site.ready("a")
    assert restarts() == 0
    pid = site.metrics.engines["a"]
    assert pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: said("restarting the engine a"))
    assert restarts() == 1
    for times in (1, 2):
        site.changes.put_nowait({"b": lambda: child("refuse")})
        await until(partial(said, "engine b cannot start", times))
        site.changes.put_nowait({})


async def test_engines_of_one_computer_load_one_after_the_other(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    loading, most = list[str](), list[int]()

    def late(name: str) -> EngineStart:
        @asynccontextmanager
        async def noted() -> AsyncIterator[Conversation]:
            async with child("late") as engine:
                loading.append(name)
                most.append(len(loading))
                ready = engine.ready

                async def loaded() -> Ready:
                    try:
                        return await ready()
                    finally:
                        loading.remove(name)

                engine.ready = loaded  # type: ignore[method-assign]
                yield engine

        return noted

    async with a_site(database, tmp_path, clock, turn=600.0) as site:
        site.changes.put_nowait({name: late(name) for name in ("gpu-0", "gpu-1", "gpu-2")})
        await site.ready("gpu-0", "gpu-1", "gpu-2", of=3)
    assert most == [1, 1, 1]
