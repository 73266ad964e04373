"""The longest wait, by what engines with several models claim over the queue's rows."""

import random
from dataclasses import dataclass

import pytest

from bot.dispatch.openings import EngineSlots
from bot.rules.fairness import AGED
from bot.tables import state
from bot.tables.database import Database, Transaction
from bot.values import Job
from tests.support.clock import Clock
from tests.support.rows import put
from tests.support.simulated_fleet import Fleet

MODELS = ("small", "large", "ace")
SLOTS = 2
MANY = 300
"""Starts, of many times as many as the formula allows."""


@dataclass
class Studio:
    """A studio in which somebody comes for each one who goes."""

    tx: Transaction
    fleet: Fleet
    dice: random.Random
    newcomers: int = 0

    async def request(self) -> None:
        """Queue a request of somebody who was served nothing yet, for what most engines have."""
        self.newcomers += 1
        guild = 100 + self.newcomers
        await put(self.tx, "jobs", guild_id=guild, model=self.dice.choice(MODELS[:2]), takes=1)
        self.fleet.ring()

    async def until_started(self, mine: int) -> None:
        """Let engines end jobs, and begin others, in any order until a job is started."""
        for _ in range(MANY):
            await self.request()
            async for engine, job in self.fleet.begin():
                if job.id == mine:
                    return
                await self._load(engine, job.request.model)
                await self.request()
            await self.fleet.ends(*self._any())
        raise AssertionError("it was never served")

    async def _load(self, engine: EngineSlots, model: str) -> None:
        """Load a model in the place of the first, as there is memory for two."""
        if model not in engine.loaded:
            await self.fleet.load(engine, model, [*engine.loaded, model][-2:], SLOTS)

    def _any(self) -> tuple[EngineSlots, Job]:
        running = [
            (engine, running.job)
            for engine in self.fleet.engines.values()
            for running in engine.running.values()
        ]
        return self.dice.choice(running)


@pytest.mark.parametrize("engines", [1, 2, 5])
@pytest.mark.parametrize("seed", range(8))
async def test_no_engine_lets_anybody_wait_longer_than_the_formula_says(
    database: Database, clock: Clock, engines: int, seed: int
) -> None:
    """Those starts count that are somebody's turn."""
    dice = random.Random(seed)
    async with database.transaction() as tx:
        fleet = Fleet(tx, clock, dice)
        for i in range(engines):
            models = MODELS[: dice.choice((2, 3)) if i else 3]
            paces = dict.fromkeys(models, 1.0)
            await fleet.starts(f"gpu-{i}", paces, SLOTS, loaded=MODELS[:2])
        before = dice.randint(0, 3)
        for user in range(before):
            await put(tx, "jobs", guild_id=dice.randint(1, 2), user_id=user, takes=1)
        served = {"guild_id": 1, "user_id": 99, "work": 10**6, "started_at": clock().timestamp()}
        await put(tx, "jobs", **served, status="rendered")
        mine = await put(tx, "jobs", guild_id=1, user_id=99, model=MODELS[seed % 3], takes=1)
        since = await state.turn(tx)
        await Studio(tx, fleet, dice).until_started(mine)
        assert await state.turn(tx) - since <= AGED * (before + 1)
