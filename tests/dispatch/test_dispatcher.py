"""The loop between the queue and the engine's process, with a child that misbehaves on demand."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot import queue
from bot.app import Plan, compose
from bot.client import Fantasia
from bot.clock import utc_now
from bot.dispatch.endings import SENTENCES
from bot.errors import OperatorError, Refusal
from bot.lookup.standings import Standings
from bot.rules import fairness
from bot.studio import Studio
from bot.tables import backlog, jobs, state
from bot.values import Fault, Job, PostKind, Status, Wish
from tests.support import inside
from tests.support.clock import Clock, until
from tests.support.engines import seconds_of
from tests.support.one_engine import opening
from tests.support.processes import alive, children
from tests.support.rows import put
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS, a_studio, member, origin, owed_by


@asynccontextmanager
async def composed(plan: Plan) -> AsyncIterator[Studio]:
    async with compose(plan) as client:
        assert isinstance(client, Fantasia)
        yield client.services.studio


async def ended(studio: Studio, job: Job) -> Job:
    async def look() -> Job | None:
        now = await studio.job(job.id)
        return None if now.status in (Status.QUEUED, Status.RUNNING) else now

    return await until(look)


async def play(studio: Studio, prompt: str, *, seconds: int = 2, takes: int = 1) -> Job:
    job = await studio.submit(origin(), Wish(prompt=prompt, seconds=seconds, takes=takes))
    return await ended(studio, job)


async def test_a_job_becomes_files_and_a_message_that_is_owed(plan: Plan) -> None:
    async with composed(plan) as studio:
        job = await play(studio, "play", takes=2)
        (owed,) = await owed_by(studio)
    assert job.status is Status.RENDERED
    assert owed.post.kind is PostKind.RESULT
    assert [take.seed for take in owed.takes] == [job.request.seed, job.request.seed + 1]
    for take in owed.takes:
        assert take.audio
        assert seconds_of(plan.folder / take.audio) == 2


def impatient(plan: Plan, prompt: str) -> Plan:
    """Return a plan in which a child that hangs is soon lost."""
    return replace(plan, silence=3.0) if prompt.startswith("hang") else plan


LOSSES = {
    "crash": "ended with code 3; its last words: about to crash",
    "kill": "ended with code -9; its last words: about to kill",
    "hang": "said nothing for 3 s",
    "garbage": "sent garbage",
    "endless": "sent garbage",
    "unready": "a second time",
    "nofile": "announced a take whose file cannot be read",
    "nowav": "announced a take whose file cannot be read",
    "wrongtake": "announced take 9, which was not due",
    "wronglength": "announced 2 s of 2 s; the file holds 1 s",
    "nothing": "reported job 1 done without take 1",
}


@pytest.mark.parametrize(("prompt", "words"), LOSSES.items())
async def test_a_job_that_loses_the_engine_twice_fails_and_the_next_goes_on(
    plan: Plan, prompt: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with composed(impatient(plan, prompt)) as studio:
        bad, good = await asyncio.gather(play(studio, prompt), play(studio, "play"))
        owed = {item.job.id: item for item in await owed_by(studio)}
    assert (bad.status, bad.attempts) == (Status.FAILED, 2)
    assert bad.reason == SENTENCES[Fault.CRASH]
    told = [line.getMessage() for line in caplog.records if "restarting" in line.getMessage()]
    assert len(told) == 2
    assert all(words in line for line in told), told
    assert good.status is Status.RENDERED
    assert owed[bad.id].post.kind is PostKind.FAILURE
    assert sum(take.charged_seconds for take in owed[bad.id].takes) == 0
    assert not list((plan.folder / "audio").glob(f"{bad.id}-*.wav"))


@pytest.mark.parametrize("prompt", ["crash once", "kill once", "hang once", "nofile once"])
async def test_a_job_that_loses_the_engine_once_is_rendered_by_the_next(
    plan: Plan, prompt: str
) -> None:
    async with composed(impatient(plan, prompt)) as studio:
        job = await play(studio, prompt)
    assert (job.status, job.attempts) == (Status.RENDERED, 2)


@pytest.mark.parametrize("prompt", ["flood", "stranger", "backwards"])
async def test_noise_on_the_channel_changes_nothing(plan: Plan, prompt: str) -> None:
    async with composed(plan) as studio:
        job = await play(studio, prompt)
    assert (job.status, job.attempts, job.progress) == (Status.RENDERED, 1, 1)


async def test_a_job_that_the_engine_refuses_fails_with_its_sentence(plan: Plan) -> None:
    async with composed(plan) as studio:
        job = await play(studio, "fail")
    assert (job.status, job.attempts) == (Status.FAILED, 1)
    assert job.reason == "The engine has no violins."


async def test_a_running_job_is_cancelled_and_the_engine_is_free(plan: Plan) -> None:
    async with composed(plan) as studio:
        job = await studio.submit(origin(), Wish(prompt="slow", seconds=8))

        async def started() -> bool:
            return (await studio.job(job.id)).progress > 0

        await until(started)
        await studio.cancel(job.id, member())
        after = await play(studio, "play")
        assert (await studio.job(job.id)).status is Status.CANCELLED
        assert after.status is Status.RENDERED
        assert [item.job.id for item in await owed_by(studio)] == [after.id]


async def test_a_cancelled_job_is_no_ones_but_its_owners_or_a_managers(plan: Plan) -> None:
    async with composed(plan) as studio:
        await studio.submit(origin(), Wish(prompt="slow", seconds=8))
        job = await studio.submit(origin(), Wish(prompt="play", seconds=8))
        with pytest.raises(Refusal, match="Only the member who requested"):
            await studio.cancel(job.id, member(2, 10))
        with pytest.raises(Refusal, match="no piece"):
            await studio.cancel(job.id, member(1, 11, manager=True))
        await studio.cancel(job.id, member(2, 10, manager=True))
        with pytest.raises(Refusal, match="already cancelled"):
            await studio.cancel(job.id, member())


async def test_an_engine_that_cannot_load_stops_everything_with_its_sentence(plan: Plan) -> None:
    for how, sentence in (("refuse", "upside down"), ("stillborn", "about to crash")):
        with pytest.raises(ExceptionGroup) as stopped:
            async with composed(replace(plan, command=(*SCRIPTED, how))):
                await asyncio.Event().wait()
        (error,) = stopped.value.exceptions
        assert isinstance(error, OperatorError)
        assert sentence in str(error)


async def test_an_interrupted_job_starts_again_after_a_restart(plan: Plan) -> None:
    async with composed(plan) as studio:
        job = await studio.submit(origin(), Wish(prompt="slow once", seconds=2))
        waiting = await studio.submit(origin(), Wish(prompt="play", seconds=2))

        async def started() -> bool:
            return (await studio.job(job.id)).progress > 0

        await until(started)
    async with composed(plan) as studio:
        assert (await ended(studio, job)).status is Status.RENDERED
        assert (await ended(studio, waiting)).status is Status.RENDERED
        assert (await studio.job(job.id)).attempts == 1, "a restart is not the job's fault"


async def test_two_slots_render_side_by_side_but_a_retried_job_alone(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    plan = replace(plan, command=("env", "SCRIPTED_SLOTS=2", *plan.command))
    caplog.set_level(logging.INFO, "bot.dispatch.dispatcher")
    async with composed(plan) as studio:
        slow = await studio.submit(origin(), Wish(prompt="slow once", seconds=8))
        assert (await play(studio, "play")).status is Status.RENDERED
        assert (await studio.job(slow.id)).status is Status.RUNNING
        crashing = await play(studio, "crash")
        bystander = await ended(studio, slow)
    assert (crashing.status, crashing.attempts) == (Status.FAILED, 2)
    assert (bystander.status, bystander.attempts) == (Status.RENDERED, 2)


async def test_takes_count_for_the_slots_they_need(plan: Plan) -> None:
    plan = replace(plan, command=("env", "SCRIPTED_SLOTS=4", *plan.command))
    async with composed(plan) as studio:
        jobs = [
            await studio.submit(origin(), Wish(prompt="slow", seconds=8, takes=3)) for _ in range(3)
        ]

        async def begun() -> bool:
            second = await studio.job(jobs[1].id)
            return second.status is Status.RUNNING and second.progress > 0

        await until(begun)
        assert (await studio.job(jobs[2].id)).status is Status.QUEUED
        await studio.cancel(jobs[0].id, member())

        async def freed() -> bool:
            return (await studio.job(jobs[2].id)).status is Status.RUNNING

        await until(freed)


async def test_no_child_outlives_the_bot(plan: Plan) -> None:
    async with composed(plan) as studio:
        await play(studio, "play")
        engines = children(os.getpid())
        assert engines
    assert not any(map(alive, engines))


async def test_a_child_that_loads_a_model_may_be_silent_for_longer(plan: Plan) -> None:
    async with composed(replace(plan, silence=1.0)) as studio:
        job = await play(studio, "swap")
        assert (job.status, job.attempts) == (Status.RENDERED, 1)
        waiting = await studio.submit(origin(), Wish(prompt="slow", seconds=10))
        rows = inside.database(studio)
        standings = Standings(rows, clock=utc_now, drain=asyncio.Event())
        assert (await standings.of_job(waiting.id)).ends_at is not None


async def test_jobs_are_grouped_by_model_and_none_waits_for_ever(
    tmp_path: Path, clock: Clock
) -> None:
    """Some of the loaded model go before an older one of another, until it is its turn."""
    models = ("small", "large")
    async with a_studio(tmp_path, clock, GENEROUS, models=models) as (studio, database):
        order = ["small", "large", *["small"] * 6]
        for model in order:
            await studio.submit(origin(), Wish(prompt="play", seconds=2, model=model))
        loaded, served = ("small",), []
        while True:
            async with database.transaction() as tx:
                job = await queue.claim(tx, opening(*loaded), clock())
                if job is None:
                    break
                await jobs.rendered(tx, job.id, clock())
            served.append(job.id)
            loaded = (job.request.model,)
    assert served == [1, 3, 4, 2, 5, 6, 7, 8]


async def test_who_needs_another_model_is_passed_by_four_at_most(
    tmp_path: Path, clock: Clock
) -> None:
    """Those whose turn it is as the oldest pass nobody."""
    models = ("small", "large")
    async with a_studio(tmp_path, clock, GENEROUS, models=models) as (studio, database):
        for _ in range(9):
            await studio.submit(origin(user=1), Wish(prompt="play", seconds=2))
        large = None
        served = []
        while large is None or large.id not in served:
            async with database.transaction() as tx:
                job = await queue.claim(tx, opening("small"), clock())
                assert job
                await jobs.rendered(tx, job.id, clock())
            served.append(job.id)
            if large is None:  # of a member who had nothing yet, so that it is always theirs
                large = await studio.submit(
                    origin(user=2), Wish(prompt="play", seconds=2, model="large")
                )
    aged = [at for at in range(len(served)) if fairness.is_aged(at)]
    assert len(served) - 2 - len(aged) == 4


async def test_a_model_without_a_free_slot_keeps_nobody_waiting_who_asks_for_another(
    tmp_path: Path, clock: Clock
) -> None:
    """It stays their turn meanwhile; nothing is loaded in the place of a model that is full."""
    models = ("small", "ace", "large")
    async with a_studio(tmp_path, clock, GENEROUS, models=models) as (studio, database):
        for model in ("ace", "ace", "large", "small", "small"):
            await studio.submit(origin(), Wish(prompt="play", seconds=2, model=model))
        served, turns = [], []
        for full in ((), ("ace",), ("ace",), ("ace",), ()):
            async with database.transaction() as tx:
                job = await queue.claim(tx, opening("ace", "small", full=full), clock())
                served.append(job and job.id)
                turns.append(await state.turn(tx))
    assert served == [1, 4, 5, None, 2]
    assert turns == [1, 1, 1, 1, 2]


async def test_the_idle_lane_waits_for_who_pays_and_needs_a_slot(
    tmp_path: Path, clock: Clock
) -> None:
    async with a_studio(tmp_path, clock) as (_, database), database.transaction() as tx:
        await put(tx, "jobs", status=Status.QUEUED, model="ace")
        await put(tx, "jobs", status=Status.QUEUED, model="small", priority=-1)
        assert await queue.claim(tx, opening("ace", "small", full=("ace",)), clock()) is None


async def test_nobody_is_passed_while_nobody_starts(tmp_path: Path, clock: Clock) -> None:
    """What has seen the engine die renders alone: whoever waits for its end was not overtaken."""
    models = ("small", "large")
    async with a_studio(tmp_path, clock, GENEROUS, models=models) as (studio, database):
        alone = await studio.submit(origin(), Wish(prompt="play", seconds=2, model="small"))
        async with database.transaction() as tx:
            assert await queue.claim(tx, opening("small"), clock())
            assert await queue.wait_again(tx, alone.id, clock(), deaths=1)
            assert await queue.claim(tx, opening("small"), clock())
            starts = await state.turn(tx)
        large = await studio.submit(origin(), Wish(prompt="play", seconds=2, model="large"))
        small = await studio.submit(origin(), Wish(prompt="play", seconds=2, model="small"))
        for _ in range(queue.MOST_PASSED):
            async with database.transaction() as tx:
                assert await queue.claim(tx, opening("small"), clock()) is None
        async with database.transaction() as tx:
            assert await state.turn(tx) == starts
            assert [await backlog.passed(tx, waiting.id) for waiting in (large, small)] == [0, 0]
            await jobs.rendered(tx, alone.id, clock())
            job = await queue.claim(tx, opening("small"), clock())
            assert job
            assert job.id == small.id, "its turn comes first, but its model is not at hand"
            await jobs.rendered(tx, small.id, clock())
            job = await queue.claim(tx, opening("small"), clock())
            assert job
            assert job.id == large.id


async def test_a_job_that_was_stopped_renders_no_more_than_its_preview_after_a_crash(
    plan: Plan,
) -> None:
    async with composed(plan) as studio:
        job = await studio.submit(origin(), Wish(prompt="long kill", seconds=60))

        async def previewed() -> bool:
            return any(owed.post.kind is PostKind.PREVIEW for owed in await owed_by(studio))

        await until(previewed)
        await studio.stop(job.id, member())
        assert (await ended(studio, job)).status is Status.RENDERED
        (owed,) = [each for each in await owed_by(studio) if each.post.kind is PostKind.RESULT]
    (take,) = owed.takes
    assert (take.seconds, take.charged_seconds) == (30, 30)
