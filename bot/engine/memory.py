"""How many takes fit side by side: the admission formula."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bot.engine import devices, weights
from bot.engine.attention import LONGEST, SHORT, untouched
from bot.engine.decoder import compiled
from bot.engine.linears import Precision, stream

if TYPE_CHECKING:
    from audiocraft.models import MusicGen as Pretrained

RESERVE = 1.5e9
"""Bytes left free: a chunk of the codec, a prefill, and what else the machine does."""

MOST = {"cpu": 8, "cuda": 16}
"""More takes would make each other wait longer than one after another."""

SIZES = {
    Precision.INT8: 1.05,
    Precision.FLOAT16: 2,
    Precision.BFLOAT16: 2,
    Precision.FLOAT32: 4,
    Precision.FLOAT64: 8,
}
"""Bytes of a weight."""


def slots(model: "Pretrained", precision: Precision, device: torch.device) -> int:
    """Return how many slots fit beside the weights of a model that is still on disk; at least 1."""
    lm = model.lm
    layers = lm.transformer.layers
    half = compiled(precision, device, lm.dim // layers[0].self_attn.num_heads)
    size = torch.bfloat16.itemsize if half else stream(precision, device).itemsize
    positions = int(model.max_duration * model.frame_rate)
    each = 4 * lm.dim * len(layers) * positions * size
    if half or device.type == "cuda":
        each += 2 * lm.dim * len(layers) * (LONGEST if half else SHORT) * size
    own = sum(weight.numel() for weight in lm.transformer.parameters())
    own += sum(weight.numel() for weight in lm.linears.parameters())
    left = free(device) - own * SIZES[precision] - RESERVE
    return max(1, min(MOST[device.type], int(left // each)))


def estimate(model: str, precision: Precision, device: torch.device) -> float:
    """Return about how many bytes a model on disk takes once it is loaded, without its slots.

    A checkpoint holds half precision (audiocraft's `models/loaders.py`); the codec stays as it is,
    and of a T5's file the encoder is about half, which a CPU maps from there.
    """
    lm, codec, text = weights.sizes(model)
    own = lm / 2 * SIZES[precision] + 2 * codec
    return own + text / 2 if device.type == "cuda" else own


def total(device: torch.device) -> float:
    """Return the bytes that the GPU has, or that this process could have with no other model."""
    if device.type == "cuda":
        return devices.total()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return _available() + pages * float(os.sysconf("SC_PAGE_SIZE"))


def free(device: torch.device) -> float:
    """Return the bytes that are promised to nobody, on the GPU or of the machine's memory."""
    if device.type == "cuda":
        return devices.free()
    return _available() - untouched()


def _available() -> float:
    """Return the bytes that a process may still take of the machine's memory."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    return min(1024.0 * available, _group())


def _group() -> float:
    """Return the bytes left to this control group, of which a container is one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        return float(limit) - float((folder / "memory.current").read_text())
    except (OSError, ValueError):  # there is none, or it is "max"
        return float("inf")
