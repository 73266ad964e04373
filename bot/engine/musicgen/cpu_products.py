"""Matrix products of a few rows on a CPU, compiled by Numba: a weight is read once, as it lies.

They stand on two of the instructions in `cpu_instructions`; a weight is laid out in the order in
which these read it. Each row has sums of its own, so it comes out the same to the last bit whatever
rows are beside it.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from bot.engine.musicgen.compiling import OPTIONS, alone, small, together
from bot.engine.musicgen.cpu_instructions import BYTES_AT_ONCE, CACHE_LINE, REGISTER_NUMBERS, tile
from bot.engine.musicgen.cpu_kernels import (
    INFINITY_BITS,
    ONE_HALF,
    Floats,
    exp,
    from_bits,
    largest_bits,
    share,
    to_half,
)

BLOCK_OUTPUTS = 2 * REGISTER_NUMBERS
"""Of a block: two registers, so that what is loaded of a row serves both."""

TILE_ROWS = 8
"""Rows of the largest tile: with a block's outputs their sums fill half of the registers."""

CHUNK_LINES = 64
"""Lines of a block that all rows meet before the next are read: a quarter of the nearest cache."""

ZERO_POINT = 128
"""What a weight's 8-bit numbers are counted from: the instruction wants one side unsigned."""

NORM_EPSILON = np.float32(1e-5)
NO_NORM = np.empty((2, 0), np.float32)

STORED, ADDED, GELU = range(3)
"""What becomes of a product: it is kept, added to what is there, or goes through GELU."""

PackedNumbers = NDArray[Any]
"""Small numbers: a weight's are uint8 or bfloat16 (as uint16), a row's int8 or bfloat16."""

Weight = PackedNumbers
"""A weight [out, in], as blocks of 32 outputs [out / 32, in / n + 1, 32 · n], n numbers in four
bytes: a line for each n inputs, and a last one of float32 that scales the outputs.
"""


class Scratch(NamedTuple):
    """What each thread writes on: a row's layer norm, rows as they are packed, and their sums."""

    normed: Floats
    packed: PackedNumbers
    sums: PackedNumbers
    scales: Floats
    offsets: PackedNumbers


