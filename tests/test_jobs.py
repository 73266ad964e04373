"""Any order of events keeps: no job lost, each post told once, seconds never over nor below."""

import asyncio
from pathlib import Path

from hypothesis import settings as hypothesis_settings

from bot.engine.messages import PREVIEW_SECONDS
from bot.errors import Refusal
from bot.tables.opening import open_database
from bot.values import Job, Later, Wish
from tests.support.clock import Clock
from tests.support.life import SMALL, Life, life
from tests.support.studio import origin, rooms

__all__ = ["life"]

TestLife = Life.TestCase
TestLife.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, print_blob=True)


def test_a_beginning_that_was_not_posted_is_not_charged_to_who_is_forgotten(life: Life) -> None:
    life.submit(1, 40, 1)
    life.claim()
    life.do(life.make_beginning(life.running[0]))
    life.send()
    life.forget(1)
    life.hear(Later())
    (take,) = life.do(life.database.fetch("SELECT charged_seconds FROM takes"))
    assert take["charged_seconds"] == PREVIEW_SECONDS, "for all that is known, it stands there"
    life.clock.turn(minutes=6)
    life.send()
    (take,) = life.do(life.database.fetch("SELECT charged_seconds FROM takes"))
    assert take["charged_seconds"] == 0


async def test_two_hundred_concurrent_submits_let_through_what_fits(
    tmp_path: Path,
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        studio = rooms(database, tmp_path, Clock(), SMALL).services.studio
        asked = [studio.submit(origin(), Wish(prompt="play", seconds=8)) for _ in range(200)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 3
    assert sum(isinstance(outcome, Refusal) for outcome in outcomes) == 197
