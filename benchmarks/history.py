"""A long history: what is asked again and again, and others' replies while much is forgotten.

Both sides of the first rows have the same present: the queue, the music that is kept, and the last
day's jobs. Only what was before that differs.
"""

import asyncio
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import simcord

from benchmarks.load import Side, lags, quantile, simulated
from benchmarks.report import Row
from bot import queue
from bot.admin.owner import Operations
from bot.app import Plan
from bot.client import Fantasia
from bot.outbox import Outbox
from bot.retention.archive import FORGOTTEN_AFTER, Archive
from bot.retention.calendar import Calendar
from bot.retention.erasure import Erasure
from bot.tables import jobs, notices, servers, state, takes
from bot.tables.database import Database, Transaction
from bot.tables.opening import open_database
from bot.values import Keep, Limits
from tests.support import inside
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONG, SHORT = 1_000_000, 10_000
AT_MOST = 1.5
CALLS = 150

DAY = 86_400
KEPT, TODAY, QUEUED = 2_000, 200, 50
"""Of the present: jobs whose music is kept, jobs of the last day, and jobs that wait."""

FORGOTTEN, LEFT = 5_000, 50_000
"""Pieces of the member who is forgotten, and of the server that removed the bot."""

ASKED = 200
"""How many replies are measured while nothing else is done, before and after."""

JOBS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
INSERT INTO jobs (
    status, guild_id, channel_id, user_id, user_name, application_id, token, prompt, seconds, takes,
    work, model, seed, tier, allowance_seconds, day, created_at,
    charged_at, started_at, rendered_at, ended_at, fault, status_message_id, shown
)
SELECT status, IIF(?3, ?3, 1 + i % 1000), 1, IIF(?4, ?4, 1 + i % 100000), 'someone', 1, '',
    'mozart fantasia', 8, 1, 8, 'small', i, 'Free', 8, date(at, 'unixepoch'), at, at,
    IIF(status = 'queued', NULL, at), IIF(status = 'queued', NULL, at),
    IIF(status = 'queued', NULL, at), IIF(status = 'failed', 'crash', NULL), i, status
