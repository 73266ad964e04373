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
    seconds: float,
    rate: float,
    longest: float,
    stride: float,
    steps: Callable[[int, int], int],
    before: int = 0,
) -> list[Window]:
    """Return the windows of `seconds` of music, of `longest` seconds at most with what they repeat.

    Each begins `stride` after the last. The first repeats what it can of the `before` frames that
    the piece has already. `steps` tells the decoder's steps for (frames, prompt).
    """
    left, most = int(seconds * rate), int(longest * rate)
    overlap = most - int(stride * rate)
    prompt = min(before, max(most - left, overlap))
    found: list[Window] = []
    while left > 0:
        frames = min(prompt + left, most)
        found.append(Window(prompt=prompt, frames=frames, steps=steps(frames, prompt)))
        left -= frames - prompt
        prompt = overlap
    return found
