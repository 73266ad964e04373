"""A bot of two engines, to be killed: it asks both for music and journals what was accepted.

The journal is synced to the disk before anybody relies on it. With `finish` it asks for nothing,
and ends once all that was accepted has ended.
"""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.app import Plan, tick
from bot.engine.placement import Placement
from bot.values import Status, Wish
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS, origin
from tests.support.world import OPEN, world

built = asyncio.Event()
"""Each simulated Discord is a new one; its server, of the same ids, comes after the bot."""


async def tick_later(*arguments: Any) -> None:
    await built.wait()
    await tick(*arguments)


async def main(folder: Path, *, finish: bool) -> None:
    tier = replace(GENEROUS, per_day=86_400)
    plan = Plan(
        folder=folder,
        command=SCRIPTED,
        placements=(Placement("cpu-0"), Placement("cpu-1")),
        models=("scripted",),
        defaults=(tier,),
        sync=True,  # each start takes as many ids of the simulated Discord as the first
    )
    with (folder.parent / "journal").open("a") as journal:
        pytest.MonkeyPatch().setattr(app, "tick", tick_later)
        async with world(plan) as w:
            built.set()
            here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
            while not finish:
                asked = []
                for _ in range(2):
                    job = await w.studio.submit(here, Wish(prompt="play", seconds=2, takes=2))
                    journal.write(f"{job.id}\n")
                    journal.flush()
                    os.fsync(journal.fileno())
                    asked.append(job.id)
                print(*asked, flush=True)
                for number in asked:
                    await w.ended(number, Status.DELIVERED)
            numbers = {int(line) for line in (folder.parent / "journal").read_text().split()}
            while any([(await w.studio.job(number)).status in OPEN for number in numbers]):
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), finish=sys.argv[2] == "finish"))
