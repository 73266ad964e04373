"""Drawing tokens on a CPU as `sampling` does, compiled by Numba: one pass for each codebook."""

import numba
import numpy as np
from numpy.typing import NDArray

from bot.engine.musicgen.compiling import alone, small, together
from bot.engine.musicgen.cpu_kernels import LOWEST_FLOAT, Floats, Places, exp, to_bits

ZERO = np.float32(0)
BITS = 31
"""Those of a float32 that has no sign."""


@together
def draw(
    scores: Floats,
    guidance: Floats,
    temperature: Floats,
    ranks: Places,
    noise: Floats,
    rows: Places,
    places: Places,
    sequence: Places,
    nan_sum: Floats,
    unknown: int,
) -> None:
    """Draw a step's tokens into `sequence` [slots, codebooks, positions + 1], where none is known.

    `scores` are [2 (with words, without), takes, codebooks, card], `noise` is [takes, codebooks,
    card], `nan_sum` [slots], and the others are a number for each take.
    """
    _, takes, codebooks, card = scores.shape
    broken = np.empty((takes, codebooks), np.float32)
    for task in numba.prange(takes * codebooks):
        take, codebook = divmod(np.int64(task), codebooks)
        own = np.empty(card, np.float32)
        with_words, without = scores[0, take, codebook], scores[1, take, codebook]
        broken[take, codebook] = _guide(with_words, without, guidance[take], own)
        token = _draw(own, temperature[take], ranks[take], noise[take, codebook])
        row, place = rows[take], places[take] + 1
        # Codebooks that are delayed are still in the prompt when the first draws new frames.
        if sequence[row, codebook, place] == unknown:
            sequence[row, codebook, place] = token
    # By one thread: codebooks of a take add to the same number.
    for take in range(takes):
        for codebook in range(codebooks):
            nan_sum[rows[take]] += broken[take, codebook]


@small
def _guide(with_words: Floats, without: Floats, guidance: np.float32, guided: Floats) -> np.float32:
    """Put guided scores in their place; return zero times their sum, which is NaN if one is."""
    total = ZERO
    for at in range(len(guided)):
        guided[at] = without[at] + (with_words[at] - without[at]) * guidance
        total += guided[at] * ZERO
    return total


@alone
def _draw(scores: Floats, temperature: np.float32, rank: np.int64, noise: Floats) -> np.int64:
    """Return the token with the largest chance / noise among the likeliest `rank`."""
    chances = np.empty(len(scores), np.float32)
    hotter = np.float32(1) / temperature
    top = LOWEST_FLOAT
    for at in range(len(scores)):
        top = max(top, scores[at])
    for at in range(len(scores)):
        chances[at] = exp((scores[at] - top) * hotter)
    least = _ranked(chances.view(np.uint32), rank)
    best = ZERO
    for at in range(len(scores)):
        chance = chances[at] if to_bits(chances[at]) >= least else ZERO
        chances[at] = chance / noise[at]
        best = max(best, chances[at])
    for at in range(len(scores)):
        if chances[at] == best:
            return np.int64(at)
    return np.int64(0)  # its scores are not finite, and it will be refused


@small
def _ranked(chances: NDArray[np.uint32], rank: np.int64) -> np.uint32:
    """Return the largest but `rank` - 1 of some chances, which are ordered as their bits are."""
    found = np.uint32(0)
    for bit in range(BITS):
        higher = found | np.uint32(1 << (BITS - 1 - bit))
        many = np.int32(0)
        for at in range(len(chances)):
            many += np.int32(chances[at] >= higher)
        if many >= rank:
            found = higher
    return found
