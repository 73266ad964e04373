"""Attention of one token on a GPU, by Triton kernels that read no more than there is.

SDPA with a mask reads every place that a take may have, one block of threads for each row and head.
Here a row is read as long as it is, in parts side by side, and what reads the music also keeps the
new key and value. Source: "Flash-Decoding for long-context inference", pytorch.org.
"""

from functools import partial

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from bot.engine.hardware import devices
from bot.engine.musicgen.attention import LONGEST_TEXT, USUAL_TEXT, Masked, Memory, Together
from bot.engine.musicgen.gpu_layers import early

BLOCK_PLACES = 64
"""Places that are read at once."""

PIPELINE_STAGES, BLOCK_WARPS = 2, 2
"""How many of these are on their way at once, and warps of a block of threads."""

BLOCKS_PER_PROCESSOR, MOST_PARTS = 4, 16
"""Blocks of threads that keep a multiprocessor busy, and parts that a past is read in at most."""

LOWEST_SCORE = tl.constexpr(-1e30)
"""Less than any score; infinity less infinity would be NaN."""

ATTENTION_TOLERANCE = 0.02
"""How far off what torch finds the kernels may be: as far as half precision rounds."""


@triton.jit
def _read(
    query: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    begin: tl.tensor,
    end: tl.tensor,
    top: tl.tensor,
    total: tl.tensor,
    mixed: tl.tensor,
    size: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Go on with a softmax over the places from `begin` to `end`, in the query's dtype."""
    inside = tl.arange(0, size)
    for at in tl.range(begin, end, block, num_stages=stages):
        places = at + tl.arange(0, block)
        there = places < end
        offsets = places[:, None] * size + inside[None, :]
        some = tl.load(keys + offsets, mask=there[:, None], other=0.0).to(query.dtype)
        scores = tl.where(there, tl.sum(some * query[None, :], 1), LOWEST_SCORE)
        higher = tl.maximum(top, tl.max(scores, 0))
        shares = tl.where(there, tl.exp(scores - higher), 0.0)
        shrink = tl.exp(top - higher)
        some = tl.load(values + offsets, mask=there[:, None], other=0.0).to(query.dtype)
        mixed = mixed * shrink + tl.sum(shares[:, None] * some, 0)
        total = total * shrink + tl.sum(shares, 0)
        top = higher
    return top, total, mixed


@triton.jit
def _music(
    parts: tl.tensor,
    cache: tl.tensor,
    places: tl.tensor,
    mixes: tl.tensor,
    tops: tl.tensor,
    totals: tl.tensor,
    takes: tl.tensor,
    heads: tl.tensor,
    positions: tl.tensor,
    apart: tl.tensor,
    wide: tl.constexpr,
    splits: tl.constexpr,
    size: tl.constexpr,
    block: tl.constexpr,
    stages: tl.constexpr,
    early: tl.constexpr,
) -> None:
    """Read one part of the past of one row and head; the first also keeps the new token.

    `apart` is the distance from a key to its value.
    """
    task, part = tl.program_id(0), tl.program_id(1)
    head, row = task % heads, task // heads
    half, take = row // takes, row % takes
    place = tl.load(places + take).to(tl.int32)
    inside = tl.arange(0, size)
    if early:
        gdc_wait()
        gdc_launch_dependents()
    own = parts + (row * 3 * heads + head).to(tl.int64) * size + inside
    query = tl.load(own).to(wide) * (size**-0.5)
    key, value = tl.load(own + heads * size), tl.load(own + 2 * heads * size)
    keys = cache + ((2 * take + half) * heads + head).to(tl.int64) * positions * size
    if part == 0:
        tl.store(keys + place * size + inside, key)
        tl.store(keys + apart + place * size + inside, value)
    # The first part begins with the new token, the others with nothing.
    first = (part == 0).to(wide)
    top = tl.where(part == 0, tl.sum(query * key.to(wide), 0), LOWEST_SCORE).to(wide)
    mixed = value.to(wide) * first
    # Whole blocks, so that only the last part ends in the middle of one.
    chunk = tl.cdiv(tl.cdiv(place, splits), block) * block
    begin = part * chunk
    end = tl.minimum(begin + chunk, place)
    values = keys + apart
    top, total, mixed = _read(
        query, keys, values, begin, end, top, first, mixed, size, block, stages
    )
    at = task * splits + part
    tl.store(mixes + at * size + inside, mixed)
    tl.store(tops + at, top)
    tl.store(totals + at, total)


@triton.jit
def _joined(
    mixes: tl.tensor,
    tops: tl.tensor,
    totals: tl.tensor,
    into: tl.tensor,
    splits: tl.constexpr,
    size: tl.constexpr,
    early: tl.constexpr,
) -> None:
    """Join the parts of one row and head."""
    if early:
        gdc_wait()
        gdc_launch_dependents()
    task = tl.program_id(0)
    inside, each = tl.arange(0, size), task * splits + tl.arange(0, splits)
    top = tl.load(tops + each)
    weight = tl.exp(top - tl.max(top, 0))
    total = tl.sum(weight * tl.load(totals + each), 0)
    mixed = tl.sum(weight[:, None] * tl.load(mixes + each[:, None] * size + inside[None, :]), 0)
    tl.store(into + task * size + inside, (mixed / total).to(into.dtype.element_ty))


@triton.jit
def _words(
    queries: tl.tensor,
    addresses: tl.tensor,
    lengths: tl.tensor,
    into: tl.tensor,
    heads: tl.tensor,
    wide: tl.constexpr,
    size: tl.constexpr,
    block: tl.constexpr,
    early: tl.constexpr,
) -> None:
    """Read the words of one take for one head, wherever they are.

    The first block of them is fetched before the kernel waits for the one before it.
    """
    task = tl.program_id(0)
    take, head = task // heads, task % heads
    length = tl.load(lengths + take).to(tl.int32)
    inside = tl.arange(0, size)
    kept = tl.pointer_type(queries.dtype.element_ty)
    begin = head * length * size
    keys = tl.multiple_of(tl.load(addresses + 2 * take).to(kept), 16) + begin
    values = tl.multiple_of(tl.load(addresses + 2 * take + 1).to(kept), 16) + begin
    places = tl.arange(0, block)
    there = places < length
    offsets = places[:, None] * size + inside[None, :]
    key = tl.load(keys + offsets, mask=there[:, None], other=0.0).to(wide)
    value = tl.load(values + offsets, mask=there[:, None], other=0.0).to(wide)
    if early:
        gdc_wait()
        gdc_launch_dependents()
    query = tl.load(queries + task * size + inside).to(wide) * (size**-0.5)
    scores = tl.where(there, tl.sum(key * query[None, :], 1), LOWEST_SCORE)
    top = tl.max(scores, 0)
    shares = tl.where(there, tl.exp(scores - top), 0.0)
    total, mixed = tl.sum(shares, 0), tl.sum(shares[:, None] * value, 0)
    _, total, mixed = _read(query, keys, values, block, length, top, total, mixed, size, block, 1)
    tl.store(into + task * size + inside, (mixed / total).to(into.dtype.element_ty))


class Split:
    """Attends for the first `takes` slots together, each over as much as it has.

    What is found is overwritten in the next layer.
    """

    tokens = LONGEST_TEXT

    def __init__(self, memory: Memory, takes: int) -> None:
        self._memory, self._takes = memory, takes
        self.rows = torch.arange(takes, device=memory.device)
        self._addresses, self._lengths = memory.addresses()
        rows = 2 * takes * memory.heads
        self._splits = splits(rows, devices.multiprocessors())
        wide = torch.promote_types(memory.dtype, torch.float32)
        self._wide = tl.float64 if wide is torch.float64 else tl.float32
        self._early = early(memory.device)

        def empty(*shape: int, dtype: torch.dtype = wide) -> torch.Tensor:
            return torch.empty(shape, dtype=dtype, device=memory.device)

        # Made once: a captured step writes where these were when it was captured.
        self._mixes = empty(rows, self._splits, memory.size)
        self._tops, self._totals = empty(rows, self._splits), empty(rows, self._splits)
        self._heard = empty(2, takes, memory.heads, memory.size, dtype=memory.dtype)
        self._said = empty(takes, memory.heads, memory.size, dtype=memory.dtype)

    def look(self, places: torch.Tensor) -> None:
        """Take the places [takes] of a step."""
        self.places = places

    def music(self, layer: int, parts: torch.Tensor) -> torch.Tensor:
        """Keep a token's keys and values, and return what its queries find."""
        memory, cache = self._memory, self._memory.music[layer]
        between = self._mixes, self._tops, self._totals
        rows, _, size = self._mixes.shape
        grid = rows, self._splits
        _music[grid](
            parts,
            cache,
            self.places,
            *between,
            self._takes,
            memory.heads,
            memory.positions,
            cache.stride(0),
            wide=self._wide,
            splits=self._splits,
            size=size,
            block=BLOCK_PLACES,
            stages=PIPELINE_STAGES,
            num_warps=BLOCK_WARPS,
            **self._early,
        )
        joined = {"splits": self._splits, "size": size, "num_warps": 1}
        _joined[(rows,)](*between, self._heard, **joined, **self._early)
        return self._heard

    def words(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Return what queries [takes, heads · size] find."""
        heads, size = self._memory.heads, self._memory.size
        _words[(self._takes * heads,)](
            query,
            self._addresses[layer],
            self._lengths,
            self._said,
            heads,
            wide=self._wide,
            size=size,
            block=BLOCK_PLACES,
            num_warps=BLOCK_WARPS,
            **self._early,
        )
        return self._said


def splits(rows: int, processors: int) -> int:
    """Return in how many parts the past of each row and head is read: a power of two."""
    wanted = max(1, min(MOST_PARTS, BLOCKS_PER_PROCESSOR * processors // rows))
    return 1 << (wanted.bit_length() - 1)


def check(like: Memory) -> None:
    """Raise an error unless the kernels compile here, and attend to such a memory as torch does."""
    chance = torch.Generator(like.device).manual_seed(0)
    some = partial(torch.randn, generator=chance, dtype=like.dtype, device=like.device)
    memory = Memory(1, 2, like.heads, 3 * BLOCK_PLACES, like.size, like.dtype, like.device)
    memory.music[0].copy_(some(memory.music[0].shape))
    for row, tokens in enumerate((7, USUAL_TEXT)):
        keys, values = some(2, 1, like.heads, tokens, like.size)
        memory.know(row, [(keys, values)])
    parts, query = some(2, 2, 3, like.heads, like.size), some(2, like.heads * like.size)
    # Within a block, and over several, of which the last is not full.
    places = torch.tensor([1, 2 * BLOCK_PLACES + 1], device=like.device)

    def found(step: Together) -> torch.Tensor:
        step.look(places)
        return torch.cat([step.music(0, parts).flatten(), step.words(0, query).flatten()])

    ours, kept = found(Split(memory, 2)), memory.music[0].clone()
    theirs = found(Masked(memory, 2))
    if not (
        torch.equal(kept, memory.music[0])
        and torch.allclose(ours, theirs, ATTENTION_TOLERANCE, ATTENTION_TOLERANCE)
    ):
        raise RuntimeError("its results are not torch's")
