"""A bot that is given no peace: faults at random, for as long as SOAK seconds.

`make soak` gives it ten minutes. Whatever was thrown at it, in the end every job has ended, the
sums agree, every delivered piece stands in one message, and no file or process is left over.
"""

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from dataclasses import replace

import discord

from bot.composition import Plan
from bot.errors import Refusal
from bot.models import EngineState
from tests.conftest import GENEROUS, World, until, world
from tests.processes import alive, children
from tests.test_crashes import everything_ended

SOAK = float(os.environ.get("SOAK", "12"))

PROMPTS = ("play", "play", "play", "draw", "crash once", "kill once", "hang once",
           "garbage once", "fail", "hungry", "glutton", "nofile once")  # fmt: skip

PLACES = ("/channels/*/messages", "/webhooks/*")


class Storm:
    """What may go wrong, each by a method's name."""

    def __init__(self, w: World, plan: Plan, dice: random.Random) -> None:
        self.w = w
        self.plan = plan
        self.dice = dice

    def _signal_engine(self, number: signal.Signals) -> None:
        for engine in children(os.getpid()):
            if alive(engine):
                os.kill(engine, number)

    def _inject(self, status: int, code: int = 0) -> None:
        self.w.env.backend.faults.clear()  # those that nobody met would pile up
        place = self.dice.choice(PLACES)
        times = self.dice.randint(1, 3)
        self.w.env.inject_error("POST", place, status=status, code=code, times=times)

    async def the_engine_is_killed(self) -> None:
        self._signal_engine(signal.SIGKILL)

    async def the_engine_segfaults(self) -> None:
        self._signal_engine(signal.SIGSEGV)

    async def the_engine_falls_silent(self) -> None:
        self._signal_engine(signal.SIGSTOP)
        await asyncio.sleep(1.5)  # at work it is replaced after a second
        self._signal_engine(signal.SIGCONT)  # while it loads it would be given half an hour

    async def discord_has_a_fault(self) -> None:
        self._inject(self.dice.choice((500, 502, 503)))

    async def discord_forbids_it(self) -> None:
        self._inject(403, 50013)

    async def discord_finds_it_too_large(self) -> None:
        # As if a day had passed since the last time: else all would come in parts from then on.
        async with self.w.studio._database.transaction() as tx:
            await tx.execute("DELETE FROM uploads")
        self._inject(413, 40005)

    async def edits_fail(self) -> None:
        self.w.env.inject_error("PATCH", "/channels/*/messages/*", status=500, times=3)

    async def the_studio_is_paused(self) -> None:
        await self.w.bot.operations.pause("a storm")
        await asyncio.sleep(0.5)
        await self.w.bot.operations.resume()

    async def a_member_cancels(self) -> None:
        found = await self.w.studio.cancellable(self.w.guild.id, 0, manager=True)
        if found:
            try:
                await self.w.studio.cancel(
                    self.dice.choice(found).id, guild=self.w.guild.id, user=0, manager=True
                )
            except Refusal:
                return  # it ended meanwhile

    async def the_bot_is_started_again(self) -> None:
        await self.w.restart(self.plan)
        # A first engine that cannot start ends the program, for whoever started it to see why.
        await until(self._ready)

    async def _ready(self) -> bool:
        return (await self.w.bot.operations.stats()).engine is EngineState.READY


def marked(w: World) -> list[str]:
    """The marks of all posts that members see, in the channel and directly."""
    messages = [*w.messages()]
    for member in (w.alice, w.bob):
        messages += w.direct_messages(member)
    return [
        embed.footer.text for message in messages for embed in message.embeds if embed.footer.text
    ]


async def test_a_storm_loses_nothing(plan: Plan) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    tier = replace(GENEROUS, per_day=10**8, waiting=10**4)
    plan = replace(plan, defaults=(tier,), silence=1.0)
    faults: Counter[str] = Counter()
    async with world(plan) as w:
        w.tolerated = (Refusal, discord.HTTPException)
        storm = Storm(w, plan, dice)
        names = [
            name for name in dir(storm) if name[0] != "_" and name not in ("w", "plan", "dice")
        ]
        over = time.monotonic() + SOAK
        turn = 0
        while time.monotonic() < over:
            for _ in range(dice.randint(1, 4)):
                member, prompt = dice.choice((w.alice, w.bob)), dice.choice(PROMPTS)
                length = 20 if prompt == "hungry" else 2  # so long is refused from then on
                takes = dice.randint(2 if prompt == "glutton" else 1, 3)  # it has room for one
                await member.slash(w.music, "generate", prompt=prompt, duration=length, takes=takes)
            await asyncio.sleep(dice.uniform(0.05, 1.5))
            name = names[turn % len(names)] if turn < len(names) else dice.choice(names)
            turn += 1
            faults[name] += 1
            await getattr(storm, name)()
        w.env.backend.faults.clear()
        await everything_ended(w)
        with sqlite3.connect(plan.folder / "fantasia.db") as database:
            jobs = database.execute("SELECT id, status, seconds * takes FROM jobs").fetchall()
            charged = dict(
                database.execute("SELECT job_id, SUM(charged_seconds) FROM takes GROUP BY 1")
            )
            delivered = [
                job for (job,) in database.execute(
                    "SELECT DISTINCT job_id FROM posts WHERE kind = 'result'"
                    " AND delivered_at IS NOT NULL"
                )
            ]  # fmt: skip
            files = {
                name for row in database.execute(
                    "SELECT audio, codes, preview FROM takes UNION "
                    "SELECT picture, NULL, NULL FROM jobs"
                ) for name in row if name
            }  # fmt: skip
        ended = Counter(status for _, status, _ in jobs)
        posted = Counter(marked(w))
        print(f"{SOAK:g} s: {len(jobs)} jobs {dict(ended)}, {sum(faults.values())} faults")
        print(
            *(f"  {count:4} {name.replace('_', ' ')}" for name, count in faults.items()), sep="\n"
        )
        assert len(jobs) > turn, "most were accepted"
        assert ended["delivered"] > len(jobs) / 2, "and most were delivered"
        assert set(ended) <= {"delivered", "failed", "cancelled", "undeliverable"}
        assert sorted(delivered) == sorted(job for job, status, _ in jobs if status == "delivered")
        for job, status, cost in jobs:
            assert 0 <= charged[job] <= (cost if status == "delivered" else 0), (job, status)
        assert [mark for mark, count in posted.items() if count > 1] == []
        left = {f"audio/{file.name}" for file in (plan.folder / "audio").iterdir()} - files
        assert left == set()
    assert not any(map(alive, children(os.getpid())))
