"""Whose turn it is by the rows, against the rules played over the same jobs."""

import random

import pytest

from bot import queue
from bot.rules.fairness import WINDOW, Line, Shares
from bot.tables import backlog, state
from bot.tables.database import Database
from tests.support.clock import Clock
from tests.support.one_engine import opening
from tests.support.rows import put

MODELS = ("small", "large", "ace")


@pytest.mark.parametrize("seed", range(12))
async def test_jobs_are_claimed_in_the_order_of_the_line(
    database: Database, clock: Clock, seed: int
) -> None:
    """With all models in memory and slots for all, while new requests come.

    The weights are powers of two: sums of shares are then exact in whatever order.
    """
    dice = random.Random(seed)
    async with database.transaction() as tx:

        async def request(status: str = "queued", ago: float | None = None) -> None:
            now = clock().timestamp()
            await put(
                tx, "jobs", status=status,
                guild_id=dice.randint(1, 4), user_id=dice.randint(1, 3),
                model=dice.choice(MODELS), priority=-dice.randint(0, 1),
                work=dice.randint(1, 4) * 8, weight=dice.choice((1, 2, 4)),
                server_weight=dice.choice((1, 1, 2)),
                started_at=None if ago is None else now - ago,
            )  # fmt: skip

        hour = WINDOW.total_seconds()
        for _ in range(dice.randint(0, 8)):
            await request("rendered", ago=dice.uniform(-hour, 2 * hour))
        for _ in range(20):
            await request()
        could = opening(*MODELS)
        for _ in range(30):
            waiting = await backlog.line(tx)
            shares = Shares(await backlog.shares(tx, clock() - WINDOW, clock()))
            expected = Line(waiting, shares).next(await state.turn(tx))
            job = await queue.claim(tx, could, clock())
            assert (job and job.id) == (expected and expected.id)
            clock.turn(minutes=dice.choice((0, 1, 15)))
            if dice.random() < 0.5:
                await request()
