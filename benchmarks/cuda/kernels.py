"""A step by the engine's own kernels against the same by torch's and cuBLAS's."""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.cuda.attention import steps
from benchmarks.cuda.stage import Stage
from benchmarks.report import Row

TAKES = (1, 2, 4, 16, 32)


def rows(stage: Stage) -> Iterator[Row]:
    """Compare by models and takes, where the engine has kernels of its own."""
    for shape in (stage.scale.small, stage.scale.large):
        model = stage.sized(shape, getattr(torch, stage.half))
        own, torchs = (stage.decoder(model, slots=stage.scale.takes[-1]) for _ in "ab")
        if not torchs.use_triton():
            return
        torchs.use_torch()
        both = [steps(each, model) for each in (own, torchs)]
        for takes in TAKES:
            place = stage.scale.places[0]
            ours, theirs = (stage.card.timed(partial(side, takes, place)) for side in both)
            yield Row(
                name=f"{shape.name}: a step of {takes} takes at position {place}, against one by "
                "torch's kernels",
                ours=1000 * ours,
                theirs=1000 * theirs,
                unit="ms",
            )
