"""Matrix products of a few rows on a CPU, compiled by Numba: a weight is read once, as it lies.

They stand on two instructions that multiply what is small and add up what is wide: VPDPBUSD (8-bit
numbers, summed in 32 bits, of which none is lost) and VDPBF16PS (bfloat16, summed in float32). Both
take four bytes of a row and four of each of 16 outputs; a weight is laid out in the order in which
it is read. Each row has sums of its own, so it comes out the same to the last bit whatever rows are
beside it. Source: "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from bot.engine.musicgen.compiling import OPTIONS, alone, small, together
from bot.engine.musicgen.cpu_kernels import (
    CACHE_LINE,
    ONE_HALF,
    Floats,
    ask_for,
    cgutils,
    exp,
    from_bits,
    to_bits,
)

REGISTER_NUMBERS = 16
"""Numbers of 32 bits that a register holds."""

BLOCK_OUTPUTS = 2 * REGISTER_NUMBERS
"""Of a block: two registers, so that what is loaded of a row serves both."""

TILE_ROWS = 8
"""Rows of the largest tile: with a block's outputs their sums fill half of the registers."""

CHUNK_LINES = 64
"""Lines of a block that all rows meet before the next are read: a quarter of the nearest cache."""

BYTES_AT_ONCE = 4
"""Bytes of a row that are multiplied at once."""

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


def native(feature: str) -> bool:
    """Whether Numba compiles for a processor that has a feature, by its name in LLVM."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return f"+{feature}" in features.split(",")


class _BFloat16(ir.types._BaseFloatType):  # type: ignore[misc]  # Numba
    """LLVM's type, which llvmlite lacks."""

    null, intrinsic_name = "0.0", "bf16"

    def __str__(self) -> str:
        return "bfloat"


_BFloat16._create_instance()
_BYTE = ir.IntType(8)
_WHOLE, _FLOAT = (
    ir.VectorType(ir.IntType(32), REGISTER_NUMBERS),
    ir.VectorType(ir.FloatType(), REGISTER_NUMBERS),
)
_INSTRUCTIONS = {
    types.uint8: ("llvm.x86.avx512.vpdpbusd.512", _WHOLE, _WHOLE),
    types.uint16: (
        "llvm.x86.avx512bf16.dpbf16ps.512",
        _FLOAT,
        ir.VectorType(_BFloat16(), 2 * REGISTER_NUMBERS),
    ),
}
"""For what a weight is made of: an instruction, what it sums to and what it multiplies."""


def _tile(tall: int, *, fetches: bool = False) -> Any:  # noqa: ANN401
    """Return what adds the products of so many rows and some lines of a block to sums [rows, 32].

    It stands for this loop, in which Numba would not find the instructions::

        for group in range(len(lines)):
            for row in range(tall):
                sums[row] += lines[group] · four bytes of rows[row]

    and where it fetches, it asks for half as many bytes as the lines have, so many `ahead` of them.
    """

    def typed(_: Any, lines: Any, rows: Any, sums: Any, ahead: Any) -> Any:  # noqa: ANN401
        name, summed, factors = _INSTRUCTIONS[lines.dtype]

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
            arrays = [
                context.make_array(kind)(context, builder, argument)
                for kind, argument in zip(signature.args[:3], arguments[:3], strict=True)
            ]
            weights, fours, results = (
                builder.bitcast(array.data, kind.as_pointer())
                for array, kind in zip(arrays, (factors, _WHOLE.element, summed), strict=True)
            )
            groups = cgutils.unpack_tuple(builder, arrays[0].shape)[0]
            apart = builder.udiv(
                cgutils.unpack_tuple(builder, arrays[1].strides)[0], _number(BYTES_AT_ONCE)
            )
            start = builder.bitcast(arrays[0].data, _BYTE.as_pointer())
            later = builder.gep(start, [arguments[3]])
            dot = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(summed, [summed, factors, factors]), name
            )
            places = [builder.gep(results, [_number(at)]) for at in range(2 * tall)]
            totals = [
                cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places
            ]
            with cgutils.for_range(builder, groups) as loop:
                if fetches:
                    ask_for(
                        builder, builder.gep(later, [builder.mul(loop.index, _number(CACHE_LINE))])
                    )
                first = builder.gep(weights, [builder.mul(loop.index, _number(2))])
                both = [builder.load(builder.gep(first, [_number(at)]), align=64) for at in (0, 1)]
                for row in range(tall):
                    at = builder.add(loop.index, builder.mul(apart, _number(row)))
                    four = builder.load(builder.gep(fours, [at]), align=4)
                    own = builder.bitcast(_everywhere(builder, four), factors)
                    for total, weight in zip(totals[2 * row : 2 * row + 2], both, strict=True):
                        added = builder.call(dot, [builder.load(total), weight, own])
                        builder.store(added, total)
            for place, total in zip(places, totals, strict=True):
                builder.store(builder.load(total), place, align=4)
            return context.get_dummy_value()

        return types.void(lines, rows, sums, ahead), generate

    return intrinsic(typed)


def _number(value: int) -> Any:  # noqa: ANN401
    return ir.Constant(ir.IntType(64), value)


def _everywhere(builder: Any, four: Any) -> Any:  # noqa: ANN401
    """Return a register with four bytes in all its numbers."""
    nothing = ir.Constant(_WHOLE, ir.Undefined)
    first = builder.insert_element(nothing, four, ir.Constant(_WHOLE.element, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_WHOLE, [0] * REGISTER_NUMBERS))


def _adding(*, fetches: bool) -> Any:  # noqa: ANN401
    """Return what adds products of the first of some rows: of so many, or of a few beyond."""
    eight, four, two, one = (_tile(tall, fetches=fetches) for tall in (TILE_ROWS, 4, 2, 1))

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


@small
def share(worker: np.int64, workers: int, many: int) -> tuple[np.int64, np.int64]:
    """Return where a worker's part of something begins and ends."""
    return many * worker // workers, many * (worker + 1) // workers


def packed(row: Floats, into: PackedNumbers) -> tuple[np.float32, Any]:
    """Put a row into what the instructions take; return its scale, and the excess of its sums."""
    raise NotImplementedError  # Numba compiles one of those below in its place, by what it packs


@overload(packed, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]  # Numba
def _packing(row: Any, into: Any) -> Any:  # noqa: ANN401, ARG001
    return _in_bytes if into.dtype == types.int8 else _in_halves


def _in_bytes(row: Floats, into: PackedNumbers) -> tuple[np.float32, np.int32]:
    """Divide by the largest magnitude; NaN and infinity are left to the scale."""
    bits = to_bits(np.float32(1e-20))
    for at in range(len(row)):  # as whole numbers, among which NaN comes last
        bits = max(bits, to_bits(row[at]) & np.uint32(0x7FFFFFFF))
    largest, finite = from_bits(bits), bits < np.uint32(0x7F800000)
    scale = np.float32(127) / largest
    total = np.int32(0)
    for at in range(len(row)):
        number = np.int32(np.floor(row[at] * scale + ONE_HALF)) if finite else np.int32(0)
        into[at] = number
        total += number
    return largest / np.float32(127), np.int32(ZERO_POINT) * total


def _in_halves(row: Floats, into: PackedNumbers) -> tuple[np.float32, np.float32]:
    """Round to the nearest bfloat16, to an even one between two."""
    for at in range(len(row)):
        bits = to_bits(row[at])
        into[at] = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> 16
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
