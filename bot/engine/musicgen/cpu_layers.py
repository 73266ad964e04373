"""A decoder's layer on a CPU as one compiled kernel: between its products nothing is dispatched.

Its parts come one after another, and in each of them every thread has a share, of a product's
outputs or of the heads. What a product needs of its rows, their norm and that they are packed, each
thread makes for itself, which takes less time than to wait for one another once more.
"""

from typing import NamedTuple

import numba
import numpy as np

from bot.engine.musicgen.compiling import alone, together
from bot.engine.musicgen.cpu_kernels import Floats, Past, Places, listen, read
from bot.engine.musicgen.cpu_products import ADDED, GELU, STORED, Scratch, Weight, product


class LayerWeights(NamedTuple):
    """The weights of a layer; those of a norm are [2 (weight, bias), dim]."""

    norm: Floats
    qkv: Weight
    out: Weight
    norm_cross: Floats
    query: Weight
    out_cross: Weight
    norm_feed: Floats
    wide: Weight
    narrow: Weight
    no_norm: Floats


class Between(NamedTuple):
    """What the parts of a layer leave for the next.

    `parts` [2, takes, 3 (query, key, value), heads, 64], `found` [2, takes, heads, 64], `query` and
    `said` [takes, heads, 64], `wide` [2 · takes, 4 · dim]; `scores` [threads, positions] scratch.
    """

    parts: Floats
    found: Floats
    query: Floats
    said: Floats
    wide: Floats
    scores: Floats


@alone
def _part(
    part: int,
    worker: np.int64,
    workers: int,
    hidden: Floats,
    weights: LayerWeights,
    past: Past,
    rows: Places,
    places: Places,
    between: Between,
    own: Scratch,
) -> None:
    """Do a worker's share of a layer's part."""
    takes, dim = len(rows), hidden.shape[1]
    told = hidden[:takes]  # without words the attention to them adds nothing
    if part == 0:
        parts = between.parts.reshape(2 * takes, 3 * dim)
        product(worker, workers, hidden, weights.norm, weights.qkv, parts, STORED, own)
    elif part == 1:
        listen(worker, workers, past, rows, places, between.parts, between.found, between.scores)
    elif part == 2:
        found = between.found.reshape(2 * takes, dim)
        product(worker, workers, found, weights.no_norm, weights.out, hidden, ADDED, own)
    elif part == 3:
        query = between.query.reshape(takes, dim)
        product(worker, workers, told, weights.norm_cross, weights.query, query, STORED, own)
    elif part == 4:
        read(worker, workers, past, rows, between.query, between.said, between.scores)
    elif part == 5:
        said = between.said.reshape(takes, dim)
        product(worker, workers, said, weights.no_norm, weights.out_cross, told, ADDED, own)
    elif part == 6:
        product(worker, workers, hidden, weights.norm_feed, weights.wide, between.wide, GELU, own)
    else:
        product(worker, workers, between.wide, weights.no_norm, weights.narrow, hidden, ADDED, own)


LAYER_PARTS = 8


@together
def layer(
    hidden: Floats,
    weights: LayerWeights,
    past: Past,
    rows: Places,
    places: Places,
    between: Between,
    own: Scratch,
) -> None:
    """Let a layer change `hidden` [2 · takes, dim] of the takes in some rows, at some places."""
    workers = len(own.scales)
    # A part reads what all workers wrote in the one before, so they meet at the end of each.
    for part in range(LAYER_PARTS):
        for worker in numba.prange(workers):
            _part(
                part, np.int64(worker), workers, hidden, weights, past, rows, places, between, own
            )
