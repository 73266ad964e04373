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
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils as untyped
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from bot.engine.compiling import OPTIONS, alone, small, together
from bot.engine.kernels import HALF, Floats, exp, from_bits, to_bits

LANES = 16
"""Numbers of 32 bits that a register holds."""

OUTPUTS = 2 * LANES
"""Of a block: two registers, so that what is loaded of a row serves both."""

TALL = 8
"""Rows of the largest tile: with a block's outputs their sums fill half of the registers."""

FOUR = 4
"""Bytes of a row that are multiplied at once."""

NAUGHT = 128
"""What a weight's 8-bit numbers are counted from: the instruction wants one side unsigned."""

EPSILON = np.float32(1e-5)
NO_NORM = np.empty((2, 0), np.float32)

STORED, ADDED, BENT = range(3)
"""What becomes of a product: it is kept, added to what is there, or goes through GELU."""

Packed = NDArray[Any]
"""Small numbers: a weight's are uint8 or bfloat16 (as uint16), a row's int8 or bfloat16."""

Weight = Packed
"""A weight [out, in], as blocks of 32 outputs [out / 32, in / n + 1, 32 · n], n numbers in four
bytes: a line for each n inputs, and a last one of float32 that scales the outputs.
"""


class Scratch(NamedTuple):
    """What each thread writes on: a row's layer norm, and rows as they are packed."""

    normed: Floats
    packed: Packed
    scales: Floats
    offsets: Packed


def scratch(weight: Weight, threads: int, rows: int, width: int) -> Scratch:
    """Return room for products of so many rows with weights of one kind."""
    small, summed = (np.int8, np.int32) if weight.dtype == np.uint8 else (np.uint16, np.float32)
    return Scratch(
        normed=np.empty((threads, width), np.float32),
        packed=np.empty((threads, rows * width), small),
        scales=np.empty((threads, rows), np.float32),
        offsets=np.empty((threads, rows), summed),
    )


def native(feature: str) -> bool:
    """Whether Numba compiles for a processor that has a feature, by its name in LLVM."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return f"+{feature}" in features.split(",")


class _BFloat16(ir.types._BaseFloatType):  # type: ignore[misc]
    """LLVM's type, which llvmlite lacks."""

    null, intrinsic_name = "0.0", "bf16"

    def __str__(self) -> str:
        return "bfloat"


cgutils: Any = untyped
_BFloat16._create_instance()
_WHOLE, _FLOAT = ir.VectorType(ir.IntType(32), LANES), ir.VectorType(ir.FloatType(), LANES)
_INSTRUCTIONS = {
    types.uint8: ("llvm.x86.avx512.vpdpbusd.512", _WHOLE, _WHOLE),
    types.uint16: (
        "llvm.x86.avx512bf16.dpbf16ps.512",
        _FLOAT,
        ir.VectorType(_BFloat16(), 2 * LANES),
    ),
}
"""For what a weight is made of: an instruction, what it sums to and what it multiplies."""


def _tile(tall: int) -> Any:  # noqa: ANN401
    """Return what sums the products of so many rows and a block, `into` [rows, 32].

    It stands for this loop, in which Numba would not find the instructions::

        for group in range(len(block) - 1):
            for row in range(tall):
                into[row] += block[group] · four bytes of rows[row]
    """

    def typed(_: Any, block: Any, rows: Any, into: Any) -> Any:  # noqa: ANN401
        name, summed, factors = _INSTRUCTIONS[block.dtype]

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
            arrays = [
                context.make_array(kind)(context, builder, argument)
                for kind, argument in zip(signature.args, arguments, strict=True)
            ]
            weights, fours, results = (
                builder.bitcast(array.data, kind.as_pointer())
                for array, kind in zip(arrays, (factors, _WHOLE.element, summed), strict=True)
            )
            groups = builder.sub(cgutils.unpack_tuple(builder, arrays[0].shape)[0], _number(1))
            dot = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(summed, [summed, factors, factors]), name
            )
            naught = ir.Constant(summed, [0] * LANES)
            sums = [[cgutils.alloca_once_value(builder, naught) for _ in "12"] for _ in range(tall)]
            with cgutils.for_range(builder, groups) as loop:
                first = builder.gep(weights, [builder.mul(loop.index, _number(2))])
                both = [builder.load(builder.gep(first, [_number(at)]), align=64) for at in (0, 1)]
                for row, pair in enumerate(sums):
                    at = builder.add(loop.index, builder.mul(groups, _number(row)))
                    four = builder.load(builder.gep(fours, [at]), align=4)
                    own = builder.bitcast(_everywhere(builder, four), factors)
                    for total, weight in zip(pair, both, strict=True):
                        added = builder.call(dot, [builder.load(total), weight, own])
                        builder.store(added, total)
            for at, total in enumerate(total for pair in sums for total in pair):
                builder.store(builder.load(total), builder.gep(results, [_number(at)]), align=4)
            return context.get_dummy_value()

        return types.void(block, rows, into), generate

    return intrinsic(typed)


