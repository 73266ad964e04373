"""The windows of a piece that is longer than what the model hears at once.

Source: `_generate_tokens` in audiocraft's `models/genmodel.py`, whose numbers these are.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of music: its frames, how many of them repeat the one before, its decoder steps."""

    prompt: int
    frames: int
    steps: int


def windows(
    seconds: float, rate: float, longest: float, stride: float, steps: Callable[[int, int], int]
) -> list[Window]:
    """Return the windows of a piece, of `longest` seconds at most, each `stride` after the last.

    `steps` tells the decoder's steps for (frames, prompt).
    """
    found: list[Window] = []
    offset = prompt = 0
    while offset + prompt < int(seconds * rate):
        frames = int(min(seconds - offset / rate, longest) * rate)
        found.append(Window(prompt=prompt, frames=frames, steps=steps(frames, prompt)))
        offset += int(rate * stride)
        prompt = max(0, frames - int(rate * stride))
    return found
