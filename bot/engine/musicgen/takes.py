"""What a loop that draws tokens is to the model, and a take that it draws."""

from collections.abc import Sequence
from typing import Protocol

import torch

from bot.engine.messages import Render
from bot.engine.musicgen.precisions import Kernels


class TakeInProgress(Protocol):
    """A take that is being rendered."""

    total: int
    """Its decoder steps."""

    @property
    def done(self) -> int:
        """How many of them it has made."""

    @property
    def ended(self) -> bool:
        """Whether no more frames will come."""

    @property
    def frames(self) -> int:
        """How many frames it has."""

    @property
    def finite(self) -> bool:
        """Whether no score was NaN or infinite so far; this waits for the device."""

    def proceed(self) -> None:
        """Begin, or go on to the next window, where it is time and there is room."""

    def codes(self) -> torch.Tensor:
        """Return what it has, [codebooks, frames]."""

    def stop(self) -> None:
        """End with what it has."""

    def drop(self) -> None:
        """End with nothing; this takes no memory."""


class Loop(Protocol):
    """What draws the tokens."""

    slots: int
    precision: str
    kernels: Kernels
    wider: str
    """The setting by which it computes with a wider range."""

    def step(self) -> None:
        """Draw the next tokens of all takes that have begun."""

    def begin(self, order: Render) -> Sequence[TakeInProgress]:
        """Return the takes of an order, none of which has begun."""
