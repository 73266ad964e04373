"""Many engines over one queue: what they deliver together, and what a claim costs."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.load import Side, quantile, simulated
from benchmarks.quota import ME, NOW, TIER
from benchmarks.report import Row
from bot import queue
from bot.app import Bells, Plan, services_of
from bot.client import Fantasia
from bot.dispatch.openings import EngineSlots, opening
from bot.engine.files.encoder import Encoder
from bot.engine.placement import Placement
from bot.monitoring.metrics import Metrics
from bot.studio import Studio
from bot.tables import engines
from bot.tables.database import Database
from bot.tables.opening import open_database
from bot.tables.tallies import counts
from bot.values import EngineState, Limits, Status, Wish
from tests.support import inside
from tests.support.clock import Clock
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS, origin

ENGINES = (1, 2, 4, 8)
PIECES = 20
"""Pieces of a second for each engine."""

CHANNELS = 40

CLAIMS = 200
LARGE = (64, 10_000, 2_000)
SMALL = (1, 100, 20)
"""Engines, waiting jobs and members."""

WAITING = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)
INSERT INTO jobs (
    status, guild_id, channel_id, user_id, user_name, application_id, token, prompt, seconds, takes,
    work, model, seed, tier, allowance_seconds, day, created_at, charged_at
)
SELECT 'queued', 1 + i % :members % 40, 1, 1 + i % :members, 'someone', 1, 't', 'mozart fantasia',
    8, 1, 8, 'small', i, 'Free', 8, '2026-11-23', :now, :now
FROM n
"""


STARTED = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs / 2)
INSERT INTO jobs (
    status, guild_id, channel_id, user_id, user_name, application_id, token, prompt, seconds, takes,
    work, model, seed, tier, allowance_seconds, day, created_at, charged_at, started_at
)
SELECT 'delivered', 1 + i % :members % 40, 1, 1 + i % :members, 'someone', 1, 't',
    'mozart fantasia', 8, 1, 1 + i % 97, 'small', i, 'Free', 8, '2026-11-23', :now, :now,
    :now - i % 3500
