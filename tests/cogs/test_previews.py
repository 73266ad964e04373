"""Previews: each stands for music that exists, whatever becomes of the attempt that made it."""

import asyncio
import os
import signal
from dataclasses import replace

import discord
import pytest

from bot.app import Plan
from bot.errors import Refusal
from bot.tables import takes
from bot.values import Job, Limits, Status, Wish
from tests.support.clock import Clock, until
from tests.support.deliveries import MESSAGES, answers, looks, looks_until
from tests.support.processes import children
from tests.support.shown import told
from tests.support.studio import member, origin
from tests.support.world import World, world


async def owed(w: World) -> bool:
    """Wait until a preview was tried in vain."""

    async def look() -> bool:
        rows = await w.database.fetch("SELECT attempts FROM posts WHERE kind = 'preview'")
        return bool(rows and rows[0]["attempts"])

    return await until(look)


async def attempt(w: World, number: int) -> Job:
    """Wait until the first piece is rendered for the so-many-th time."""

    async def look() -> Job | None:
        job = await w.studio.job(1)
        return job if job.status is Status.RUNNING and job.attempts == number else None

    return await until(look)


def previews(w: World) -> list[discord.Message]:
    return [
        message
        for message in w.messages()
        if message.embeds and "first half minute" in (message.embeds[0].title or "")
    ]


def kill_engines() -> None:
    for engine in children(os.getpid()):
        os.kill(engine, signal.SIGKILL)


async def test_a_preview_that_is_owed_as_the_engine_dies_is_not_posted(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await w.generate("long later", 60)
        await owed(w)
        kill_engines()
        await attempt(w, 2)
        await looks(w, clock, 3, seconds=10)
        assert previews(w) == []

        async def unheard() -> bool:
            return not (await w.studio.job(1)).heard

        await until(unheard)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).used == 0


async def test_a_preview_that_is_owed_as_its_piece_gives_way_is_not_posted(
    plan: Plan, clock: Clock
) -> None:
    tier = replace(plan.defaults[0], per_day=10)
    lane = replace(plan, clock=clock, defaults=(tier,), limits=Limits(idle_lane=True))
    async with world(lane) as w:
        await w.generate("play", 10)
        await w.ended(1, Status.DELIVERED)
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await w.generate("long later", 60)
        await owed(w)
        await w.generate("slow", 5, by=w.bob)
        await w.ended(3, Status.RUNNING)
        assert (await w.studio.job(2)).status is Status.QUEUED
        await looks(w, clock, 3, seconds=10)
        assert previews(w) == []
        assert {file.name for file in (plan.folder / "audio").glob("2-*")} == set()


