"""How far a precision strays from the exact scores, along tokens that are given."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import torch

from bot.engine.musicgen.attention import TextPast
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.sampling import Sampling

GUIDANCE = 3


def first_scores(decoder: Decoder, steps: int, at: int = 0) -> Iterator[torch.Tensor]:
    """Step, and yield the scores [2, codebooks, card] of the first slot, or another, each time."""
    seen: list[torch.Tensor] = []
    real = decoder.scores

    def scores(attention: Any) -> torch.Tensor:
        seen.append(real(attention))
        return seen[-1]

    with patch.object(decoder, "scores", scores):
        for _ in range(steps):
            decoder.step()
            yield seen[-1][:, at]


def teacher_forced(
    decoder: Decoder, words: TextPast, codes: torch.Tensor, *, given: int = 0, last: bool = False
) -> torch.Tensor:
    """Return the scores [steps, 2, codebooks, card] along codes [codebooks, frames].

    The first `given` frames are a prompt, and have none. Others may be under way, and are stepped
    too, if it is the `last`.
    """
    frames = codes.shape[-1]
    generator = torch.Generator(decoder.device)
    slot = decoder.admit(words, codes[:, :given], frames, Sampling(), generator)
    decoder.lay_out(slot, codes)
    steps = first_scores(decoder, frames - given, -1 if last else 0)
    scores = torch.stack([each.clone() for each in steps])
    decoder.release(slot)
    return scores


def error(exact: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest error of a score, as a share of the scores' standard deviation."""
    return float((other.double() - exact).abs().max() / exact.std())


def divergence(exact: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of each step's guided choice, in nats."""
    chances, others = (
        torch.log_softmax((both[:, 1] + GUIDANCE * (both[:, 0] - both[:, 1])).double(), dim=-1)
        for both in (exact, other)
    )
    return (chances.exp() * (chances - others)).sum(-1)
