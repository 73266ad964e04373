"""Attention by the engine's own kernels against torch's behind a mask, alone and in a step."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.cuda.cards import Shape
from benchmarks.cuda.stage import PROMPT, Stage
from benchmarks.report import Row
from benchmarks.stepping import movable, stepped
from bot.engine.musicgen import cuda_graphs
from bot.engine.musicgen.attention import Masked, Memory, Together
from bot.engine.musicgen.decoder import Decoder
from tests.support.random_lm import LMModel, understood

SIZE = 64
"""Of a head."""

OFTEN = 10
"""So many calls are timed together."""


def rows(stage: Stage) -> Iterator[Row]:
    """Compare by takes and places, where the engine has kernels of its own."""
    shape = stage.scale.small
    kernels = cuda_graphs.attending(_memory(stage, shape, 1))
    if kernels is Masked:
        return
    for takes in stage.scale.takes:
        yield from _alone(stage, shape, kernels, takes)
    yield from _in_decoder(stage, shape)


def _memory(stage: Stage, shape: Shape, takes: int) -> Memory:
    memory = Memory(
        layers=1,
        slots=takes,
        heads=shape.dim // SIZE,
        positions=stage.scale.positions,
        size=SIZE,
        dtype=getattr(torch, stage.half),
        device=stage.device,
    )
    memory.music[0].normal_()
    return memory


def _alone(stage: Stage, shape: Shape, kernels: type[Together], takes: int) -> Iterator[Row]:
    memory = _memory(stage, shape, takes)
    like: dict[str, Any] = {"dtype": memory.dtype, "device": stage.device}
    parts = torch.randn(2, takes, 3, memory.heads, SIZE, **like)
    ours, theirs = kernels(memory, takes), Masked(memory, takes)
    for place in stage.scale.places:
        for side in (ours, theirs):
            side.look(torch.full((takes,), place, device=stage.device))
        found, exact = (side.music(0, parts).float().clone() for side in (ours, theirs))
        read = shape.past(place) * takes / shape.layers
        spent, other = (_spent(stage, side, parts) for side in (ours, theirs))
        yield Row(
            name=f"a layer's attention to the music, {takes} takes at position {place}, against "
            "torch's",
            ours=1e6 * spent,
            theirs=1e6 * other,
            unit="µs",
            note=f"{read / spent / stage.bandwidth:.0%} of the bandwidth; they differ by "
            f"{float((found.flatten() - exact.flatten()).abs().max()):.1e}",
        )


@torch.inference_mode()
def _spent(stage: Stage, side: Together, parts: torch.Tensor) -> float:
    """Return the seconds of a call in a graph."""

    def calls() -> None:
        for _ in range(OFTEN):
            side.music(0, parts)

    return stage.card.timed(stage.card.replayed(calls)) / OFTEN


def _in_decoder(stage: Stage, shape: Shape) -> Iterator[Row]:
    model = stage.sized(shape, getattr(torch, stage.half))
    most = stage.scale.takes[-1]
    ours = steps(stage.decoder(model, slots=most), model)
    with patch.object(cuda_graphs, "attending", lambda _: Masked):
        theirs = steps(stage.decoder(model, slots=most), model)
    for takes in (1, most):
        for place in (stage.scale.places[0], stage.scale.places[-1]):
            both = (stage.card.timed(partial(side, takes, place)) for side in (ours, theirs))
            spent, other = both
            yield Row(
                name=f"a step of {takes} takes at position {place}, against torch's attention",
                ours=1000 * spent,
                theirs=1000 * other,
                unit="ms",
            )


def steps(decoder: Decoder, model: LMModel) -> Callable[[int, int], None]:
    """Return what makes a step of so many takes at a place."""
    slots = movable(decoder, decoder.read(understood(model, PROMPT)), decoder.free)
    return lambda count, place: stepped(decoder, slots[:count], place)
