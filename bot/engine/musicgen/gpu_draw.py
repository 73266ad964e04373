"""A step's tokens drawn by one Triton kernel: torch's operators for it are twenty small ones.

What it draws is what `sampling` says.
"""

from types import SimpleNamespace
from typing import Any

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from bot.engine.musicgen.attention import Attention
from bot.engine.musicgen.gpu_layers import early
from bot.engine.musicgen.sampling import UNKNOWN_TOKEN, Draw, Tokens, drawn, guided


@triton.jit
def _drawn(
    scores: tl.tensor,
    noise: tl.tensor,
    guidances: tl.tensor,
    temperatures: tl.tensor,
    ranks: tl.tensor,
    rows: tl.tensor,
    places: tl.tensor,
    sequence: tl.tensor,
    nan_sum: tl.tensor,
    takes: tl.tensor,
    codebooks: tl.tensor,
    card: tl.tensor,
    positions: tl.tensor,
    unknown: tl.constexpr,
    padded: tl.constexpr,
    wide: tl.constexpr,
    whole: tl.constexpr,
    bits: tl.constexpr,
    early: tl.constexpr,
) -> None:
    """Draw the token of one take and codebook, and put it where none is known."""
    take, codebook = tl.program_id(0), tl.program_id(1)
    each = tl.arange(0, padded)
    real = each < card
    own = (take * codebooks + codebook) * card + each
    luck = tl.load(noise + own, mask=real, other=1.0)
    row, place = tl.load(rows + take), tl.load(places + take)
    guidance = tl.load(guidances + take).to(wide)
    temperature = tl.load(temperatures + take).to(wide)
    rank = tl.load(ranks + take).to(tl.int32)
    if early:
        gdc_wait()
        gdc_launch_dependents()
    told = tl.load(scores + own, mask=real, other=0.0)
    free = tl.load(scores + takes * codebooks * card + own, mask=real, other=0.0)
    score = free + (told - free) * guidance
    # Atomic, as the codebooks of a take add to the same number.
    tl.atomic_add(nan_sum + row, tl.sum(score * 0, 0))
    score = tl.where(real, score / temperature, float("-inf"))
    chance = tl.exp(score - tl.max(score, 0))
    chance = chance / tl.sum(chance, 0)
    least = _ranked(chance, rank, whole, bits)
    kept = tl.where(chance.to(whole, bitcast=True) >= least, chance, 0.0)
    token = tl.argmax(tl.where(real, kept / tl.sum(kept, 0) / luck, -1.0), 0)
    token = tl.minimum(token, card - 1)  # where all is NaN
    into = sequence + (row * codebooks + codebook) * positions + place + 1
    known = tl.load(into)
    tl.store(into, tl.where(known == unknown, token, known))


@triton.jit
def _ranked(
    chance: tl.tensor, rank: tl.tensor, whole: tl.constexpr, bits: tl.constexpr
) -> tl.tensor:
    """Return the bits of the `rank`-th largest: those of positive numbers are in their order."""
    order = chance.to(whole, bitcast=True)
    least = tl.zeros((), whole)
    for bit in range(bits):
        higher = least | (tl.full((), 1, whole) << (bits - 1 - bit))
        least = tl.where(tl.sum((order >= higher).to(tl.int32), 0) >= rank, higher, least)
    return least


def draw(scores: torch.Tensor, asked: Draw, now: Attention, tokens: Tokens) -> None:
    """Draw tokens as `sampling.draw` does."""
    _, takes, codebooks, card = scores.shape
    double = scores.dtype is torch.float64
    _drawn[(takes, codebooks)](
        scores,
        asked.noise,
        asked.guidance,
        asked.temperature,
        asked.ranks,
        now.rows,
        now.places,
        tokens.sequence,
        tokens.nan_sum,
        takes,
        codebooks,
        card,
        tokens.sequence.shape[-1],
        unknown=UNKNOWN_TOKEN,
        padded=triton.next_power_of_2(card),
        wide=tl.float64 if double else tl.float32,
        whole=tl.int64 if double else tl.int32,
        bits=63 if double else 31,
        **early(scores.device),
    )


def check(device: torch.device) -> None:
    """Raise an error unless the kernel compiles here, and draws as torch does."""
    shape, chance = (2, 4, 2048), torch.Generator(device).manual_seed(0)
    asked = Draw(
        guidance=torch.tensor([3.0, 1.0], device=device)[:, None, None],
        temperature=torch.tensor([1.0, 0.7], device=device)[:, None, None],
        ranks=torch.tensor([250, 2048], device=device)[:, None, None],
        noise=torch.empty(shape, device=device).exponential_(generator=chance),
        most=2048,
    )
    scores = torch.randn((2, *shape), generator=chance, device=device)
    sequence = torch.full((2, 4, 3), UNKNOWN_TOKEN, device=device)
    rows = torch.arange(2, device=device)
    now: Any = SimpleNamespace(rows=rows, places=rows)
    draw(scores, asked, now, Tokens(sequence=sequence, nan_sum=torch.zeros(2, device=device)))
    found = sequence.gather(2, (rows + 1)[:, None, None].expand(2, 4, 1))[:, :, 0]
    if not torch.equal(found, drawn(guided(scores, asked), asked)):
        raise RuntimeError("its results are not torch's")
