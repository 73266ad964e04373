"""Drawing tokens as audiocraft does, without waiting for the device.

Source: `LMModel._sample_next_token` in audiocraft's `models/lm.py`, and its `utils/utils.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch

TINY_PROBABILITY = 1e-30
"""The lowest temperature that scores are divided by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn: a temperature of 0 takes the likeliest, a top_k of 0 draws from all."""

    guidance: float = 3.0
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0

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
        return {
            "guidance": self.guidance,
            "temperature": self.temperature,
            "top_k": self.top_k,
        }

    @property
    def plain(self) -> bool:
        """Whether `drawn` alone says it all, for any number of takes at once."""
        return self.temperature > 0 and not self.top_p


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
    chances = _chances(scores, draw)
    best = torch.topk(chances, draw.most, dim=-1).values
    index = (draw.ranks - 1).expand(-1, chances.shape[1], 1)
    # All that are as likely as the last of them stay, as in audiocraft's `sample_top_k`.
    chances = chances * (chances >= best.gather(-1, index))
    chances = chances / chances.sum(-1, keepdim=True)
    return (chances / draw.noise).argmax(-1)


def draw(
    scores: torch.Tensor,
    how: Draw,
    rows: torch.Tensor,
    places: torch.Tensor,
    sequence: torch.Tensor,
    nan_sum: torch.Tensor,
    unknown: int,
    samplings: Sequence[Sampling] = (),
) -> None:
    """Draw from scores [2, takes, codebooks, card] into `sequence` [slots, codebooks, positions].

    Only where that is `unknown` at the place after those of the takes. Zero times all scores of a
    take is added to `nan_sum` [slots], which NaN or infinity among them makes NaN. The `samplings`
    are needed where some are not plain.
    """
    scores = guided(scores, how)
    tokens = drawn(scores, how)
    _special(tokens, scores, how, samplings)
    places = places + 1
    known = sequence[rows, :, places]
    # Codebooks that are delayed are still in the prompt when the first draws new frames.
    sequence[rows, :, places] = torch.where(known == unknown, tokens, known)
    nan_sum.index_add_(0, rows, (scores * 0).sum((1, 2)))


def _special(
    tokens: torch.Tensor, scores: torch.Tensor, draw: Draw, samplings: Sequence[Sampling]
) -> None:
    """Replace the tokens of takes whose sampling is not plain."""
    for row, sampling in enumerate(samplings):
        if sampling.plain:
            continue
        if sampling.temperature == 0:
            tokens[row] = scores[row].argmax(-1)
        else:
            chances = _chances(scores, draw)
            tokens[row] = _nucleus(chances[row], draw.noise[row], sampling.top_p)


def _chances(scores: torch.Tensor, draw: Draw) -> torch.Tensor:
    # A temperature of 0 is the greedy takes', whose tokens are replaced: it must only not divide.
    return torch.softmax(scores / draw.temperature.clamp_min(TINY_PROBABILITY), dim=-1)


def _nucleus(chances: torch.Tensor, noise: torch.Tensor, most: float) -> torch.Tensor:
    """Draw from the likeliest tokens that have a chance of `most` together.

    Source: Holtzman et al. 2020, in the order of `audiocraft.utils.utils.sample_top_p`.
    """
    ordered, tokens = torch.sort(chances, dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = ordered * (before <= most)
    best = (kept / kept.sum(-1, keepdim=True) / noise).argmax(-1, keepdim=True)
    return tokens.gather(-1, best)[..., 0]
