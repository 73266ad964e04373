"""Clocks that are set while the bot runs, or were wrong for a while: nothing is lost by it."""

import asyncio
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.app import Plan
from bot.clock import utc_now
from bot.retention.archive import FORGOTTEN_AFTER
from bot.retention.calendar import PROBATION, Calendar
from bot.retention.erasure import LONGEST_DELETION_PAUSE
from bot.tables import backlog, removals, speeds, uploads
from bot.tables.opening import open_database
from bot.values import Job, Keep, Status, Target, Upload, UploadLimits, Wish
from tests.support.clock import Clock, until
from tests.support.deliveries import MESSAGES, looks_until, undeliverable
from tests.support.one_engine import known_speed
from tests.support.shown import answered
from tests.support.studio import origin
from tests.support.world import World, world

SKETCH = (sys.executable, "-m", "bot.engine.worker", "--engine", "sketch", "--pace", "0.1")


class Set:
    """A clock that goes on, from a time that may be set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def ticks(self) -> float:
        return time.monotonic()


def at_1970() -> Set:
    clock = Set()
    clock.ahead = -timedelta(seconds=utc_now().timestamp() - 100)
    return clock


async def asked(w: World, prompt: str, seconds: int = 2) -> Job:
    here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
    return await w.studio.submit(here, Wish(prompt=prompt, seconds=seconds))


STEPS = {
    "a minute back": (Set, timedelta(minutes=-1)),
    "an hour back": (Set, timedelta(hours=-1)),
    "three days back": (Set, timedelta(days=-3)),
    "forward from 1970": (at_1970, timedelta(days=20_000)),
    "400 days forward": (Set, timedelta(days=400)),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_clock_that_is_set_while_a_piece_renders_harms_no_piece(
    plan: Plan, step: str
) -> None:
    made, by = STEPS[step]
    clock = made()
    plan = replace(plan, clock=clock, command=SKETCH, models=("sketch",), grace=5.0)
    async with world(plan) as w:
        await asked(w, "a waltz", seconds=10)
        await w.ended(1, Status.RUNNING)
        await asyncio.sleep(0.3)
        clock.ahead += by
        spent = (await w.ended(1, Status.DELIVERED)).spent
        assert spent
        assert 0.3 < spent < 100
        learnt = await known_speed(w.database, "sketch")
        assert learnt
        assert 0 < learnt.pace < 20
        for number in range(2, 6):
            shown = await w.generate("a polka", 20 if number == 2 else 1)
            assert not shown.ephemeral, answered(shown).content
        assert (await w.alice.slash(w.music, "queue")).response
        assert (await w.ended(2, Status.DELIVERED)).attempts == 1
        await w.restart(plan)
        await w.generate("a polka", 1)
        await w.ended(6, Status.DELIVERED)


async def test_what_a_clock_that_was_ahead_postponed_is_not_waited_for(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        clock.set(days=1)
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await asked(w, "play")

        async def tried() -> bool:
            rows = await w.database.fetch("SELECT attempts FROM posts")
            return any(row["attempts"] for row in rows)

        await until(tried)
        await asked(w, "play")
        clock.set(days=-1)
        for job in (1, 2):
            await looks_until(w, clock, job, Status.DELIVERED, seconds=1)


@pytest.mark.parametrize("pace", [-14.9, 0.0, 4.4e7, 9e999])
async def test_a_pace_that_cannot_be_is_measured_again(plan: Plan, pace: float) -> None:
    """Such as stood in a database that an older release wrote while the clock was set."""
    async with world(plan) as w:
        await asked(w, "play")
        await w.ended(1, Status.DELIVERED)
        async with w.database.transaction() as tx:
            await tx.execute("UPDATE speeds SET pace = ?", (pace,))
        for number in range(2, 14):
            shown = await w.generate("play", 1)
            assert not shown.ephemeral
            await w.ended(number, Status.DELIVERED)
        await w.restart(plan)
        await asked(w, "play", seconds=120)
        assert (await w.ended(14, Status.DELIVERED)).attempts == 1
        found = await known_speed(w.database, "scripted")
        assert found
        assert 0 < found.pace <= speeds.SLOWEST_PACE


async def test_a_clock_that_is_ahead_for_one_start_removes_nothing(
    plan: Plan, clock: Clock
) -> None:
    plan = replace(plan, clock=clock)
    music = plan.folder / "audio" / "1-1.wav"

    async def tidied(w: World) -> Job:
        await w.bot.services.archive.prune(Keep(days=10))
        await w.bot.services.archive.forget_the_left()
        return await w.studio.job(2)

    async with world(plan) as w:
        await asked(w, "play")
        await w.ended(1, Status.DELIVERED)
        await w.studio.submit(
            origin(guild=LEFT, channel=w.music.id), Wish(prompt="play", seconds=2)
        )
        await w.ended(2, Status.DELIVERED)
        await w.bot.services.archive.left(LEFT)
        for ahead in (400, -400):
            clock.set(days=ahead)
            await w.restart(plan)
            assert (await tidied(w)).request.prompt == "play"
            assert music.exists()
        clock.turn(days=FORGOTTEN_AFTER.days + 1)
        assert (await tidied(w)).forgotten
        assert not music.exists()


async def test_words_do_not_age_by_a_clock_that_is_ahead_for_one_start(
    plan: Plan, clock: Clock
) -> None:
    plan = replace(plan, clock=clock, keep=Keep(words=30))
    async with world(plan) as w:
        await asked(w, "fail")
        await w.ended(1, Status.FAILED)
        await w.bot.services.erasure.age(plan.keep)
        clock.set(days=400)
        await w.restart(plan)
        await w.bot.services.erasure.age(plan.keep)
        assert (await w.studio.job(1)).request.prompt == "fail"
        clock.turn(days=1)
        await w.bot.services.erasure.age(plan.keep)
        assert (await w.studio.job(1)).request.prompt == ""


LEFT = 777
"""A server that the bot was removed from."""


async def test_a_calendar_believes_a_jump_once_the_bot_ran_for_a_day(
    tmp_path: Path, clock: Clock
) -> None:
    begun = clock()
    async with open_database(tmp_path / "test.db") as database:

        def started() -> Calendar:
            return Calendar(database, clock=clock, ticks=clock.ticks)

        calendar = started()
        assert await calendar.today() == begun
        clock.turn(hours=5)
        assert await calendar.today() == clock()
        clock.set(hours=23)
        assert await calendar.today() == clock(), "so little is not worth a doubt"
        clock.set(days=-3)
        assert await calendar.today() == clock(), "back at once"
        then = clock()
        clock.set(days=60)
        for hours in (0, 10, 10):
            calendar = started()
            clock.turn(hours=hours)
            assert (await calendar.today()).date() in (then.date(), (then + DAY).date())
        clock.turn(seconds=PROBATION - 20 * 3600)
        assert await calendar.today() == clock(), "it was away, and this is the time"


async def test_what_could_not_be_posted_by_a_clock_that_was_ahead_keeps_nobody_waiting(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        clock.set(days=400)
        await undeliverable(w, 1)
        await undeliverable(w, 2)
        clock.set(days=-400)
        await w.generate("play")
        await w.ended(3, Status.DELIVERED)


async def test_what_was_made_by_a_clock_that_stood_at_1970_is_kept_as_long_as_any(
    plan: Plan, clock: Clock
) -> None:
    keep, behind = Keep(days=10, words=10), 365 * 50
    async with world(replace(plan, clock=clock)) as w:
        clock.set(days=-behind)
        await asked(w, "play")
        await w.ended(1, Status.DELIVERED)
        await w.bot.services.archive.prune(keep)
        clock.set(days=behind)
        for day in range(14):  # the clock is believed after one
            assert (plan.folder / "audio" / "1-1.wav").exists() == (day <= 10), day
            assert (await w.studio.job(1)).forgotten == (day > 11), day
            clock.turn(days=1)
            await w.bot.services.archive.prune(keep)
            await w.bot.services.erasure.age(keep)


DAY = timedelta(days=1)


async def test_what_was_seen_by_a_clock_that_was_ahead_holds_nobody_up(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        database, real = w.database, clock()
        clock.set(days=400)
        await asked(w, "hungry", seconds=60)
        await w.ended(1, Status.FAILED)
        target = Target(guild=w.guild.id, answer=False)
        async with database.transaction() as tx:
            await uploads.refused(tx, Upload(target, (1000,)), clock())
        clock.set(days=-400)
        assert await backlog.shares(database, real - DAY, real) == []
        assert await uploads.limits(database, target, real - DAY, real) == UploadLimits()
        async with database.transaction() as tx:  # in which the bot cannot take it
            await tx.execute(
                "INSERT INTO removals (message_id, channel_id, due_at) VALUES (9, 8, ?)",
                ((real + 400 * DAY).timestamp(),),
            )
            due = await removals.due(tx, clock(), clock() + LONGEST_DELETION_PAUSE, 1)
            assert [removal.message for removal in due] == [9]
        await asked(w, "play", seconds=60)
        await w.ended(2, Status.DELIVERED)
