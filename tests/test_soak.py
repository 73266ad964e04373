"""A bot that is given no peace, and the promises that it keeps all the same.

`make test` has it live through the same storm every time, `make soak` through a new one for ten
minutes: SOAK seconds, of a SEED that is printed.
"""

import os
import random
import time
from dataclasses import replace
from itertools import count

import discord

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from tests.support.processes import alive, children
from tests.support.storm import Storm
from tests.support.storm_clock import StormClock, stormy
from tests.support.world import world

SOAK = float(os.environ.get("SOAK", "0"))
"""Seconds; 0: so many turns as below, from a seed that stays the same."""

TURNS = 100

SEED = int(os.environ.get("SEED") or (random.randrange(2**32) if SOAK else 14))


async def test_a_storm_breaks_no_promise(plan: Plan) -> None:
    print("seed", SEED)
    clock = StormClock()
    plan = stormy(replace(plan, command=("env", "SCRIPTED_SLOTS=3", *plan.command)), clock)
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed, discord.HTTPException)
        storm = Storm(w, plan, clock, SEED)
        over = time.monotonic() + SOAK
        for turn in count():
            if time.monotonic() > over if SOAK else turn == TURNS:
                break
            await storm.turn(turn)
        await storm.calm()
        states = sorted(job["status"] for job in storm.rows.jobs.values())
        print(f"{turn} turns, {len(states)} jobs", {s: states.count(s) for s in set(states)})
        print(*(f"  {n:4} {name}" for name, n in storm.met.items()), sep="\n")
        assert len(states) > turn / 5, "many were accepted"
        assert states.count("delivered") > len(states) / 4, "and many were delivered"
    assert not any(map(alive, children(os.getpid())))
