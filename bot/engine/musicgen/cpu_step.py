"""A step's layers by the compiled kernels of `cpu_layers`, where the processor has what they need.

The decoder's own way through its layers is the reference; `Fused` is another with the same weights
and the same memory.
"""

from functools import cache

import numpy as np
import torch

from bot.engine.musicgen.attention import Attention
from bot.engine.musicgen.cpu_attention import HalfAttention
from bot.engine.musicgen.cpu_kernels import HEAD_SIZE, Floats
from bot.engine.musicgen.cpu_layers import Between, LayerWeights, layer
from bot.engine.musicgen.cpu_products import NO_NORM, Weight, scratch
from bot.engine.musicgen.linears import Linear, Native
from bot.engine.musicgen.transformer import Layer, Norm, Weights


class Fused:
    """Runs a step's layers."""

    def __init__(self, weights: Weights, halves: HalfAttention, slots: int) -> None:
        """Take weights whose products are `Native`."""
        self._layers = list(zip(map(_layer, weights.layers), halves.pasts, strict=True))
        self._heads, self._dim, self._scores = weights.heads, weights.dim, halves.scores
        wide = 4 * weights.dim
        self._scratch = scratch(_array(weights.scores), len(self._scores), 2 * slots, wide)
        self._between = cache(self._room)

    def __call__(self, hidden: torch.Tensor, attention: Attention) -> None:
        """Change hidden states [2 · takes, dim]."""
        rows, places = attention.rows.numpy(), attention.places.numpy()
        own, between = hidden.numpy(), self._between(len(rows))
        for weights, past in self._layers:
            layer(own, weights, past, rows, places, between, self._scratch)

    def _room(self, takes: int) -> Between:
        """Return the buffers that this many takes need within a layer."""

        def floats(*shape: int) -> Floats:
            return np.empty(shape, np.float32)

        one = takes, self._heads, HEAD_SIZE
        return Between(
            parts=floats(2, takes, 3, self._heads, HEAD_SIZE),
            found=floats(2, *one),
            query=floats(*one),
            said=floats(*one),
            wide=floats(2 * takes, 4 * self._dim),
            scores=self._scores,
        )


def _layer(own: Layer) -> LayerWeights:
    """Take the arrays of a layer, by the names that its weights have in both."""
    names = [name for name in LayerWeights._fields if name != "no_norm"]
    return LayerWeights(**{name: _array(getattr(own, name)) for name in names}, no_norm=NO_NORM)


def _array(part: Linear | Norm) -> Weight:
    """Return a product's weight, or a norm's weight and bias as [2, dim]."""
    if isinstance(part, Native):
        return part.weight
    assert isinstance(part, tuple)
    return np.stack([tensor.numpy() for tensor in part])