FROM (
    SELECT i, ?5 - i * ?6 AS at, CASE WHEN ?2 <> 'ended' THEN ?2 WHEN i % 10 < 7 THEN 'delivered'
        WHEN i % 10 = 7 THEN 'failed' WHEN i % 10 = 8 THEN 'cancelled' ELSE 'undeliverable' END
        AS status
    FROM n
)
"""
TAKES = """
INSERT INTO takes (job_id, number, seed, state, charged_seconds, seconds)
SELECT id, 1, seed, 'rendered', 8, 8 FROM jobs WHERE id > ?
"""
POSTS = """
INSERT INTO posts (job_id, part, kind, nonce, due_at, place, message_id, delivered_at)
SELECT id, 0, 'result', 'nonce ' || id, created_at, 1, id, created_at
FROM jobs WHERE id > ? AND ended_at IS NOT NULL
"""
FILES = """
UPDATE takes SET audio = 'audio/' || job_id || '-1.wav', codes = 'audio/' || job_id || '-1.npy'
WHERE job_id > ?
"""
PICTURES = "UPDATE jobs SET picture = 'audio/' || id || '-picture.png' WHERE id > ?"


def rows(long: int = LONG, short: int = SHORT, left: int = LEFT) -> list[Row]:
    """Compare two histories, then two ways of forgetting with the same bot that does nothing."""
    logging.disable(logging.ERROR)
    try:
        return [*asyncio.run(_periodic(long, short)), *asyncio.run(_forgetting(left))]
    finally:
        logging.disable(logging.NOTSET)


async def _periodic(long: int, short: int) -> list[Row]:
    cores = os.sched_getaffinity(0)
    # On one core: waking a connection's thread on another costs as much as the query, or nothing.
    os.sched_setaffinity(0, {min(cores)})
    async with AsyncExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, cores)
        sides = []
        for number in (long, short):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            database = await stack.enter_async_context(open_database(folder / "fantasia.db"))
            begun = time.perf_counter()
            await _fill(database, number)
            spent = time.perf_counter() - begun
            sides.append(await _asked_again(database, folder))
            print(f"{number:,} jobs written in {spent:.0f} s", file=sys.stderr)
        return [
            await _compare(
                f"{what}, {long:,} jobs against {short:,}", [side[what] for side in sides]
            )
            for what in sides[0]
        ]


async def _fill(database: Database, past: int) -> None:
    now = int(NOW.timestamp())
    async with database.transaction() as tx:
        old = now - 31 * DAY
        await _jobs(tx, past, "ended", at=old, every=20)
        await _jobs(tx, KEPT, "delivered", at=now - 2 * DAY, every=900, kept=True)
        await _jobs(tx, TODAY, "delivered", at=now, every=400, kept=True)
        await _jobs(tx, QUEUED, "queued", at=now, every=1)
    await database.fetch("PRAGMA wal_checkpoint(TRUNCATE)")  # as after months, not one great write


async def _jobs(
    tx: Transaction,
    number: int,
    status: str,
    *,
    at: int,
    every: int,
    guild: int = 0,
    user: int = 0,
    kept: bool = False,
) -> None:
    """Write so many jobs, one `every` so many seconds; 0 stands for many servers and members."""
    before = await state.highest(tx)
    await tx.execute(JOBS, (number, status, guild, user, at, every))
    for statement in (TAKES, POSTS, *((FILES, PICTURES) if kept else ())):
        await tx.execute(statement, (before,))


async def _asked_again(
    database: Database, folder: Path
) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return what is done every few seconds, minutes or hours, and at each look from outside."""
    bells = {name: asyncio.Event() for name in ("work", "news", "drain")}
    outbox = Outbox(database, clock=lambda: NOW, news=bells["news"])
    calendar = Calendar(database, clock=lambda: NOW, ticks=time.monotonic)
    archive = Archive(
        database,
        folder=folder,
        clock=lambda: NOW,
        calendar=calendar,
        work=bells["work"],
    )
    operations = Operations(database, folder=folder, clock=lambda: NOW, **bells)
    erasure = Erasure(database, clock=lambda: NOW, calendar=calendar)
    here = {*await servers.known(database)}

    async def look() -> None:
        await outbox.owed()
        await outbox.previews_to_replace()
        await notices.to_show(database)
        await jobs.running(database)
        await erasure.due(10)
        await state.paused(database)

    async def start() -> None:
        await takes.files(database)
        await jobs.pictures(database)

    return {
        "a look at what is owed, shown and running": look,
        "places and expected times": lambda: queue.expected(database, NOW),
        "/metrics": operations.stats,
        "looking for music to prune": lambda: archive.prune(Keep()),
        "looking for words and tokens that are too old": lambda: erasure.age(Keep(words=10**4)),
        "looking for servers to forget": archive.forget_the_left,
        "noticing servers that were left": lambda: archive.present(here),
        "the names that a start reads": start,
    }


async def _compare(name: str, sides: list[Callable[[], Awaitable[object]]]) -> Row:
    times: list[list[float]] = [[], []]
    for call in range(2 * CALLS):
        turn = call % 2 if call // 2 % 2 else 1 - call % 2  # who goes first alternates
        begun = time.perf_counter()
        await sides[turn]()
        times[turn].append(1000 * (time.perf_counter() - begun))
    # The quickest quarter's slowest: what the machine does besides only ever adds.
    ours, theirs = (statistics.quantiles(spent, n=4)[0] for spent in times)
    return Row(name=name, ours=ours, theirs=theirs, unit="ms", at_most=AT_MOST)


