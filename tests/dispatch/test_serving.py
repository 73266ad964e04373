"""What a dispatcher does besides the music: it rings, counts, notes and looks."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.dispatch import reports
from bot.tables import engines, jobs
from bot.tables.database import Database, Reader
from bot.values import Job, Status
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


async def settled(site: Site) -> None:
    """Wait until all is told of an engine that is ready."""
    await site.ready("a")
    await site.news.wait()
    site.news.clear()


async def test_it_rings_as_a_piece_begins_which_waited_for_so_long(
    site: Site, clock: Clock
) -> None:
    site.changes.put_nowait({"a": child})
    await settled(site)

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
    site.changes.put_nowait({"a": child})
    await settled(site)
    kill(site, "a")
    await settled(site)
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


async def test_what_is_loaded_in_a_models_place_is_known(site: Site) -> None:
    site.changes.put_nowait({"a": lambda: child(SCRIPTED_MODELS="scripted large")})
    await site.ready("a")
    number = await site.render("switch", model="large")
    await site.has(number, Status.RENDERED)
    (engine,) = await engines.every(site.database)
    assert engine.loaded == ("large",)


async def test_an_idle_piece_gives_way_to_nobody_while_the_bot_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, looks = jobs.running, 0

    async def look(reader: Reader, engine: str) -> list[Job]:
        nonlocal looks
        looks += 1
        return await running(reader, engine)

    site.changes.put_nowait({"a": lambda: child(SCRIPTED_MODELS="scripted large")})
    await site.ready("a")
    idle = await site.render("slow", priority=-1)
    site.drain.set()
    await site.ask("play", model="large")
    monkeypatch.setattr(jobs, "running", look)

    for times in range(2):  # as it begins to look a second time it has made what room it makes
        site.work.set()
        while looks <= times:
            await asyncio.sleep(0.01)
    assert (await site.has(idle, Status.RUNNING)).attempts == 1
