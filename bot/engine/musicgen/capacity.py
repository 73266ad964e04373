"""How many takes fit side by side: the admission formula."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from bot.engine import sharing
from bot.engine.hardware import devices, memory
from bot.engine.hardware.precisions import WEIGHT_BYTES, Precision
from bot.engine.musicgen import checkpoints
from bot.engine.musicgen.attention import LONGEST_TEXT, USUAL_TEXT
from bot.engine.musicgen.decoder import compiled
from bot.engine.musicgen.precisions import attended
from bot.engine.sharing import Need

if TYPE_CHECKING:
    from audiocraft.models import MusicGen as Pretrained

FEWEST_SLOTS = 4
"""Slots that models leave each other: one that would have less is loaded in another's place."""

WINDOW_POSITIONS, HEAD_WIDTH = 1500, 64
"""Frames of a window, and the width of a head, of all released models."""

LONGEST_SOUND_BYTES = 4 * 120 * 32_000 * 2
"""Bytes of the longest piece in stereo, which a GPU holds until it is complete."""


def slots(
    model: "Pretrained", precision: Precision, device: torch.device, others: Sequence[Need] = ()
) -> int:
    """Return how many slots fit beside the weights of a model that is still on disk; at least 1.

    What is left is shared with `others`, which are to be loaded as well.
    """
    lm = model.lm
    layers = lm.transformer.layers
    positions = int(model.max_duration * model.frame_rate)
    head = lm.dim // layers[0].self_attn.num_heads
    parts = (lm.transformer, lm.linears)
    own = sum(weight.numel() for part in parts for weight in part.parameters())
    known = Need(
        weights=own * WEIGHT_BYTES[precision],
        slot=slot(lm.dim * len(layers), precision, device, positions=positions, head=head),
        fewest=FEWEST_SLOTS,
        most=most(device),
    )
    return sharing.slots(known, memory.free(device) - memory.RESERVED_BYTES, others)


def need(model: str, precision: Precision, device: torch.device) -> Need:
    """Return about what a model that is on disk will need."""
    return Need(
        weights=estimate(model, precision, device),
        slot=slot(checkpoints.breadth(model), precision, device),
        fewest=FEWEST_SLOTS,
        most=most(device),
    )


def slot(
    breadth: int,
    precision: Precision,
    device: torch.device,
    *,
    positions: int = WINDOW_POSITIONS,
    head: int = HEAD_WIDTH,
) -> float:
    """Return the bytes of a slot: keys and values of two rows and of the words, and the sound.

    A model's `breadth` is the width of all its layers together, `head` the width of its heads.
    """
    half = compiled(precision, device, head)
    size = torch.bfloat16.itemsize if half else attended(precision, device).itemsize
    words = LONGEST_TEXT if half else USUAL_TEXT if device.type == "cuda" else 0
    sound = LONGEST_SOUND_BYTES if device.type == "cuda" else 0
    return 2.0 * breadth * (2 * positions + words) * size + sound


def most(device: torch.device) -> int:
    """Return how many slots pay at most: more would keep each take longer than they save.

    The more multiprocessors a GPU has, the less of a step is the takes' own, and the more of it is
    what all share: the weights, and the launches.
    """
    return 8 if device.type == "cpu" else 8 * max(2, devices.multiprocessors() // 32)


def estimate(model: str, precision: Precision, device: torch.device) -> float:
    """Return about how many bytes a model on disk takes once it is loaded, without its slots.

    A checkpoint holds half precision (audiocraft's `models/loaders.py`); the codec stays as it is,
    and of a T5's file the encoder is about half, which a CPU maps from there.
    """
    lm, codec, text = checkpoints.sizes(model)
    own = lm / 2 * WEIGHT_BYTES[precision] + 2 * codec
    return own + text / 2 if device.type == "cuda" else own
