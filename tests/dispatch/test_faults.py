"""Faults of the engine and of the disk: each ends in a sentence, and the service goes on."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import discord
import pytest

from bot.app import Plan
from bot.dispatch import render_order
from bot.errors import Refusal, StorageError
from bot.tables import jobs
from bot.tables.database import Reader
from bot.values import Job, Status, Wish
from tests.support.clock import Clock, until
from tests.support.deliveries import used
from tests.support.one_engine import known_speed
from tests.support.processes import alive, children
from tests.support.shown import answered
from tests.support.studio import member, origin
from tests.support.world import World, asked, world


async def test_out_of_memory_is_tried_again_alone(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        await asked(w, "hungry once")
        job = await w.ended(1, Status.DELIVERED)
    assert (job.attempts, job.care, job.deaths) == (2, 1, 0)
    assert "The memory is too small" in caplog.text


async def test_nothing_begins_before_the_files_of_what_waits_again_are_gone(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    discard, discarding, go = render_order.discard, threading.Event(), threading.Event()
    running, rounds = jobs.running, count(1)
    seen = 0

    def slow(folder: Path, unmade: Iterable[Job]) -> None:
        discarding.set()
        go.wait()
        discard(folder, unmade)

    async def look(reader: Reader, engine: str) -> list[Job]:
        nonlocal seen
        seen = next(rounds)
        return await running(reader, engine)

    async def seen_more_than(before: int) -> bool:
        return seen > before

    monkeypatch.setattr(render_order, "discard", slow)
    monkeypatch.setattr(jobs, "running", look)
    async with world(replace(plan, command=("env", "SCRIPTED_SLOTS=4", *plan.command))) as w:
        await asked(w, "hungry once")
        await until(lambda: asyncio.sleep(0, discarding.is_set()))
        for prompt in ("play", "play"):
            before = seen
            await asked(w, prompt)
            await until(partial(seen_more_than, before))
        found = [(await w.studio.job(number)).status for number in (1, 2, 3)]
        go.set()
        assert found == [Status.QUEUED] * 3
        for number in (1, 2, 3):
            await w.ended(number, Status.DELIVERED)


async def test_out_of_memory_is_tried_again_take_by_take(plan: Plan) -> None:
    async with world(plan) as w:
        await asked(w, "glutton", takes=3)
        job = await w.ended(1, Status.DELIVERED)
    assert (job.attempts, job.care) == (3, 2)


async def test_out_of_memory_at_last_says_what_fits_and_is_refused_at_the_door(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await asked(w, "play", seconds=45)
        await w.ended(1, Status.DELIVERED)
        await asked(w, "hungry", seconds=60)
        job = await w.ended(2, Status.FAILED)
        assert job.attempts == 2, "beside others, and alone"
        assert job.reason
        assert "too little memory for 60 s with scripted, even with nothing beside" in job.reason
        assert job.reason.endswith("Up to 45 s fits.")
        assert await used(w) == 45
        with pytest.raises(Refusal, match="Up to 45 s fits; nothing was queued"):
            await asked(w, "play", seconds=60)
        await asked(w, "play", seconds=59)
        await w.ended(3, Status.DELIVERED)
        clock.turn(days=1, seconds=1)
        await asked(w, "play", seconds=60)
        await w.ended(4, Status.DELIVERED)
        known = await known_speed(w.database, "scripted")
        assert known
        assert (known.fits, known.too_long) == (60, None)


async def test_other_peoples_jobs_never_fail_for_it(plan: Plan) -> None:
    plan = replace(plan, command=("env", "SCRIPTED_SLOTS=3", *plan.command))
    async with world(plan) as w:
        for prompt in ("hungry", "kill", "play", "swap", "play"):
            await asked(w, prompt)
        for number, status in enumerate(("failed", "failed", *["delivered"] * 3), start=1):
            await w.ended(number, Status(status))


async def test_a_job_over_its_deadline_is_tried_once_more_and_then_failed(plan: Plan) -> None:
    async with world(replace(plan, grace=0.2)) as w:
        await asked(w, "slow", seconds=1)
        await asked(w, "play", seconds=100)  # which has so many times longer
        job = await w.ended(1, Status.FAILED)
        assert job.reason
        assert "several times longer" in job.reason
        assert job.attempts == 2
        await w.ended(2, Status.DELIVERED)
        assert await used(w) == 100


async def test_loading_a_model_does_not_count_for_the_deadline(plan: Plan) -> None:
    async with world(replace(plan, grace=0.2)) as w:
        await asked(w, "swap", seconds=1)
        assert (await w.ended(1, Status.DELIVERED)).attempts == 1


async def test_the_measured_speed_outlives_a_restart(plan: Plan) -> None:
    async with world(plan) as w:
        await asked(w, "play", seconds=30)
        await w.ended(1, Status.DELIVERED)
        before = await known_speed(w.database, "scripted")
        await w.restart(plan)
        assert before
        assert before.pace < 0.25, "learnt from the piece"
        assert await known_speed(w.database, "scripted") == before


async def test_a_disk_that_the_engine_cannot_write_is_told_and_logged(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        await asked(w, "full")
        job = await w.ended(1, Status.FAILED)
        await asked(w, "play")
        await w.ended(2, Status.DELIVERED)
    assert job.reason
    assert "disk is full or not writable" in job.reason
    assert "/secret/path" not in job.reason
    assert "/secret/path Free some space in DATA_DIR" in caplog.text


async def test_numbers_that_are_not_finite_are_told_and_refunded_and_no_full_disk(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        await asked(w, "overflow")
        job = await w.ended(1, Status.FAILED)
        assert await used(w) == 0
        message = await until(lambda: told(w))
        assert r"Try PRECISION=float32\." in (message.embeds[0].description or "")
        assert not message.attachments
        stats = await w.bot.services.operations.stats()
        assert stats.faults == {"numbers": 1}
    assert job.reason == "Try PRECISION=float32."
    assert "DATA_DIR" not in caplog.text


async def told(w: World) -> discord.Message | None:
    """Return the newest message of the channel, once there is one."""
    return next(iter(reversed(w.messages())), None)


async def test_a_file_that_the_real_engine_cannot_write_fails_its_job_alone(plan: Plan) -> None:
    sketch = (sys.executable, "-m", "bot.engine.worker", "--engine", "sketch", "--pace", "0")
    small = ("prlimit", "--fsize=1000000", *sketch)
    async with world(replace(plan, command=small, models=("sketch",))) as w:
        await asked(w, "mozart", seconds=30)
        job = await w.ended(1, Status.FAILED)
        assert job.reason
        assert "disk is full" in job.reason
        await asked(w, "mozart", seconds=2)
        await w.ended(2, Status.DELIVERED)
        assert {file.name.split("-")[0] for file in (plan.folder / "audio").glob("*")} == {"2"}


async def test_a_full_database_refuses_and_goes_on_once_there_is_room(plan: Plan) -> None:
    async with world(plan) as w:
        await asked(w, "play")
        await w.ended(1, Status.DELIVERED)
        w.tolerated = (Refusal, StorageError)
        database = w.database
        (pages,) = (await database.fetch("PRAGMA page_count"))[0]
        await database.fetch(f"PRAGMA max_page_count = {pages}")
        told = ""
        for number in range(200):
            shown = await w.generate(f"play {number} " + "x" * 450)
            if shown.ephemeral:
                told = answered(shown).content
                break
        assert "cannot write to its disk" in told
        await asyncio.sleep(0.5)
        await database.fetch("PRAGMA max_page_count = 1000000")
        last = (await asked(w, "play")).id
        await w.ended(last, Status.DELIVERED)
        rows = await database.fetch("SELECT status FROM jobs GROUP BY status")
        assert {row["status"] for row in rows} <= {"delivered", "queued", "running", "rendered"}
        rows = await database.fetch("SELECT MAX(deaths) AS deaths, MAX(attempts) AS most FROM jobs")
        assert (rows[0]["deaths"], rows[0]["most"]) == (0, 1), "no engine was lost by it"


@pytest.mark.parametrize("prompt", ["swap", "through", "hungry once"])
async def test_a_database_that_somebody_holds_is_waited_for_with_the_engine_alive(
    plan: Plan, prompt: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice, and whatever the engine says meanwhile: it is lost neither time."""
    async with world(plan) as w:
        w.tolerated = (Refusal, StorageError, sqlite3.OperationalError)
        await w.database.fetch("PRAGMA busy_timeout = 50")
        await asked(w, "play")
        await w.ended(1, Status.DELIVERED)
        for number in (2, 3):
            await asked(w, prompt, seconds=40)
            with closing(sqlite3.connect(plan.folder / "fantasia.db", timeout=60)) as other:
                other.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(2.5)
                other.rollback()
            job = await w.ended(number, Status.DELIVERED)
            assert (job.attempts, job.deaths) == (2 if "once" in prompt else 1, 0)
    assert "waiting 0.25 s for the database" in caplog.text
    assert "started again" not in caplog.text