async def test_a_preview_that_is_owed_as_the_bot_stops_is_not_posted(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await w.generate("long later", 60)
        await owed(w)
        await w.restart(replace(plan, clock=clock))
        await attempt(w, 1)
        await looks(w, clock, 3, seconds=10)
        assert previews(w) == []


@pytest.mark.parametrize("stands", [True, False])
async def test_a_second_attempt_posts_a_preview_of_its_own(
    plan: Plan, clock: Clock, *, stands: bool
) -> None:
    """That of the first attempt goes once the second one's stands, if it was posted at all."""
    async with world(replace(plan, clock=clock)) as w:
        if not stands:
            w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await w.generate("long", 60)
        first = (await w.result()).id if stands else await owed(w)
        kill_engines()
        await attempt(w, 2)

        async def replaced() -> discord.Message | None:
            found = previews(w)
            return found[0] if len(found) == 1 and found[0].id != first else None

        assert len((await until(replaced)).attachments) == 1
        await w.alice.click(await until(replaced), label="Stop here")
        await w.ended(1, Status.DELIVERED)

        async def alone() -> bool:
            return len(w.results()) == 1

        await until(alone)


async def test_a_preview_whose_answer_was_lost_is_found_and_replaced(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        lost = iter([TimeoutError()])
        with answers(w.bot, lambda _: next(lost, None)):
            await w.generate("long later", 60)
            await owed(w)
            (first,) = previews(w)
            kill_engines()
            await attempt(w, 2)
            await looks(w, clock, 3, seconds=10)
            assert [found.id for found in previews(w)] == [first.id]
            assert (await w.studio.job(1)).heard
            (plan.folder / "go-1").touch()

            async def replaced() -> bool:
                found = previews(w)
                return len(found) == 1 and found[0].id != first.id

            await until(replaced)


async def test_stopping_a_second_attempt_before_it_has_music_waits_for_its_beginning(
    plan: Plan,
) -> None:
    """No engine is lost by it, and what was heard is not lost either."""
    async with world(plan) as w:
        await w.generate("long later", 60)
        preview = await w.result()
        kill_engines()
        await attempt(w, 2)
        await w.alice.click(preview, label="Stop here")
        await asyncio.sleep(0.3)
        job = await w.studio.job(1)
        assert (job.status, job.attempts, job.stopping) == (Status.RUNNING, 2, True)
        (plan.folder / "go-1").touch()
        job = await w.ended(1, Status.DELIVERED)
        assert (job.attempts, job.deaths) == (2, 1)
        (take,) = await takes.of(w.database, 1)
        assert (take.seconds, take.charged_seconds) == (33.5, 34)
        rows = await w.database.fetch("SELECT id FROM posts WHERE kind = 'preview'")
        assert len(rows) == 1, "the music itself comes in a moment"


async def test_stopping_what_waits_again_gives_what_was_heard(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("long", 60)
        preview = await w.result()
        await w.bot.services.operations.pause("")
        kill_engines()

        async def waits() -> bool:
            return (await w.studio.job(1)).status is Status.QUEUED

        await until(waits)
        await w.alice.click(preview, label="Stop here")
        with pytest.raises(Refusal, match="#1 is already stopping"):
            await w.studio.stop(1, member(w.alice.id, w.guild.id))
        await w.bot.services.operations.resume()
        job = await w.ended(1, Status.DELIVERED)
        assert (job.attempts, job.deaths) == (2, 1)
        (take,) = await takes.of(w.database, 1)
        assert (take.seconds, take.charged_seconds) == (30, 30)


async def test_an_idle_piece_gives_way_to_nobody_while_nothing_is_started(plan: Plan) -> None:
    tier = replace(plan.defaults[0], per_day=5)
    async with world(replace(plan, defaults=(tier,), limits=Limits(idle_lane=True))) as w:
        await w.generate("play", 5)
        await w.ended(1, Status.DELIVERED)
        await w.generate("slow", 5)
        await w.ended(2, Status.RUNNING)
        await w.bot.services.operations.pause("")
        await w.generate("play", 2, by=w.bob)
        await asyncio.sleep(0.3)
        assert (await w.studio.job(2)).status is Status.RUNNING
        await w.bot.services.operations.resume()
        await w.ended(3, Status.DELIVERED)
        assert (await w.studio.job(2)).attempts <= 1


async def test_what_is_rendered_already_is_not_stopped_any_more(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.generate("long", 60)
        preview = await w.result()
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        alice = member(w.alice.id, w.guild.id)
        await w.studio.stop(1, alice)
        await w.ended(1, Status.RENDERED)
        with pytest.raises(Refusal, match="#1 is already rendered"):
            await w.studio.cancel(1, alice)
        assert "#1 is already rendered" in told(await w.alice.click(preview, label="Stop here"))
        await looks_until(w, clock, 1, Status.DELIVERED, seconds=10)
        (take,) = await takes.of(w.database, 1)
        assert (take.seconds, take.charged_seconds) == (33.5, 34)


async def test_an_idle_piece_gives_way_to_nobody_once_the_bot_is_ending(plan: Plan) -> None:
    """It may end within the time that there is; the other one is started after the next start."""
    tier = replace(plan.defaults[0], per_day=5)
    async with world(replace(plan, defaults=(tier,), limits=Limits(idle_lane=True))) as w:
        await w.generate("play", 5)
        await w.ended(1, Status.DELIVERED)
        await w.generate("pause", 5)
        await w.ended(2, Status.RUNNING)
        w.bot.services.operations.drain()
        await w.studio.submit(origin(2, w.guild.id, w.music.id), Wish(prompt="play", seconds=2))

        async def no_more() -> Job | None:
            job = await w.studio.job(2)
            return None if job.status is Status.RUNNING else job

        assert (await until(no_more)).status in (Status.RENDERED, Status.DELIVERED)
        assert (await w.studio.job(3)).status is Status.QUEUED
