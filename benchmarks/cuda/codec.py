"""Sound in chunks: the same as in one go, beside the decoder's steps too, in memory that stays."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks.cuda.stage import RATE, Stage
from benchmarks.report import Row
from bot.engine.files.wav import Samples
from bot.engine.musicgen.codec import PROBE_TOLERANCE, Codec, Sound
from tests.support.random_codec import encodec

SHORT = 10
"""Seconds of a piece that a long one is compared with."""


def rows(stage: Stage) -> Iterator[Row]:
    """Compare chunks with the whole, in sound, time and memory."""
    codec = Codec(encodec(**stage.scale.codec).to(stage.device))
    long = stage.scale.seconds[1]
    codes = stage.codes(RATE * long)
    yield from _the_same(stage, codec, codes[:, : RATE * SHORT])
    card = stage.card
    yield Row(
        name=f"decoding {long} s of codes in chunks, against in one go",
        ours=card.timed(lambda: heard(codec, codes), 2),
        theirs=card.timed(lambda: codec.whole(codes), 2),
        unit="s",
    )
    if stage.gpu:
        with stage.gpu.peak() as of_long:
            heard(codec, codes)
        with stage.gpu.peak() as of_short:
            heard(codec, codes[:, : RATE * SHORT])
        with stage.gpu.peak() as of_whole:
            codec.whole(codes)
        yield Row(
            name=f"peak memory of decoding {long} s of codes, against {SHORT} s",
            ours=of_long.bytes / 1e6,
            theirs=of_short.bytes / 1e6,
            unit="MB",
            at_most=1.2,
            note=f"in one go {of_whole.bytes / 1e6:,.0f} MB",
        )


def _the_same(stage: Stage, codec: Codec, codes: torch.Tensor) -> Iterator[Row]:
    model = stage.sized(stage.scale.small, torch.float32)
    decoder = stage.decoder(model)
    stage.begin(decoder, model, frames=stage.scale.positions - 4)
    whole = codec.whole(codes).float().cpu().numpy()
    alone = heard(codec, codes)
    beside = heard(codec, codes, lambda: [decoder.step() for _ in range(3)])
    for name, found, exact in (
        ("sound in chunks, against in one go", alone, whole),
        ("sound beside a decoder's steps, against alone", beside, alone),
    ):
        yield Row(
            name=f"{name}: the largest difference",
            ours=float(np.abs(found - exact).max() / np.abs(exact).max()),
            theirs=1.0,
            unit="peaks",
            at_most=PROBE_TOLERANCE,
        )


def heard(
    codec: Codec, codes: torch.Tensor, between: Callable[[], object] = lambda: None
) -> Samples:
    """Return the sound of codes, a chunk at a time; something is done between the chunks."""
    sound = Sound(codec)
    while sound.due(codes.shape[-1], ended=True):
        sound.hear(codes)
        between()
    return sound.samples()