async def _forgetting(left: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            folder=Path(folder) / "data",
            command=SCRIPTED,
            models=("scripted",),
            defaults=(replace(GENEROUS, per_day=10**9, waiting=10**6),),
            limits=Limits(waiting=10**6, waiting_per_server=10**6),
            keep=Keep(days=10**4, most=10**15),
        )
        found = []
        async with simulated(plan, Side()) as env:
            bot = env.bot
            assert isinstance(bot, Fantasia)
            await bot.services.operations.pause("nothing is rendered meanwhile")
            guild = env.create_guild("Conservatory")
            room = guild.create_text_channel("music")
            members = [guild.add_member(env.create_user(f"member {i}")) for i in range(20)]
            gone = 77
            await _lived(
                inside.database(bot.services.studio), plan.folder, members[0].id, gone, left
            )
            await bot.services.archive.left(gone)
            many = [
                (f"/forget me of {FORGOTTEN:,} pieces", bot.services.archive.forget(members[0].id)),
                (f"the leaving of a server of {left:,} jobs", _leaving(bot)),
            ]
            for what, forgetting in many:
                found += await _replies(what, forgetting, members[1:], room)
        return found


async def _lived(database: Database, folder: Path, member: int, gone: int, left: int) -> None:
    now = int(time.time())
    async with database.transaction() as tx:
        await _jobs(tx, left, "ended", at=now, every=1, guild=gone, kept=True)
        await _jobs(tx, FORGOTTEN, "ended", at=now, every=1, user=member, kept=True)
        total = await state.highest(tx)
    await database.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
    (folder / "audio").mkdir(exist_ok=True)
    for number in range(1, total + 1):
        for end in ("1.wav", "1.npy", "picture.png"):
            (folder / "audio" / f"{number}-{end}").touch()


async def _leaving(bot: Fantasia) -> None:
    async with inside.database(bot.services.studio).transaction() as tx:
        before = time.time() - 2 * FORGOTTEN_AFTER.total_seconds()
        await tx.execute("UPDATE servers SET left_at = ? WHERE left_at IS NOT NULL", (before,))
    await bot.services.archive.forget_the_left()


async def _replies(
    what: str,
    forgetting: Awaitable[object],
    members: list[simcord.MemberActor],
    room: simcord.ChannelHandle,
) -> list[Row]:
    """Measure replies and the loop's lag while something is forgotten, and before and after."""
    idle, busy = Side(), Side()
    turn = iter(range(10**9))

    async def ask(side: Side) -> None:
        begun = time.perf_counter()
        await members[next(turn) % len(members)].slash(room, "usage")
        side.replies.append(time.perf_counter() - begun)
        await asyncio.sleep(0.02)

    async def measured(side: Side, go_on: Callable[[], bool]) -> None:
        watch = asyncio.create_task(lags(side))
        while go_on():
            await ask(side)
        watch.cancel()

    await measured(idle, lambda: len(idle.replies) < ASKED)
    task = asyncio.ensure_future(forgetting)
    begun = time.perf_counter()
    await measured(busy, lambda: not task.done())
    await task
    spent = time.perf_counter() - begun
    await measured(idle, lambda: len(idle.replies) < 2 * ASKED)
    note = f"{len(busy.replies)} replies in the {spent:.0f} s that it took"
    return [
        Row(
            name=f"reply, p99, during {what}, against idle",
            ours=1000 * quantile(busy.replies, 0.99),
            theirs=1000 * quantile(idle.replies, 0.99),
            unit="ms",
            at_most=3,
            note=note,
        ),
        Row(
            name=f"lag of the event loop, p99, during {what}, against idle",
            ours=1000 * quantile(busy.lags, 0.99),
            theirs=1000 * quantile(idle.lags, 0.99),
            unit="ms",
            at_most=5,
            note=f"at worst {1000 * max(busy.lags):.0f} ms, idle {1000 * max(idle.lags):.0f} ms",
        ),
    ]


if __name__ == "__main__":
    from benchmarks.report import show

    print(show(rows(*map(int, sys.argv[1:])), {}))
