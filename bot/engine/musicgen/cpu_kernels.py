"""Attention of one token on a CPU, compiled by Numba: the past is kept in bfloat16 and read once.

torch reads a float32 past at about half of the memory's bandwidth, and a bfloat16 one slower still.
Numba is what librosa stands on, which audiocraft imports. Its threads are torch's own: both use the
OpenMP library that torch brings.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from bot.engine.musicgen.compiling import alone, small, together
from bot.engine.musicgen.cpu_instructions import fetching

HEAD_SIZE = 64
"""Places of a head."""

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
INFINITY_BITS = np.uint32(0x7F800000)
PER_E = np.float32(np.log2(np.e))
LEAST_EXPONENT = np.float32(-126)
EXP_SERIES = tuple(np.float32(np.log(2) ** n / np.prod(np.arange(1, n + 1))) for n in range(7))
"""Of 2^x, to 1e-7 between -0.5 and 0.5."""


def parallel(threads: int) -> int:
    """Use this many threads, at most one per core; return how many."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]  # Numba
    return int(numba.get_num_threads())


AHEAD = 8
"""Places of the next keys or values that are fetched early."""

fetch = fetching(HEAD_SIZE)
"""Asks for a row [64] of bfloat16 that will be read."""


@small
def from_bits(bits: np.uint32) -> np.float32:
    """Return the number that has these bits."""
    return np.uint32(bits).view(np.float32)


@small
def to_bits(number: np.float32) -> np.uint32:
    """Return the bits of a number; those of positive ones are in the numbers' order."""
    return np.float32(number).view(np.uint32)


@small
def to_half(number: np.float32) -> np.uint32:
    """Return the nearest bfloat16, an even one between two: its bits."""
    bits = to_bits(number)
    return (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


@small
def largest_bits(row: Floats) -> np.uint32:
    """Return the bits of the largest magnitude, at least 1e-20: of NaN or infinity if one is."""
    bits = to_bits(np.float32(1e-20))
    for at in range(len(row)):  # as whole numbers, among which NaN comes last
        bits = max(bits, to_bits(row[at]) & np.uint32(0x7FFFFFFF))
    return bits


@small
def _wide(half: np.uint16) -> np.float32:
    """Return the number that a bfloat16 is."""
    return from_bits(np.uint32(half) << np.uint32(16))


@small
def keep(numbers: Floats, into: Halves) -> None:
    """Round to the nearest bfloat16."""
    for at in range(HEAD_SIZE):
        into[at] = to_half(numbers[at])


@small
def exp(number: np.float32) -> np.float32:
    """Return e to a number that is not positive, to 1e-7."""
    power = max(number * PER_E, LEAST_EXPONENT)
    whole = np.floor(power + ONE_HALF)
    rest = power - whole
    series = EXP_SERIES[6]
    for n in (5, 4, 3, 2, 1, 0):
        series = series * rest + EXP_SERIES[n]
    return series * from_bits(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23))


@small
def attend(
    query: Floats, keys: Halves, values: Halves, length: int, scores: Floats, found: Floats
) -> None:
    # Keys first, then values: each is one stretch of memory, which is read once from end to end.
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


@small
def share(worker: np.int64, workers: int, many: int) -> tuple[np.int64, np.int64]:
    """Return where a worker's part of something begins and ends."""
    return many * worker // workers, many * (worker + 1) // workers


@small
def _task(task: int, takes: int) -> tuple[int, int, int]:
    """Return the take, the half and the head of one of so many takes' tasks."""
    head, pair = divmod(task, 2 * takes)
    take, half = divmod(pair, 2)
    return take, half, head


@alone
def listen(
    worker: np.int64,
    workers: int,
    past: Past,
    rows: Places,
    places: Places,
    parts: Floats,
    found: Floats,
    scores: Floats,
) -> None:
    """Keep keys and values of a worker's share of the heads, and attend to the music with them.

    `parts` [2, takes, 3 (query, key, value), heads, 64] of the rows and places [takes]; `found` [2,
    takes, heads, 64] is the result, `scores` [workers, positions] is scratch.
    """
    takes, music = len(rows), past.music
    begin, end = share(worker, workers, 2 * takes * parts.shape[3])
    for task in range(begin, end):  # heads outermost: each worker has all takes
        take, half, head = _task(task, takes)
        length = places[take] + 1
        keys, values = music[0, rows[take], half, head], music[1, rows[take], half, head]
        keep(parts[half, take, 1, head], keys[length - 1])
        keep(parts[half, take, 2, head], values[length - 1])
        # A processor foresees how memory goes on, but not where the next values or keys begin.
        take_after, half_after, head_after = _task(task + 1 if task + 1 < end else task, takes)
        after = music[0, rows[take_after], half_after, head_after]
        for at in range(min(AHEAD, length)):
            fetch(values[at])
            fetch(after[at])
        query, into = parts[half, take, 0, head], found[half, take, head]
        attend(query, keys, values, length, scores[worker], into)


@alone
def read(
    worker: np.int64,
    workers: int,
    past: Past,
    rows: Places,
    query: Floats,
    said: Floats,
    scores: Floats,
) -> None:
    """Attend to the words with a worker's share of the heads.

    `query` and the result `said` are [takes, heads, 64], `scores` [workers, tokens] is scratch.
    """
    takes, words = len(rows), past.words
    begin, end = share(worker, workers, takes * query.shape[1])
    for task in range(begin, end):
        head, take = divmod(task, takes)
        row = rows[take]
        keys, values = words[0, row, head], words[1, row, head]
        attend(query[take, head], keys, values, past.lengths[row], scores[worker], said[take, head])


@together
def music(
    past: Past, rows: Places, places: Places, parts: Floats, found: Floats, scores: Floats
) -> None:
    """Let all workers `listen`."""
    workers = len(scores)
    # The loop counts in unsigned numbers, and Numba makes floats of those with signed ones.
    for worker in numba.prange(workers):
        listen(np.int64(worker), workers, past, rows, places, parts, found, scores)


@together
def words(past: Past, rows: Places, query: Floats, said: Floats, scores: Floats) -> None:
    """Let all workers `read`."""
    workers = len(scores)
    for worker in numba.prange(workers):
        read(np.int64(worker), workers, past, rows, query, said, scores)


@alone
def scaled(rows: Floats, into: Floats, largest: Floats) -> None:
    """Divide each of some rows [n, width] by its largest magnitude, kept in `largest` [n, 1].

    `into` [n, at least width] keeps what it has beyond the width. Where the largest is NaN or
    infinite it gets zeros: the rows beside it are scaled by the same extremes.
    """
    for row in range(rows.shape[0]):
        bits = largest_bits(rows[row])
        most, finite = from_bits(bits), bits < INFINITY_BITS
        for at in range(rows.shape[1]):
            into[row, at] = rows[row, at] / most if finite else np.float32(0)
        largest[row, 0] = most
