"""What a dispatcher does besides the music: it rings, counts, notes and looks."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.dispatch import reports
from bot.dispatch.endings import SENTENCES
from bot.tables import engines, jobs
from bot.tables.database import Database, Reader
from bot.values import Fault, Job, Status
from tests.support.clock import Clock
from tests.support.site import Site, a_site, child


@pytest.fixture
async def site(database: Database, tmp_path: Path, clock: Clock) -> AsyncIterator[Site]:
    async with a_site(database, tmp_path, clock) as site:
        yield site


def kill(site: Site, name: str) -> None:
    pid = site.metrics.engines[name]
    assert pid
    os.kill(pid, signal.SIGKILL)


async def started(site: Site) -> None:
    """Wait until all is told of an engine that is ready."""
    await site.news.wait()  # of the fleet's own start
    site.news.clear()
    site.changes.put_nowait({"a": child})
    await site.news.wait()
    site.news.clear()


async def test_it_rings_as_a_piece_begins_which_waited_for_so_long(
    site: Site, clock: Clock
) -> None:
    await started(site)

    def waits() -> list[float | None]:
        """Return how many there were, and how long all of them took."""
        value = site.metrics.registry.get_sample_value
        return [value(f"fantasia_wait_seconds_{what}") for what in ("count", "sum")]

    again = await site.ask("play", attempts=1)
    await site.has(again, Status.RENDERED)
    counted = [waits()]
    for ago in (7, -9):  # by a clock that was ahead
        site.news.clear()
        number = await site.render("slow", created_at=clock().timestamp() - ago)
        await site.news.wait()
        counted.append(waits())
        async with site.database.transaction() as tx:
            await tx.execute("UPDATE jobs SET status = 'cancelled' WHERE id = ?", (number,))
        site.work.set()
        await site.fleet.idle()
    assert counted == [[0, 0], [1, 7], [2, 7]], "only what waits for its first start"


async def test_nobody_waits_for_the_piece_of_an_engine_that_died(site: Site) -> None:
    site.changes.put_nowait({"a": child})
    await site.ready("a")
    number = await site.render("slow")
    site.drain.set()
    kill(site, "a")
    await site.fleet.idle()
    assert (await site.has(number, Status.QUEUED)).deaths == 1


async def test_a_death_counts_for_those_that_it_befell_and_for_none_after(site: Site) -> None:
    await started(site)
    kill(site, "a")
    await site.news.wait()
    number = await site.render("slow")
    site.running.cancel()
    job = await site.has(number, Status.QUEUED)
    assert (job.deaths, job.attempts) == (0, 0)


async def test_nothing_is_left_to_an_engine_that_is_lost(site: Site) -> None:
    """It has less to do than the other, which has the model loaded, too."""
    starts = iter([(), ("mute",)])
    wide = {"b": lambda: child(SCRIPTED_SLOTS="2")}
    site.changes.put_nowait(wide)
    await site.ready("b")
    await site.render("slow")
    site.changes.put_nowait({**wide, "a": lambda: child(*next(starts))})
    await site.ready("a", "b", of=2)
    kill(site, "a")
    await site.ready("b", of=2)
    number = await site.render("slow")
    job = await site.has(number, Status.RUNNING)
    assert job.engine == "b"


async def test_what_is_left_to_an_engine_that_is_paused_is_begun_all_the_same(site: Site) -> None:
    """It has less to do, but begins nothing: the other looks again, and makes room, too."""
    models = {"SCRIPTED_MODELS": "scripted large"}
    busy = {"b": lambda: child(**models, SCRIPTED_SLOTS="2")}
    site.changes.put_nowait(busy)
    await site.render("slow")
    site.changes.put_nowait({**busy, "a": lambda: child(**models)})
    await site.ready("a", "b", of=2)
    async with site.database.transaction() as tx:
        await engines.pause(tx, "a")
    idle = await site.render("slow", priority=-1)
    assert (await site.has(idle, Status.RUNNING)).engine == "b"
    paid = await site.render("slow", model="large")
    assert (await site.has(paid, Status.RUNNING)).engine == "b"


async def test_progress_is_noted_once_a_second(
    site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, noted = reports.progressed, 0

    async def noting(*arguments: Any) -> None:
        nonlocal noted
        noted += 1
        await note(*arguments)

    async def is_noted(times: int) -> None:
        while noted < times:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(reports, "progressed", noting)
    site.changes.put_nowait({"a": child})
    await site.render("slow")
    await is_noted(1)
    clock.turn(seconds=1)
    await is_noted(2)
    clock.turn(seconds=0.9)
    await asyncio.sleep(0.4)  # as long as the child needs to say it some times more
    assert noted == 2


async def test_what_is_loaded_for_a_piece_is_known_and_from_then_on_it_may_be_late(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    async with a_site(database, tmp_path, clock, grace=0.2) as site:
        site.changes.put_nowait({"a": lambda: child(SCRIPTED_MODELS="scripted large")})
        number = await site.ask("switch", model="large", seconds=1, work=1)
        assert (await site.has(number, Status.FAILED)).reason == SENTENCES[Fault.TIME]
        (engine,) = await engines.every(database)
        assert engine.loaded == ("large",)


async def test_what_a_piece_took_is_known(site: Site, clock: Clock) -> None:
    site.changes.put_nowait({"a": child})
    clock.turn(seconds=5)
    number = await site.ask("play")
    assert (await site.has(number, Status.RENDERED)).spent == 0
    await site.fleet.idle()
    value = site.metrics.registry.get_sample_value
    of = {"model": "scripted"}
    assert value("fantasia_render_seconds_count", of) == 1
    assert value("fantasia_render_seconds_sum", of) == 0


class Looks:
    """How often a dispatcher began to look for what it should do."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._work = site.work
        self._running, self._count = jobs.running, 0
        monkeypatch.setattr(jobs, "running", self._look)

    async def _look(self, reader: Reader, engine: str) -> list[Job]:
        self._count += 1
        return await self._running(reader, engine)

    async def twice(self) -> None:
        """Ring until it has looked: as it begins once more it has done what it had to."""
        for _ in range(2):
            before = self._count
            self._work.set()
            while self._count == before:
                await asyncio.sleep(0.01)


async def test_an_idle_piece_gives_way_to_nobody_while_the_bot_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.changes.put_nowait({"a": lambda: child(SCRIPTED_MODELS="scripted large")})
    idle = await site.render("slow", priority=-1)
    site.drain.set()
    await site.ask("play", model="large")
    await Looks(site, monkeypatch).twice()
    assert (await site.has(idle, Status.RUNNING)).attempts == 1


async def test_nothing_begins_beside_what_gave_way_while_the_engine_still_has_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it looks: the piece would be claimed again under the same number."""
    wide = {"SCRIPTED_MODELS": "scripted large", "SCRIPTED_SLOTS": "2"}
    site.changes.put_nowait({"a": lambda: child(**wide)})
    idle = [await site.render(prompt, priority=-1) for prompt in ("deaf", "slow")]
    paid = await site.ask("play", model="large", seconds=4)
    for number in idle:
        await site.has(number, Status.QUEUED)
    await asyncio.sleep(0.2)  # until the other was dropped
    await Looks(site, monkeypatch).twice()
    await site.has(paid, Status.QUEUED)
