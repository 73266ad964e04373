"""The engine's own process, with text encoder and codec in full, as the bot runs it."""

import asyncio
import os
import sys
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

from transformers.utils import logging

from benchmarks.cuda.stage import TINY, Stage
from benchmarks.report import Row
from bot.engine.children import Way, start
from bot.engine.conversation import Conversation
from bot.engine.messages import Progress, Ready, Render
from bot.engine.worker import REPORT_INTERVAL
from tests.support import inside, tiny_musicgen

TAKES = 5
WITHIN = 3.0
"""Seconds for five takes of eight."""


def rows(stage: Stage) -> Iterator[Row]:
    """Write a checkpoint with random weights, and render from it."""
    home = stage.folder / "weights"
    write = tiny_musicgen.write if stage.scale is TINY else tiny_musicgen.write_full_size
    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of audiocraft's building
        write(home)
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    yield from asyncio.run(_rendered(stage, environment))


async def _rendered(stage: Stage, environment: dict[str, str]) -> list[Row]:
    short, long = stage.scale.seconds
    begun = time.perf_counter()
    async with _started(stage, environment) as (engine, ready):
        loading = time.perf_counter() - begun
        first = await _said(engine, stage.order(1, short, range(TAKES)))
        again = await _said(engine, stage.order(2, short, range(TAKES)))
        alone = await _said(engine, stage.order(3, long, [1]))
    five, one = again[0], alone[0]
    bar = stage.bar(WITHIN / (TAKES * short))
    return [
        Row(
            name=f"{TAKES} takes of {short} s of small, from the order to the files, against the "
            "music's length",
            ours=five,
            theirs=TAKES * short,
            unit="s",
            at_most=bar,
            note=f"the first time {first[0]:.2f} s, loading {loading:.1f} s, {ready.slots} slots",
        ),
        Row(
            name=f"one take of {long} s of small, likewise",
            ours=one,
            theirs=long,
            unit="s",
        ),
        Row(
            name="reports of progress per second, against one every tenth of a second",
            ours=alone[1] / one,
            theirs=1 / REPORT_INTERVAL,
            unit="per second",
            at_most=1.5,
        ),
    ]


@asynccontextmanager
async def _started(
    stage: Stage, environment: dict[str, str]
) -> AsyncIterator[tuple[Conversation, Ready]]:
    words = ["-W", "ignore", "-m", "bot.engine.worker", "--engine", "musicgen"]
    words += ["--device", stage.device.type, "--model", "facebook/musicgen-small"]
    words += [] if stage.gpu else ["--precision", "float32", "--slots", str(TAKES)]
    async with start(Way(command=[sys.executable, *words]), environment) as engine:
        ready = await engine.ready()
        attending = asyncio.create_task(engine.attend())
        try:
            yield engine, ready
        finally:
            attending.cancel()
            with suppress(asyncio.CancelledError):
                await attending


async def _said(engine: Conversation, order: Render) -> tuple[float, int]:
    """Return the seconds of a render, and how often its progress was told."""
    begun = time.perf_counter()
    with inside.reports(engine) as routed:
        async for _ in engine.render(order):
            pass
    told = sum(isinstance(call.args[0], Progress) for call in routed.call_args_list)
    return time.perf_counter() - begun, told
