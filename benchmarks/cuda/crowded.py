"""The large model on a card of 15 GB: two minutes of music, then more pieces than slots."""

import time
from collections.abc import Iterator
from contextlib import nullcontext

from benchmarks.cuda.stage import Stage, rendered
from benchmarks.report import Row

FREE = 15e9
"""Bytes that other programs leave."""


def rows(stage: Stage) -> Iterator[Row]:
    """Render on what is left of the card."""
    short, long = stage.scale.seconds
    model = stage.prepared(stage.scale.large)
    with stage.gpu.crowded(FREE) if stage.gpu else nullcontext():
        engine = model(None if stage.gpu else 2)
        slots = engine.ready().slots
        for takes, length in ((1, long), (slots + 1, short)):
            order = stage.order(takes, length, range(takes), "large")
            begun = time.perf_counter()
            problem = rendered(engine, order)
            spent = f"in {time.perf_counter() - begun:.1f} s, {slots} slots"
            left = f"; {stage.free() / 1e6:,.0f} MB are left" if stage.gpu else ""
            yield Row(
                name=f"large with {FREE / 1e9:.0f} GB free: what is rendered of {takes} times "
                f"{length} s",
                ours=0 if problem else takes * length,
                theirs=takes * length,
                unit="s of music",
                at_least=1,
                note=str(problem or spent + left),
            )