def scratch(weight: Weight, threads: int, rows: int, width: int) -> Scratch:
    """Return room for products of so many rows with weights of one kind."""
    small, summed = (np.int8, np.int32) if weight.dtype == np.uint8 else (np.uint16, np.float32)
    filled = -(-rows // TILE_ROWS) * TILE_ROWS
    return Scratch(
        normed=np.empty((threads, width), np.float32),
        packed=np.zeros((threads, filled * width), small),
        sums=np.empty((threads, filled, BLOCK_OUTPUTS), summed),
        scales=np.empty((threads, rows), np.float32),
        offsets=np.empty((threads, rows), summed),
    )


def _adding(*, fetches: bool) -> Any:  # noqa: ANN401
    """Return what adds products of the first of some rows: of so many, or of a few beyond."""
    eight, four, two, one = (tile(tall, fetches=fetches) for tall in (TILE_ROWS, 4, 2, 1))

    @small
    def add(
        many: int, lines: PackedNumbers, rows: PackedNumbers, sums: PackedNumbers, ahead: np.int64
    ) -> None:
        if many > 4:
            eight(lines, rows, sums, ahead)
        elif many > 2:
            four(lines, rows, sums, ahead)
        elif many > 1:
            two(lines, rows, sums, ahead)
        else:
            one(lines, rows, sums, ahead)

    return add


_add, _add_and_fetch = _adding(fetches=False), _adding(fetches=True)


@small
def _multiply(many: int, block: Weight, rows: PackedNumbers, sums: PackedNumbers) -> None:
    """Put the sums that so many rows have with a block in their place; beyond them is room.

    Where they fill one tile, the block comes from memory in its order, as processors foresee. More
    of them meet it chunk by chunk, and the next is fetched meanwhile.
    """
    lines = len(block) - 1
    sums[:many] = 0
    if many <= TILE_ROWS:
        _add(many, block[:lines], rows, sums, 0)
        return
    one = BYTES_AT_ONCE // rows.itemsize
    for first in range(0, lines, CHUNK_LINES):
        last = min(first + CHUNK_LINES, lines)
        ahead = 2 * CACHE_LINE * CHUNK_LINES
        for row in range(0, many, TILE_ROWS):
            fours = rows[row:, one * first : one * last]
            _add_and_fetch(many - row, block[first:last], fours, sums[row:], ahead)
            ahead += CACHE_LINE * CHUNK_LINES


@small
def gelu(number: np.float32) -> np.float32:
    """Return x · Φ(x), to 2e-7.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26.
    """
    x = abs(number) * np.float32(0.5**0.5)
    t = np.float32(1) / (np.float32(1) + np.float32(0.3275911) * x)
    series = np.float32(1.061405429)
    series = series * t + np.float32(-1.453152027)
    series = series * t + np.float32(1.421413741)
    series = series * t + np.float32(-0.284496736)
    series = series * t + np.float32(0.254829592)
    tail = ONE_HALF * series * t * exp(-x * x)  # Φ(-|x|)
    return number * (np.float32(1) - tail if number > 0 else tail)


@small
def _finish(
    sums: PackedNumbers,
    factors: Floats,
    scale: np.float32,
    offset: np.number[Any],
    into: Floats,
    how: int,
) -> None:
    """Make products of a row's sums with a block, and put them into the block's part of it."""
    if how == ADDED:
        for at in range(BLOCK_OUTPUTS):
            into[at] += np.float32(sums[at] - offset) * (factors[at] * scale)
    elif how == GELU:
        for at in range(BLOCK_OUTPUTS):
            into[at] = gelu(np.float32(sums[at] - offset) * (factors[at] * scale))
    else:
        for at in range(BLOCK_OUTPUTS):
            into[at] = np.float32(sums[at] - offset) * (factors[at] * scale)


def packed(row: Floats, into: PackedNumbers) -> tuple[np.float32, Any]:
    """Put a row into what the instructions take; return its scale, and the excess of its sums."""
    raise NotImplementedError  # Numba compiles one of those below in its place, by what it packs


@overload(packed, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]  # Numba
def _packing(row: Any, into: Any) -> Any:  # noqa: ANN401, ARG001
    return _in_bytes if into.dtype == types.int8 else _in_halves


def _in_bytes(row: Floats, into: PackedNumbers) -> tuple[np.float32, np.int32]:
    """Divide by the largest magnitude; NaN and infinity are left to the scale."""
    bits = largest_bits(row)
    largest, finite = from_bits(bits), bits < INFINITY_BITS
    scale = np.float32(127) / largest
    total = np.int32(0)
    for at in range(len(row)):
        number = np.int32(np.floor(row[at] * scale + ONE_HALF)) if finite else np.int32(0)
        into[at] = number
        total += number
    return largest / np.float32(127), np.int32(ZERO_POINT) * total


def _in_halves(row: Floats, into: PackedNumbers) -> tuple[np.float32, np.float32]:
    """Round to the nearest bfloat16."""
    for at in range(len(row)):
        into[at] = to_half(row[at])
    return np.float32(1), np.float32(0)


@small
def _normed(row: Floats, norm: Floats, into: Floats) -> None:
    """Put the layer norm of a row into another."""
    many = np.float32(len(row))
    total = np.float32(0)
    for at in range(len(row)):
        total += row[at]
    mean = total / many
    squares = np.float32(0)
    for at in range(len(row)):
        squares += (row[at] - mean) * (row[at] - mean)
    scale = np.float32(1) / np.sqrt(squares / many + NORM_EPSILON)
    for at in range(len(row)):
        into[at] = (row[at] - mean) * scale * norm[0, at] + norm[1, at]


@alone
def product(
    worker: np.int64,
    workers: int,
    rows: Floats,
    norm: Floats,
    weight: Weight,
    into: Floats,
    how: int,
    own: Scratch,
) -> None:
    """Multiply rows [n, in], or their layer norm, by a worker's share of the outputs."""
    many, width = rows.shape
    filled = own.sums.shape[1]
    room = own.packed[worker, : filled * width].reshape(filled, width)
    scales, offsets = own.scales[worker], own.offsets[worker]
    normed = own.normed[worker, :width]
    for row in range(many):
        if norm.size:
            _normed(rows[row], norm, normed)
            scales[row], offsets[row] = packed(normed, room[row])
        else:
            scales[row], offsets[row] = packed(rows[row], room[row])
    sums = own.sums[worker]
    begin, end = share(worker, workers, len(weight))
    for block in range(begin, end):
        _multiply(many, weight[block], room, sums)
        factors = weight[block, -1].view(np.float32)
        for row in range(many):
            part = into[row, BLOCK_OUTPUTS * block : BLOCK_OUTPUTS * (block + 1)]
            _finish(sums[row], factors, scales[row], offsets[row], part, how)


@together
def multiply(rows: Floats, norm: Floats, weight: Weight, into: Floats, own: Scratch) -> None:
    """Put the product of rows [n, in], or of their layer norm, `into` [n, out]."""
    workers = len(own.scales)
    for worker in numba.prange(workers):
        product(np.int64(worker), workers, rows, norm, weight, into, STORED, own)
