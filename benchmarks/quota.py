"""What asking costs with a long history, against an empty database."""

import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import Row
from bot.app import Bells, Plan, services_of
from bot.engine.files.encoder import Encoder
from bot.monitoring.metrics import Metrics
from bot.rules.days import day
from bot.rules.tiers import FREE
from bot.tables.database import Database
from bot.tables.opening import open_database
from bot.values import Actor, Limits, Origin, Wish
from tests.support.clock import Clock

AT_MOST = 2.0
CALLS = 300
SERVERS = 1000
DAYS = 300
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ME = Origin(guild_id=1, channel_id=1, user_id=1, user_name="me", application_id=1, token="t")
TIER = replace(FREE, per_day=10**9, waiting=10**6)

JOBS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO jobs (
    status, guild_id, channel_id, user_id, user_name, application_id, token, prompt, seconds, takes,
    work, model, seed, tier, allowance_seconds, day, created_at,
    charged_at, started_at, rendered_at, ended_at
)
SELECT 'delivered', 1 + i % ?, 1, 1 + i % ?, 'someone', 1, 't', 'mozart fantasia', 8, 1,
    8, 'small', i, 'Free', 8, date(?, '-' || (i % ?) || ' days'), ? - (i % ?) * 86400,
    ? - (i % ?) * 86400, ? - (i % ?) * 86400, ? - (i % ?) * 86400, ? - (i % ?) * 86400
FROM n
"""
TAKES = """
INSERT INTO takes (job_id, number, seed, state, charged_seconds, seconds)
SELECT id, 1, seed, 'rendered', 8, 8 FROM jobs
"""
POSTS = """
INSERT INTO posts (job_id, part, kind, nonce, due_at, delivered_at)
SELECT id, 0, 'result', 'nonce ' || id, created_at, created_at FROM jobs
"""
GRANTS = """
INSERT INTO grants (guild_id, user_id, seconds, reason, created_at)
SELECT guild_id, user_id, 100, 'a gift', created_at FROM jobs WHERE id % 50 = 0
"""


async def rows(jobs: int = 1_000_000, members: int = 100_000) -> list[Row]:
    """Fill a database and measure in pairs."""
    found = []
    cores = os.sched_getaffinity(0)
    # On one core: waking a connection's thread on another costs as much as the query, or nothing.
    os.sched_setaffinity(0, {min(cores)})
    async with AsyncExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, cores)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        empty = await stack.enter_async_context(open_database(folder / "empty.db"))
        full = await stack.enter_async_context(open_database(folder / "full.db"))
        await _fill(full, jobs, members)
        for name, limits in (
            ("", Limits()),
            (" with a server's day", Limits(server_seconds_per_day=10**9)),
        ):
            sides = [await _side(database, limits) for database in (full, empty)]
            for what in ("submit", "usage"):
                long = f"{what}{name} after {jobs:,} jobs, against none"
                found.append(await _compare(long, [side[what] for side in sides]))
    return found


async def _fill(database: Database, jobs: int, members: int) -> None:
    now, today = NOW.timestamp(), day(NOW)
    async with database.transaction() as tx:
        times = (now, DAYS) * 5
        await tx.execute(JOBS, (jobs, SERVERS, members, today, DAYS, *times))
        for statement in (TAKES, POSTS, GRANTS):
            await tx.execute(statement)
    await database.fetch("PRAGMA wal_checkpoint(TRUNCATE)")  # as after months, not one great write


async def _side(database: Database, limits: Limits) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return what is measured, for a member with a busy day and an open grant."""
    plan = Plan(
        folder=Path(),
        command=(),
        models=("small",),
        clock=Clock(),
        defaults=(TIER,),
        limits=replace(limits, waiting=10**6, waiting_per_server=10**6),
    )
    services = services_of(plan, database, Encoder((), {}, 0), Bells(), Metrics())
    studio, accounts, member_admin = services.studio, services.accounts, services.member_admin
    await member_admin.grant(
        1, Actor(id=2, name="admin"), Actor(id=1, name="me"), 100, "a gift", None
    )
    for _ in range(20):
        await studio.submit(ME, Wish(prompt="mozart fantasia", seconds=8))

    async def submit() -> None:
        await studio.submit(ME, Wish(prompt="mozart fantasia", seconds=8))

    return {"submit": submit, "usage": lambda: accounts.usage(1, 1)}


async def _compare(name: str, sides: list[Callable[[], Awaitable[object]]]) -> Row:
    times: list[list[float]] = [[], []]
    for call in range(2 * CALLS):
        turn = call % 2 if call // 2 % 2 else 1 - call % 2  # who goes first alternates
        begun = time.perf_counter()
        await sides[turn]()
        times[turn].append(1000 * (time.perf_counter() - begun))
    full, empty = (statistics.median(spent) for spent in times)
    return Row(name=name, ours=full, theirs=empty, unit="ms", at_most=AT_MOST)
