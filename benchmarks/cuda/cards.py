"""What to expect of a card: the table in `docs/gpu.md`, measured on one card, computed for others.

A step reads its weights and the past of all takes, and runs its kernels; these times are added. How
many takes fit is what `bot.engine.musicgen.capacity` says of a card that nobody else has a part of.
`python -m benchmarks.cuda.cards` prints the table.
"""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.report import RESULTS
from benchmarks.stepping import Curve, seconds
from bot.engine.hardware import devices, memory
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen import capacity
from tests.support.random_lm import language_model

CARD = 2048
"""Tokens of a codebook."""

SECONDS, RATE, DELAY = 30, 50, 3
"""Of the music that the models were trained on, its frames per second, and steps besides those."""

STEPS = SECONDS * RATE + DELAY

SHARE = 0.85
"""Of a data sheet's bandwidth that reading reaches; others saw 0.84 on a T4 and 0.9 on an H100."""

KERNEL = 3.5e-6
"""Seconds of a kernel in a captured graph besides its reading: 2.8 to 4.0 µs on an H200."""

ALONE, KERNELS, BESIDES = 9, 13, 20
"""Kernels of a layer for one take and for more, and of the rest of a step."""

MEASURED = RESULTS.with_name("results-cuda.json")
STEP = re.compile(r"(\w+): (\d+) at once at position (\d+)")
"""The rows there that tell of steps."""

BESIDE = 1.1e9
"""Bytes of CUDA itself, of the text encoder and of the codec, which are there before the model."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's size; its weights and its past are in half precision."""

    name: str
    dim: int
    layers: int

    @property
    def weights(self) -> int:
        """Bytes of weights that every step reads."""
        return 2 * (14 * self.dim**2 * self.layers + 4 * CARD * self.dim)

    def past(self, place: float) -> float:
        """Return the bytes that one take remembers of the music up to a position."""
        return 2 * 4 * self.dim * self.layers * (place + 1)

    def read(self, takes: int, place: float) -> float:
        """Return the bytes that a step of so many takes must read."""
        return self.weights + takes * self.past(place)


SMALL = Shape("small", 1024, 24)
MEDIUM = Shape("medium", 1536, 48)
LARGE = Shape("large", 2048, 48)


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: bytes of memory as torch tells them, and the rest as its maker does."""

    name: str
    memory: float
    bandwidth: float
    """Bytes per second."""
    multiprocessors: int

    def slots(self, shape: Shape) -> int:
        """Return how many takes of a model the engine renders side by side there; at least 1."""
        has = patch.object(memory, "free", lambda _: self.memory - BESIDE)
        counts = patch.object(devices, "multiprocessors", lambda: self.multiprocessors)
        with has, counts:
            return capacity.slots(_model(shape), Precision.FLOAT16, torch.device("cuda"))

    def step(self, shape: Shape, takes: int, place: float) -> float:
        """Return the seconds of a step."""
        kernels = ALONE if takes == 1 else KERNELS
        launched = (kernels * shape.layers + BESIDES) * KERNEL
        return shape.read(takes, place) / (SHARE * self.bandwidth) + launched

    def seconds(self, shape: Shape, takes: int) -> float:
        """Return the seconds until as many pieces of 30 seconds are there, save their sound."""
        return STEPS * self.step(shape, takes, STEPS / 2)


CARDS = (
    Card("T4", 15.8e9, 0.32e12, 40),
    Card("RTX 3090", 25.4e9, 0.936e12, 82),
    Card("RTX 4090", 25.4e9, 1.008e12, 128),
    Card("A100, 40 GB", 42.3e9, 1.555e12, 108),
    Card("H100, 80 GB", 84.9e9, 3.35e12, 132),
)


@cache
def _model(shape: Shape) -> Any:  # noqa: ANN401
    """Return what `capacity.slots` looks at of a model, without memory for its weights."""
    with torch.device("meta"):
        lm = language_model(shape.dim, shape.layers, card=CARD, dtype=torch.float16)
    return SimpleNamespace(lm=lm, max_duration=SECONDS, frame_rate=RATE)


def table() -> str:
    """Return the table in Markdown."""
    lines = [
        "| card | model | takes side by side | one piece, s | as many at once, s | |",
        "|---|---|---|---|---|---|",
        *measured(json.loads(MEASURED.read_text())),
    ]
    for card in CARDS:
        for shape in (SMALL, MEDIUM, LARGE):
            slots = card.slots(shape)
            alone, all_ = card.seconds(shape, 1), card.seconds(shape, slots)
            lines.append(
                f"| {card.name} | {shape.name} | {slots} | {alone:.1f} | {all_:.1f} | computed |"
            )
    return "\n".join(lines)


def measured(found: dict[str, Any]) -> list[str]:
    """Return the lines of a card whose results are at hand."""
    curves: dict[str, dict[int, Curve]] = defaultdict(lambda: defaultdict(dict))
    for row in found["rows"]:
        if match := STEP.fullmatch(row["name"]):
            takes, place = int(match[2]), int(match[3])
            curves[match[1]][takes][place] = takes / row["ours"]
    lines = []
    for name, own in curves.items():
        alone, all_ = (seconds(own[takes], STEPS) for takes in (1, max(own)))
        numbers = f"{max(own)} | {alone:.1f} | {all_:.1f}"
        lines.append(f"| {found['machine']['card']} | {name} | {numbers} | measured |")
    return lines


if __name__ == "__main__":
    print(table())