async def test_what_cannot_be_written_down_is_not_late(plan: Plan) -> None:
    async with world(replace(plan, grace=1.5)) as w:
        w.tolerated = (Refusal, StorageError, sqlite3.OperationalError)
        await w.database.fetch("PRAGMA busy_timeout = 50")
        await asked(w, "pause", seconds=1)
        await w.ended(1, Status.RUNNING)
        with closing(sqlite3.connect(plan.folder / "fantasia.db", timeout=60)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(6)
            other.rollback()
        job = await w.ended(1, Status.DELIVERED)
        assert (job.attempts, job.deaths) == (1, 0)
        await asked(w, "slow", seconds=1)
        late = await w.ended(2, Status.FAILED)
        assert "several times longer" in (late.reason or "")


async def test_no_engine_outlives_the_bot_that_is_killed(tmp_path: Path) -> None:
    script = (sys.executable, "-m", "tests.support.signalled_bot", str(tmp_path), "slow")
    bot = await asyncio.create_subprocess_exec(*script, stdout=asyncio.subprocess.PIPE)
    assert bot.stdout
    assert await bot.stdout.readline() == b"rendering\n"
    (engine,) = children(bot.pid)
    bot.kill()
    await bot.wait()

    async def gone() -> bool:
        return not alive(engine)

    await until(gone)


async def test_nothing_stays_of_what_was_cancelled_as_the_engine_died(plan: Plan) -> None:
    async with world(plan) as w:
        await asked(w, "linger")
        written = plan.folder / "audio" / "1-1.wav"
        await until(lambda: asyncio.sleep(0, written.exists()))
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await asked(w, "play")
        await w.ended(2, Status.DELIVERED)
        assert {file.name.split("-")[0] for file in written.parent.iterdir()} == {"2"}


async def test_a_model_that_cannot_fit_is_refused_at_the_door(plan: Plan) -> None:
    plan = replace(plan, command=("env", "SCRIPTED_UNFIT=large", *plan.command))
    async with world(replace(plan, models=("scripted", "large"))) as w:
        await asked(w, "play")
        await w.ended(1, Status.DELIVERED)
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        with pytest.raises(Refusal, match="model large needs more memory than this machine has"):
            await w.studio.submit(here, Wish(prompt="play", seconds=2, model="large"))
        assert await used(w) == 2


async def test_what_fitted_once_and_then_did_not_is_no_promise(plan: Plan) -> None:
    async with world(plan) as w:
        await asked(w, "play", seconds=20)
        await w.ended(1, Status.DELIVERED)
        await asked(w, "hungry", seconds=20)
        job = await w.ended(2, Status.FAILED)
        assert job.reason
        assert job.reason.endswith("Request a shorter piece.")
