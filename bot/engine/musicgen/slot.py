"""A take in the making, between the decoder that draws its tokens and the graphs that replay it."""

from dataclasses import dataclass

import torch

from bot.engine.musicgen.sampling import Sampling


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """A take in the making. `position` steps of its sequence are done, and `last` is its end."""

    row: int
    frames: int
    prompt: int
    position: int
    last: int
    sampling: Sampling
    generator: torch.Generator

    @property
    def done(self) -> bool:
        """Whether all its tokens are drawn."""
        return self.position >= self.last
