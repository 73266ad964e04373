"""Five takes of 15 MB from an engine of a cluster, against one of this machine.

The engine is `tests.support.scripted_child`, which renders at once: what is left is the way of the
files, to the disk. The cluster is on loopback addresses.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from benchmarks.report import Row
from bot.engine import children
from bot.engine.children import EngineStart, Way
from bot.engine.cluster import Cluster
from bot.engine.conversation import Conversation
from bot.engine.environment import engine_environment
from bot.engine.messages import Part, Render
from tests.support.ray_cluster import cluster
from tests.support.scripted_child import RATE, SCRIPTED

TAKES, BYTES = 5, 15_000_000
ROUNDS = 3


def rows() -> list[Row]:
    """Run both sides in turn."""
    with cluster() as nodes:
        nodes.add(3, engines=1)
        ray, local = asyncio.run(_both(nodes.address))
    return [
        Row(
            name=f"{TAKES} takes of {BYTES / 1e6:.0f} MB through Ray, against a process of ours",
            ours=ray,
            theirs=local,
            unit="s",
        )
    ]


async def _both(address: str) -> tuple[float, float]:
    spent: tuple[list[float], list[float]] = ([], [])
    way = Way(command=SCRIPTED, silence=60.0, umask=0o077)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "audio").mkdir()
        source = await stack.enter_async_context(aclosing(Cluster(address, way).engines()))
        far = await anext(engine async for engines in source for engine in engines.values())
        near = partial(children.start, way, engine_environment())
        sides = [await stack.enter_async_context(_attended(start)) for start in (far, near)]
        for number in range(1, 2 * ROUNDS + 1):
            side = number % 2
            spent[side].append(await _render(sides[side], folder, number))
    return statistics.median(spent[0]), statistics.median(spent[1])


@asynccontextmanager
async def _attended(start: EngineStart) -> AsyncIterator[Conversation]:
    async with start() as engine:
        await engine.ready()
        attending = asyncio.create_task(engine.attend())
        yield engine
        attending.cancel()


async def _render(engine: Conversation, folder: Path, number: int) -> float:
    parts = [
        Part(
            number=take,
            seed=take,
            audio=str(folder / "audio" / f"{number}-{take}.wav"),
            codes=str(folder / "audio" / f"{number}-{take}.npy"),
        )
        for take in range(1, TAKES + 1)
    ]
    order = Render(
        id=number,
        prompt="play",
        seconds=round(BYTES / 2 / RATE),
        model="scripted",
        parts=tuple(parts),
        options={},
    )
    begun = time.perf_counter()
    async with aclosing(engine.render(order)) as said:
        async for _ in said:
            pass
    spent = time.perf_counter() - begun
    assert _smallest(parts) >= BYTES
    return spent


def _smallest(parts: list[Part]) -> int:
    return min(Path(part.audio).stat().st_size for part in parts)


if __name__ == "__main__":
    from benchmarks.report import show

    print(show(rows(), {}))