FROM n
"""
"""What was started within the hour that counts for whose turn it is."""

TAKES = "INSERT INTO takes (job_id, number, seed, charged_seconds) SELECT id, 1, 1, 8 FROM jobs"


def rows() -> list[Row]:
    """Run everything."""
    return [*asyncio.run(_delivered()), *asyncio.run(_claims())]


async def _delivered() -> list[Row]:
    found = []
    for count in ENGINES:
        rate = await _rate(count)
        found.append(
            Row(
                name=f"delivered by {count} engine{'s' * (count > 1)} of one piece a second each",
                ours=rate,
                theirs=count,
                unit="jobs/s",
                at_least=0.9,
            )
        )
    return found


async def _rate(count: int) -> float:
    """Return how many pieces a second these engines deliver, in many channels."""
    wanted = PIECES * count
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            folder=Path(folder) / "data",
            command=SCRIPTED,
            models=("scripted",),
            placements=tuple(Placement(f"cpu-{number}") for number in range(count)),
            defaults=(replace(GENEROUS, per_day=86_400, waiting=1000),),
            limits=Limits(waiting=10**6, waiting_per_server=10**6),
        )
        async with simulated(plan, Side()) as env:
            bot = env.bot
            assert isinstance(bot, Fantasia)
            studio, operations = bot.services.studio, bot.services.operations
            database = inside.database(studio)
            guild = env.create_guild("Conservatory")
            rooms = [guild.create_text_channel(f"music-{number}") for number in range(CHANNELS)]
            members = [guild.add_member(env.create_user(f"member {i}")) for i in range(CHANNELS)]
            await operations.pause("until all have asked")
            for turn in range(wanted):
                here = turn % CHANNELS
                ask = origin(user=members[here].id, guild=guild.id, channel=rooms[here].id)
                await studio.submit(ask, Wish(prompt="second", seconds=1))
            while not all(  # noqa: ASYNC110
                each.state is EngineState.READY for each in await engines.every(database)
            ):
                await asyncio.sleep(0.1)
            begun = time.perf_counter()
            await operations.resume()
            while (await counts(database)).get(Status.DELIVERED) != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return wanted / (time.perf_counter() - begun)


async def _claims() -> list[Row]:
    cores = os.sched_getaffinity(0)
    # On one core: waking a connection's thread on another costs as much as the query, or nothing.
    os.sched_setaffinity(0, {min(cores)})
    async with AsyncExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, cores)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = [
            await stack.enter_async_context(_busy(folder / f"{size[0]}.db", *size))
            for size in (LARGE, SMALL)
        ]
        times: list[list[float]] = [[], []]
        for turn in range(2 * CLAIMS):
            times[turn % 2].append(await sides[turn % 2].claim())
        large, small = (quantile(spent, 0.99) for spent in times)
        idle = [await sides[0].submit() for _ in range(CLAIMS)]
        claims = asyncio.create_task(sides[0].claim_on())
        beside = [await sides[0].submit() for _ in range(CLAIMS)]
        claims.cancel()
    what = "{} engine(s), {:,} waiting jobs of {:,} members".format
    return [
        Row(
            name=f"a claim, p99: {what(*LARGE)}, against {what(*SMALL)}",
            ours=1000 * large, theirs=1000 * small, unit="ms", at_most=3,
            note=f"p50 {1000 * quantile(times[0], 0.5):.1f} against "
            f"{1000 * quantile(times[1], 0.5):.1f} ms",
        ),
        Row(
            name=f"submit, p99, while {LARGE[0]} engines claim, against none",
            ours=1000 * quantile(beside, 0.99), theirs=1000 * quantile(idle, 0.99),
            unit="ms", at_most=3,
        ),
    ]  # fmt: skip


class Claims:
    """A database with many waiting jobs, and the engines that claim them."""

    def __init__(self, database: Database, studio: Studio, count: int) -> None:
        self._database = database
        self._studio = studio
        self._engines = {f"gpu-{number}": EngineSlots(f"gpu-{number}") for number in range(count)}
        for slots in self._engines.values():
            slots.ready(["small"], [], "small", 1)
        self._turn = 0

    async def claim(self) -> float:
        """Return the seconds of a claim by the next engine, which hands it back at once."""
        name = f"gpu-{self._turn % len(self._engines)}"
        self._turn += 1
        begun = time.perf_counter()
        could = opening(self._engines[name], self._engines)
        async with self._database.transaction() as tx:
            job = await queue.claim(tx, could, NOW)
        spent = time.perf_counter() - begun
        assert job
        async with self._database.transaction() as tx:
            assert await queue.wait_again(tx, job.id, NOW, attempts=0)
        return spent

    async def claim_on(self) -> None:
        """Claim as often as all engines do that need a second for a piece."""
        while True:
            spent = await self.claim()
            await asyncio.sleep(max(0.0, 1 / len(self._engines) - spent))

    async def submit(self) -> float:
        begun = time.perf_counter()
        await self._studio.submit(ME, Wish(prompt="mozart fantasia", seconds=8))
        return time.perf_counter() - begun


@asynccontextmanager
async def _busy(path: Path, count: int, waiting: int, members: int) -> AsyncIterator[Claims]:
    async with open_database(path) as database:
        async with database.transaction() as tx:
            await tx.execute(WAITING, {"jobs": waiting, "members": members, "now": NOW.timestamp()})
            await tx.execute(STARTED, {"jobs": waiting, "members": members, "now": NOW.timestamp()})
            await tx.execute(TAKES)
        plan = Plan(
            folder=Path(),
            command=(),
            models=("small",),
            clock=Clock(),
            defaults=(TIER,),
            limits=Limits(waiting=10**6, waiting_per_server=10**6),
        )
        services = services_of(plan, database, Encoder((), {}, 0), Bells(), Metrics())
        yield Claims(database, services.studio, count)


if __name__ == "__main__":
    from benchmarks.report import show

    print(show(rows(), {}))