def _number(value: int) -> Any:  # noqa: ANN401
    return ir.Constant(ir.IntType(64), value)


def _everywhere(builder: Any, four: Any) -> Any:  # noqa: ANN401
    """Return a register with four bytes in all its numbers."""
    nothing = ir.Constant(_WHOLE, ir.Undefined)
    first = builder.insert_element(nothing, four, ir.Constant(_WHOLE.element, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_WHOLE, [0] * LANES))


_eight, _four, _two, _one = (_tile(tall) for tall in (TALL, 4, 2, 1))


@small
def _summed(block: Packed, rows: Packed, into: Packed) -> int:
    """Multiply the first of some rows, and return how many those are."""
    many = len(rows)
    if many >= TALL:
        _eight(block, rows, into)
        return TALL
    if many >= 4:
        _four(block, rows, into)
        return 4
    if many >= 2:
        _two(block, rows, into)
        return 2
    _one(block, rows, into)
    return 1


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
    tail = HALF * series * t * exp(-x * x)  # Φ(-|x|)
    return number * (np.float32(1) - tail if number > 0 else tail)


@small
def _finish(
    sums: Packed, factors: Floats, scales: Floats, offsets: Packed, into: Floats, how: int
) -> None:
    """Make products of a tile's sums, and put them into the block's part of their rows."""
    for row in range(len(scales)):
        for at in range(OUTPUTS):
            product = np.float32(sums[row, at] - offsets[row]) * (factors[at] * scales[row])
            if how == ADDED:
                into[row, at] += product
            elif how == BENT:
                into[row, at] = gelu(product)
            else:
                into[row, at] = product


@small
def share(worker: np.int64, workers: int, many: int) -> tuple[np.int64, np.int64]:
    """Return where a worker's part of something begins and ends."""
    return many * worker // workers, many * (worker + 1) // workers


def packed(row: Floats, into: Packed) -> tuple[np.float32, Any]:
    """Put a row into what the instructions take; return its scale, and the excess of its sums."""
    raise NotImplementedError  # Numba compiles one of those below in its place, by what it packs


@overload(packed, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _packing(row: Any, into: Any) -> Any:  # noqa: ANN401, ARG001
    return _in_bytes if into.dtype == types.int8 else _in_halves


def _in_bytes(row: Floats, into: Packed) -> tuple[np.float32, np.int32]:
    """Divide by the largest magnitude; NaN and infinity are left to the scale."""
    bits = to_bits(np.float32(1e-20))
    for at in range(len(row)):  # as whole numbers, among which NaN comes last
        bits = max(bits, to_bits(row[at]) & np.uint32(0x7FFFFFFF))
    largest, finite = from_bits(bits), bits < np.uint32(0x7F800000)
    scale = np.float32(127) / largest
    total = np.int32(0)
    for at in range(len(row)):
        number = np.int32(np.floor(row[at] * scale + HALF)) if finite else np.int32(0)
        into[at] = number
        total += number
    return largest / np.float32(127), np.int32(NAUGHT) * total


def _in_halves(row: Floats, into: Packed) -> tuple[np.float32, np.float32]:
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
    scale = np.float32(1) / np.sqrt(squares / many + EPSILON)
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
    room = own.packed[worker, : many * width].reshape(many, width)
    scales, offsets = own.scales[worker], own.offsets[worker]
    normed = own.normed[worker, :width]
    for row in range(many):
        if norm.size:
            _normed(rows[row], norm, normed)
            scales[row], offsets[row] = packed(normed, room[row])
        else:
            scales[row], offsets[row] = packed(rows[row], room[row])
    sums = np.empty((TALL, OUTPUTS), offsets.dtype)
    begin, end = share(worker, workers, len(weight))
    for block in range(begin, end):
        factors = weight[block, -1].view(np.float32)
        outputs = into[:, OUTPUTS * block : OUTPUTS * (block + 1)]
        row = 0
        while row < many:
            done = row + _summed(weight[block], room[row:], sums)
            _finish(sums, factors, scales[row:done], offsets[row:done], outputs[row:], how)
            row = done


@together
def multiply(rows: Floats, norm: Floats, weight: Weight, into: Floats, own: Scratch) -> None:
    """Put the product of rows [n, in], or of their layer norm, `into` [n, out]."""
    workers = len(own.scales)
    for worker in numba.prange(workers):
        product(np.int64(worker), workers, rows, norm, weight, into, STORED, own)
