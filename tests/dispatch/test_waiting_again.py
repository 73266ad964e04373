"""What waits again starts nowhere else before the engine that had it is done with its files."""

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from bot import queue
from bot.dispatch import render_order
from bot.dispatch.running_job import RunningJob
from bot.errors import JobError
from bot.tables import jobs, posts, takes
from bot.tables.database import Database
from bot.tables.opening import open_database
from bot.values import Fault, Job, Status
from tests.support import one_engine
from tests.support.clock import Clock, until
from tests.support.rows import put
from tests.support.studio import rooms


async def claimed(database: Database, clock: Clock, engine: str) -> int | None:
    async with database.transaction() as tx:
        job = await queue.claim(tx, one_engine.opening("small", engine=engine), clock())
    return job.id if job else None


async def rendering(database: Database, **columns: int) -> Job:
    async with database.transaction() as tx:
        await put(tx, "jobs", status=Status.RUNNING, engine="a", attempts=1, **columns)
    (job,) = await jobs.running(database, "a")
    return job


async def test_what_ran_out_of_memory_waits_until_its_files_are_gone(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    discarding, go, discard = threading.Event(), threading.Event(), render_order.discard

    def slow(folder: Path, unmade: Iterable[Job]) -> None:
        discarding.set()
        go.wait()
        discard(folder, unmade)

    monkeypatch.setattr(render_order, "discard", slow)
    async with open_database(tmp_path / "test.db") as database:
        made = rooms(database, tmp_path, clock)
        job = await rendering(database)
        error = JobError("too small", Fault.MEMORY)
        running = RunningJob(job=job, begun=0.0)
        refusing = asyncio.create_task(made.endings.refused(running, error))
        await until(lambda: asyncio.sleep(0, discarding.is_set()))
        found = await claimed(database, clock, "b")
        go.set()
        await refusing
        assert found is None
        assert await claimed(database, clock, "b") == job.id


async def test_what_gave_way_waits_until_its_engine_has_dropped_it(
    tmp_path: Path, clock: Clock
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        made = rooms(database, tmp_path, clock)
        job = await rendering(database, priority=-1)
        async with database.transaction() as tx:
            await put(tx, "jobs", status=Status.QUEUED)
        assert [each.id for each in await made.endings.give_way("a")] == [job.id]
        assert await claimed(database, clock, "a") == 2
        assert await claimed(database, clock, "b") is None
        await made.endings.rendered(job)  # which it is not: the engine only has it no more
        assert await claimed(database, clock, "b") == job.id


async def test_a_try_that_failed_counts_and_nothing_else_is_held_against_a_job(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        cancelled = await put(tx, "jobs", status=Status.CANCELLED)
        tried = await put(tx, "jobs", status=Status.RUNNING, attempts=2, deaths=1)
        await put(tx, "takes", job_id=tried, state="rendered", seconds=8)
        await put(tx, "posts", job_id=tried, kind="preview")
        assert not await queue.wait_again(tx, cancelled, clock())
        assert await queue.wait_again(tx, tried, clock())
        assert [take.seconds for take in await takes.of(tx, tried)] == [None]
        assert await posts.undelivered(tx, clock()) == []
    job = await jobs.find(database, tried)
    assert job
    assert (job.status, job.attempts, job.deaths, job.care) == (Status.QUEUED, 2, 1, 0)
