"""Attention of one token on a CPU, compiled by Numba: the past is kept in bfloat16 and read once.

torch reads a float32 past at about half of the memory's bandwidth, and a bfloat16 one slower still.
Numba is what librosa stands on, which audiocraft imports. Its threads are torch's own: both use the
OpenMP library that torch brings.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.extending import intrinsic
from numpy.typing import NDArray

from bot.engine.musicgen.compiling import alone, small, together

HEAD_SIZE = 64
"""Places of a head."""

CACHE_LINE = 64
"""Bytes that come from memory at once."""

cgutils: Any = untyped

Floats = NDArray[np.float32]
Halves = NDArray[np.uint16]
Places = NDArray[np.int64]


class Past(NamedTuple):
    """What a layer attends to.

    `music` [2 (keys, values), slots, 2, heads, positions, 64], `words` [2, slots, heads, tokens,
    64], `lengths` [slots] in tokens.
    """

    music: Halves
    words: Halves
    lengths: Places


SCORE_SCALE = np.float32(HEAD_SIZE**-0.5)
LOWEST_FLOAT = np.float32(-3e38)
ONE_HALF = np.float32(0.5)
PER_E = np.float32(np.log2(np.e))
LEAST_EXPONENT = np.float32(-126)
EXP_SERIES = tuple(np.float32(np.log(2) ** n / np.prod(np.arange(1, n + 1))) for n in range(7))
"""Of 2^x, to 1e-7 between -0.5 and 0.5."""


def parallel(threads: int) -> None:
    """Use this many threads, at most one per core."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]  # Numba


def _as_float(_: Any, bits: Any) -> Any:  # noqa: ANN401, ARG001
    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


def _as_bits(_: Any, number: Any) -> Any:  # noqa: ANN401, ARG001
    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), generate


def ask_for(builder: Any, address: Any) -> None:  # noqa: ANN401
    """Generate what asks for a line of memory that will be read."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    to_be_read_near_by = (ir.Constant(number, option) for option in (0, 3, 1))
    builder.call(prefetch, [builder.bitcast(address, byte), *to_be_read_near_by])


def _asking(_: Any, row: Any) -> Any:  # noqa: ANN401
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        for line in range(0, HEAD_SIZE, CACHE_LINE // 2):
            ask_for(builder, builder.gep(data, [ir.Constant(ir.IntType(64), line)]))
        return context.get_dummy_value()

    return types.void(row), generate


from_bits: Any = intrinsic(_as_float)
to_bits: Any = intrinsic(_as_bits)
fetch: Any = intrinsic(_asking)
"""Asks for a row [64] of bfloat16 that will be read."""


@small
def _wide(half: np.uint16) -> np.float32:
    """Return the number that a bfloat16 is."""
    return from_bits(np.uint32(half) << np.uint32(16))  # type: ignore[no-any-return]  # Numba


@small
def keep(numbers: Floats, into: Halves) -> None:
    """Round to the nearest bfloat16, to an even one between two."""
    for at in range(HEAD_SIZE):
        bits = to_bits(numbers[at])
        into[at] = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> 16


@small
def exp(number: np.float32) -> np.float32:
    """Return e to a number that is not positive, to 1e-7."""
    power = max(number * PER_E, LEAST_EXPONENT)
    whole = np.floor(power + ONE_HALF)
    rest = power - whole
    series = EXP_SERIES[6]
    for n in (5, 4, 3, 2, 1, 0):
        series = series * rest + EXP_SERIES[n]
    return series * from_bits(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23))  # type: ignore[no-any-return]  # Numba


@small
def attend(
    query: Floats, keys: Halves, values: Halves, length: int, scores: Floats, found: Floats
) -> None:
    top = LOWEST_FLOAT
    for at in range(length):
        score = np.float32(0)
        for number in range(HEAD_SIZE):
            score += query[number] * _wide(keys[at, number])
        scores[at] = score * SCORE_SCALE
        top = max(top, score * SCORE_SCALE)
    total = np.float32(0)
    for at in range(length):
        scores[at] = exp(scores[at] - top)
        total += scores[at]
    mixed = np.zeros(HEAD_SIZE, np.float32)
    for at in range(length):
        share = scores[at]
        for number in range(HEAD_SIZE):
            mixed[number] += share * _wide(values[at, number])
    for number in range(HEAD_SIZE):
        found[number] = mixed[number] / total


@together
def music(
    parts: Floats, cache: Halves, rows: Places, places: Places, scores: Floats, found: Floats
) -> None:
    """Keep one token's keys and values, and attend to all up to it.

    `parts` [2, takes, 3 (query, key, value), heads, 64] of the rows and places [takes]; `cache` [2
    (keys, values), slots, 2, heads, positions, 64]; `scores` [tasks, positions] is scratch; `found`
    [2, takes, heads, 64] is the result.
    """
    takes, heads = len(rows), parts.shape[3]
    for task in numba.prange(2 * takes * heads):  # heads outermost: each thread has all takes
        head, pair = divmod(np.int64(task), 2 * takes)
        take, half = divmod(pair, 2)
        row, place = rows[take], places[take]
        keys, values = cache[0, row, half, head], cache[1, row, half, head]
        keep(parts[half, take, 1, head], keys[place])
        keep(parts[half, take, 2, head], values[place])
        query = parts[half, take, 0, head]
        attend(query, keys, values, place + 1, scores[task], found[half, take, head])


@together
def words(
    query: Floats, cache: Halves, rows: Places, lengths: Places, scores: Floats, found: Floats
) -> None:
    """Attend to the words: as `music`, but `query` is [takes, heads · 64], `lengths` [slots]."""
    takes, heads = len(rows), cache.shape[2]
    for task in numba.prange(takes * heads):
        head, take = divmod(np.int64(task), takes)
        row = rows[take]
        keys, values = cache[0, row, head], cache[1, row, head]
        own = query[take, HEAD_SIZE * head : HEAD_SIZE * (head + 1)]
        attend(own, keys, values, lengths[row], scores[task], found[take, head])


@alone
def scaled(rows: Floats, into: Floats, largest: Floats) -> None:
    """Divide each of some rows [n, width] by its largest magnitude, kept in `largest` [n, 1].

    `into` [n, at least width] keeps what it has beyond the width. Where the largest is NaN or
    infinite it gets zeros: the rows beside it are scaled by the same extremes.
    """
    for row in range(rows.shape[0]):
        bits = to_bits(np.float32(1e-20))
        for at in range(rows.shape[1]):  # as whole numbers, among which NaN comes last
            bits = max(bits, to_bits(rows[row, at]) & np.uint32(0x7FFFFFFF))
        most = from_bits(bits)
        finite = bits < np.uint32(0x7F800000)
        for at in range(rows.shape[1]):
            into[row, at] = rows[row, at] / most if finite else np.float32(0)
        largest[row, 0] = most
