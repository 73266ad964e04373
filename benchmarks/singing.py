"""ACE-Step on the CPU: our loop against the pipeline's own, and its steps in the released size.

Weights are random. Both sides take turns within one run, on one core: what is compared is that
core's time, in which nothing else that the machine does is counted.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch

from benchmarks.report import Row
from bot.engine.acestep.layout import in_rows
from bot.engine.acestep.loading import settled
from bot.engine.host import available
from tests.support.songs import begun, ended, theirs
from tests.support.tiny_acestep import RELEASED, TINY, Recipe, Size, pipeline

TURNS = 5
STEPS = 4

MEDIUM = replace(
    TINY,
    hidden=512,
    middle=1536,
    layers=6,
    heads=8,
    shared_heads=4,
    head=64,
    window=128,
)
"""Large enough that a step is work, and small enough for a short run."""

RELEASED_DIT = replace(
    RELEASED, lyric_layers=1, timbre_layers=1, text=TINY.text, codec=4, encoder=8
)
"""The 2B model's transformer, and little else."""

LEAST_BYTES = 12e9
"""Bytes that must be free: it is drawn in float32 before it is kept in half precision."""


def rows() -> Iterator[Row]:
    """Measure everything and yield a row for each comparison."""
    torch.set_num_threads(1)
    yield _against_the_pipeline()
    yield from _layouts(MEDIUM, "a middle size")
    if available() > LEAST_BYTES:
        yield from _layouts(RELEASED_DIT, "the 2B model's size")


def _against_the_pipeline() -> Row:
    pipe = settled(pipeline(Recipe(size=MEDIUM)))
    ours, others = _turns(
        lambda: ended(begun(pipe, 7, steps=STEPS)), partial(theirs, pipe, 7, steps=STEPS)
    )
    return Row(
        name=f"ACE-Step, a middle size: latents of 10 s in {STEPS} steps by our loop, against the "
        "pipeline's own",
        ours=ours,
        theirs=others,
        unit="s of a core",
        at_most=1.05,
        note="equal bit for bit",
    )


def _layouts(size: Size, named: str) -> Iterator[Row]:
    """Compare a step with tokens in rows, as half precision has them, with one in columns."""
    pipe = settled(pipeline(Recipe(size=size, dtype=torch.bfloat16)))
    kept = torch.empty(0, 64, dtype=torch.bfloat16)
    step = partial(begun(pipe, 7, kept=kept).velocity, 0.5)
    transformer = pipe.transformer

    def by_rows() -> object:
        in_rows(transformer)
        try:
            return step()
        finally:
            transformer.proj_in_conv._forward_hooks.clear()

    ours, others = _turns(by_rows, step)
    yield Row(
        name=f"ACE-Step, {named}: a step of 10 s in bfloat16, tokens in rows against in columns",
        ours=ours,
        theirs=others,
        unit="s of a core",
        at_most=1.0,
    )


def _turns(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Return the median seconds of a core for two sides that take turns, but for the first."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS + 1):
        for side, kept in zip((first, second), times, strict=True):
            started = time.process_time()
            side()
            kept.append(time.process_time() - started)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])
