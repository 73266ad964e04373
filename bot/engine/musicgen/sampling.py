"""Drawing tokens as audiocraft does, without waiting for the device.

Source: `LMModel._sample_next_token` in audiocraft's `models/lm.py`, and its `utils/utils.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

import torch

from bot.engine.musicgen.attention import Attention

UNKNOWN_TOKEN = -1
"""Stands where a token is still to be drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn; a top_k of 0 draws from all."""

    guidance: float = 3.0
    temperature: float = 1.0
    top_k: int = 250

    @classmethod
    def asked(cls, options: Mapping[str, float]) -> Self:
        """Return what the options of a request come to."""
        chosen = cls().options | dict(options)
        return cls(
            guidance=chosen["guidance"],
            temperature=chosen["temperature"],
            top_k=int(chosen["top_k"]),
        )

    @property
    def options(self) -> dict[str, float]:
        """What a request can ask for, by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What a step's tokens are drawn by.

    `guidance`, `temperature` and `ranks` are [takes, 1, 1], `noise` from Exp(1) is [takes,
    codebooks, card]; `most` is the largest of the ranks, or more.
    """

    guidance: torch.Tensor
    temperature: torch.Tensor
    ranks: torch.Tensor
    noise: torch.Tensor
    most: int

    @classmethod
    def of(cls, samplings: list[Sampling], noise: torch.Tensor) -> Self:
        """Lay out the samplings of some takes."""
        card = noise.shape[-1]
        ranks = [sampling.top_k or card for sampling in samplings]

        def column(values: list[float], dtype: torch.dtype) -> torch.Tensor:
            shaped = [[[value]] for value in values]
            return torch.tensor(shaped, dtype=dtype, device=noise.device)

        return cls(
            guidance=column([sampling.guidance for sampling in samplings], noise.dtype),
            temperature=column([sampling.temperature for sampling in samplings], noise.dtype),
            ranks=column(list(ranks), torch.long),
            noise=noise,
            most=max(ranks),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Those of all takes, `sequence` [slots, codebooks, positions + 1].

    Zero times all scores that a take was drawn from is in `nan_sum` [slots], which NaN or infinity
    among them makes NaN.
    """

    sequence: torch.Tensor
    nan_sum: torch.Tensor


def guided(scores: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Return one score a token, [takes, codebooks, card], for those of both rows of each take.

    They come as [2 (with words, without), takes, codebooks, card].
    """
    with_words, without = scores.unbind()
    return without + (with_words - without) * draw.guidance


def drawn(scores: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Return tokens [takes, codebooks] for scores [takes, codebooks, card], which are `guided`.

    The largest of p / Exp(1) is what `torch.multinomial` takes for one sample.
    """
    chances = torch.softmax(scores / draw.temperature, dim=-1)
    best = torch.topk(chances, draw.most, dim=-1).values
    index = (draw.ranks - 1).expand(-1, chances.shape[1], 1)
    # All that are as likely as the last of them stay, as in audiocraft's `sample_top_k`.
    chances = chances * (chances >= best.gather(-1, index))
    chances = chances / chances.sum(-1, keepdim=True)
    return (chances / draw.noise).argmax(-1)


def draw(scores: torch.Tensor, how: Draw, now: Attention, tokens: Tokens) -> None:
    """Draw from scores [2, takes, codebooks, card] the tokens after those of a step.

    Only where none is known; what is not finite among a take's scores is kept in mind.
    """
    scores, rows, places = guided(scores, how), now.rows, now.places + 1
    known = tokens.sequence[rows, :, places]
    # Codebooks that are delayed are still in the prompt when the first draws new frames.
    new = torch.where(known == UNKNOWN_TOKEN, drawn(scores, how), known)
    tokens.sequence[rows, :, places] = new
    tokens.nan_sum.index_add_(0, rows, (scores * 0).sum((1, 2)))
