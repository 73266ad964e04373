"""A bot in a process of its own, for real signals: two requests, one of which renders."""

import asyncio
import contextlib
import sys
from pathlib import Path

from bot import logs
from bot.app import Plan, heed_signals
from bot.values import Status
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS
from tests.support.world import world


async def main(folder: Path, first: str) -> None:
    plan = Plan(
        folder=folder,
        command=SCRIPTED,
        models=("scripted",),
        defaults=(GENEROUS,),
        drain_seconds=20.0,
    )
    async with world(plan) as w:
        heed_signals(w.bot)
        await w.generate(first)
        await w.generate("play", by=w.bob)
        await w.ended(1, Status.RUNNING)
        print("rendering", flush=True)
        while not w.bot.is_closed():
            await asyncio.sleep(0.05)
        print("closed", len(w.results()), flush=True)


if __name__ == "__main__":
    logs.start("info", as_json=False)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
