"""A thousand members in twenty servers: the real bot, its real queue and posts, a quick engine.

The engine is `tests.support.scripted_child`, so that all time but the rendering is the bot's;
Discord is SimCord, whose own time is in all numbers, of both sides.
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import simcord
from discord.webhook.async_ import async_context
from simcord.http.client import FakeWebhookAdapter

from benchmarks.report import Row
from bot.app import Plan, compose
from bot.client import Fantasia
from bot.tables.tallies import counts
from bot.values import Limits, Status
from tests.support import inside
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS
from tests.support.world import LateAdapter

MEMBERS, SERVERS, JOBS = 1_000, 20, 5_000
LONG_QUEUE = 1_000
"""Ten times as many as may wait by default."""

SLICE = 0.02
"""How often the loop is asked whether it comes back in time, in seconds."""


@dataclass(kw_only=True)
class Side:
    """What one run was like."""

    seconds: float = 0.0
    replies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    resident: float = 0.0
    blocks: int = 0


def rows(jobs: int = JOBS) -> list[Row]:
    """Run twice the same, and tell the second against the first; then with a queue that is long."""
    logging.disable(logging.ERROR)
    try:
        start = asyncio.run(_run(jobs // 10)).resident  # what is imported and cached once
        first, second = asyncio.run(_run(jobs)), asyncio.run(_run(jobs))
        long = asyncio.run(_run(LONG_QUEUE, paused=True))
    finally:
        logging.disable(logging.NOTSET)
    where = f"{jobs:,} jobs of {MEMBERS:,} members in {SERVERS} servers"
    again = "the second run against the first"
    late = [1000 * quantile(side.lags, 0.99) for side in (second, first)]
    none, many = long.replies[:100], long.replies[-100:]
    return [
        Row(
            name=f"{where}: delivered per second, {again}",
            ours=jobs / second.seconds, theirs=jobs / first.seconds, unit="jobs/s", at_least=0.8,
        ),
        Row(
            name=f"reply, p99 against p50, while {jobs:,} are asked for and rendered",
            ours=1000 * quantile(second.replies, 0.99),
            theirs=1000 * quantile(second.replies, 0.5), unit="ms",
        ),
        Row(name=f"lag of the event loop, p99, {again}", ours=late[0], theirs=late[1], unit="ms",
            note=f"at worst {1000 * max(second.lags):.0f} ms"),
        Row(
            name=f"blocks of memory that stay, {again}",
            ours=second.blocks,
            theirs=first.blocks,
            unit="blocks",
            at_most=1.05,
            note=f"resident {start:.0f} MB at first, then {first.resident:.0f} MB, then "
            f"{second.resident:.0f} MB",
        ),
        Row(
            name=f"reply, p50, while about {LONG_QUEUE:,} wait, against about none",
            ours=1000 * quantile(many, 0.5),
            theirs=1000 * quantile(none, 0.5), unit="ms", at_most=5,
        ),
    ]  # fmt: skip


async def _run(jobs: int, *, paused: bool = False) -> Side:
    side = Side()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            folder=Path(folder) / "data",
            command=SCRIPTED,
            models=("scripted",),
            defaults=(replace(GENEROUS, per_day=86_400, waiting=100),),
            limits=Limits(waiting=10**6, waiting_per_server=10**6),
        )
        async with simulated(plan, side) as env:
            await _asked(env, jobs, side, paused=paused)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    side.resident = _resident()
    side.blocks = sys.getallocatedblocks()
    return side


@contextlib.asynccontextmanager
async def simulated(plan: Plan, side: Side) -> AsyncIterator[simcord.Env]:
    late = LateAdapter()
    async_context.set(late)
    request = FakeWebhookAdapter.request

    async def timed(self: Any, route: Any, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401
        if route.url.endswith("/callback"):
            side.replies.append(time.perf_counter())
        return await request(self, route, *arguments, **more)

    try:
        with patch.object(FakeWebhookAdapter, "request", timed):
            async with compose(plan) as bot, simcord.run(bot, shard_count=1) as env:
                late.adapter = env._webhook_adapter
                yield env
    finally:
        async_context.set(LateAdapter())


async def _asked(env: simcord.Env, jobs: int, side: Side, *, paused: bool) -> None:
    """Let members ask in a shuffled order, and wait until everything was posted."""
    rooms, members = [], []
    for server in range(SERVERS):
        guild = env.create_guild(f"Server {server}")
        rooms.append(guild.create_text_channel("music"))
        members += [
            (guild.add_member(env.create_user(f"member {server} {number}")), rooms[-1])
            for number in range(MEMBERS // SERVERS)
        ]
    turns = [members[turn % MEMBERS] for turn in range(jobs)]
    random.Random(jobs).shuffle(turns)
    watch = asyncio.create_task(lags(side))
    assert isinstance(env.bot, Fantasia)
    if paused:
        await env.bot.services.operations.pause("until all have asked")
    begun = time.perf_counter()
    for member, room in turns:
        asked = time.perf_counter()
        await member.slash(room, "generate", prompt="play", duration=1)
        side.replies[-1] -= asked
    assert len(side.replies) == jobs
    if paused:
        await env.bot.services.operations.resume()
    database = inside.database(env.bot.services.studio)
    while (await counts(database)).get(Status.DELIVERED) != jobs:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    side.seconds = time.perf_counter() - begun
    watch.cancel()
    posted = Counter(
        embed.footer.text
        for room in rooms
        for message in room.history()
        if message.attachments
        for embed in message.embeds
    )
    assert len(posted) == jobs, "every piece was posted"
    assert set(posted.values()) == {1}, "and once"


async def lags(side: Side) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + SLICE
        await asyncio.sleep(SLICE)
        side.lags.append(loop.time() - due)


def quantile(values: list[float], part: float) -> float:
    return statistics.quantiles(values, n=100)[round(100 * part) - 1]


def _resident() -> float:
    """Return the MB of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    from benchmarks.report import show

    print(show(rows(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS), {}))
