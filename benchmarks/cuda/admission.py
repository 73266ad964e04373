"""What `capacity` admits can be rendered: all slots after long prompts, and a chunk."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks.cuda.card import GIB, Gpu
from benchmarks.cuda.cards import Shape
from benchmarks.cuda.codec import heard
from benchmarks.cuda.stage import RATE, Stage
from benchmarks.report import Row
from bot.engine.musicgen import capacity
from bot.engine.musicgen.codec import Codec
from bot.engine.musicgen.sampling import Sampling
from tests.support.random_codec import encodec
from tests.support.random_lm import understood

ROOM = {"small": 4 * GIB, "large": 14.2 * GIB}
"""Bytes that are free for a model, the second as on a card of 15 GB."""


def rows(stage: Stage) -> Iterator[Row]:
    """Fill small cards with what is admitted there."""
    if stage.gpu:
        for shape in (stage.scale.small, stage.scale.large):
            yield _filled(stage, stage.gpu, shape, min(ROOM[shape.name], 0.95 * stage.gpu.free()))


def _filled(stage: Stage, gpu: Gpu, shape: Shape, room: float) -> Row:
    model = stage.sized(shape, torch.float16, torch.device("cpu"))  # as it is before it is taken
    model.condition_provider.to(stage.device, torch.float32)
    codec = Codec(encodec(**stage.scale.codec).to(stage.device))
    with gpu.crowded(room):
        free, held = gpu.free(), torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        loaded: Any = SimpleNamespace(lm=model, max_duration=30, frame_rate=RATE)
        slots = capacity.slots(loaded, stage.half, stage.device)
        with gpu.peak() as peak:
            decoder = stage.decoder(model, slots=slots, positions=stage.scale.positions)
            words = decoder.read(understood(model, "x" * 60).float())
            prompt = stage.codes(stage.scale.places[-1])
            for seed in range(slots):
                chance = torch.Generator(stage.device).manual_seed(seed)
                decoder.admit(words, prompt, prompt.shape[-1] + 30, Sampling(), chance)
            for _ in range(3):
                decoder.step()
            heard(codec, prompt)
        left = gpu.free()
        del decoder
    return Row(
        name=f"{shape.name} with {free / GIB:.1f} GiB free: peak memory of all {slots} slots",
        ours=peak.bytes / 1e6,
        theirs=free / 1e6,
        unit="MB",
        at_most=1,
        note=f"{left / 1e6:,.0f} MB are left; torch held {held / 1e6:,.0f} MB before",
    )
