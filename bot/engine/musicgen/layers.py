"""A model's layers by torch, one operator at a time: what other rooms' kernels are held against.

Source: `StreamingTransformerLayer` in audiocraft's `modules/transformer.py`.
"""

import torch
from torch.nn import functional as nn

from bot.engine.musicgen.attention import Attention, Memory, TextPast
from bot.engine.musicgen.linears import cast
from bot.engine.musicgen.transformer import EPSILON, Layer, Norm, Weights


class TorchLayers:
    """Runs the layers over a step, over the codes that a take begins with, or over a text."""

    def __init__(self, weights: Weights, attended: torch.dtype) -> None:
        """Take the weights, and the dtype of queries, keys and values."""
        self._weights, self._attended = weights, attended

    def __call__(self, hidden: torch.Tensor, attention: Attention) -> None:
        """Change a step's hidden states [2 · takes, dim], with words first and then without."""
        takes = len(hidden) // 2
        for number, layer in enumerate(self._weights.layers):
            projected = layer.qkv(self.normed(hidden, layer.norm))
            parts = cast(projected, self._attended).view(2, takes, 3, self._weights.heads, -1)
            layer.out.onto(hidden, attention.music(number, parts).view(hidden.shape))
            told = hidden[:takes]  # without words this attention adds nothing
            query = layer.query(self.normed(told, layer.norm_cross))
            found = attention.words(number, cast(query, self._attended))
            layer.out_cross.onto(told, found.view(told.shape))
            self._feed(layer, hidden)

    def prefill(self, hidden: torch.Tensor, memory: Memory, row: int) -> None:
        """Change hidden states [2, length, dim], and keep their keys and values for a row."""
        length, words = hidden.shape[1], memory.words[row]
        for number, layer in enumerate(self._weights.layers):
            query, key, value = self._heads(layer.qkv(self.normed(hidden, layer.norm)), 3)
            # A view: what is put there is in the past of all steps that follow.
            cache = memory.music[number][:, row]
            cache[0, :, :, :length] = key
            cache[1, :, :, :length] = value
            mixed = nn.scaled_dot_product_attention(query, key, value, is_causal=True)
            layer.out.onto(hidden, _joined(mixed))
            told = hidden[:1]  # a view again: the sum below is in `hidden` too
            (query,) = self._heads(layer.query(self.normed(told, layer.norm_cross)), 1)
            mixed = nn.scaled_dot_product_attention(query, *words[number])
            layer.out_cross.onto(told, _joined(mixed))
            self._feed(layer, hidden)

    def read(self, said: torch.Tensor) -> TextPast:
        """Return what the layers attend to of a text [1, tokens, dim]."""
        read: TextPast = []
        for layer in self._weights.layers:
            key, value = self._heads(layer.text(said), 2)
            # Steps read them some thousand times: they are laid out in the order of that.
            read.append((key.contiguous(), value.contiguous()))
        return read

    def normed(self, hidden: torch.Tensor, norm: Norm) -> torch.Tensor:
        """Return the layer norm of hidden states [..., dim]."""
        return nn.layer_norm(hidden, (self._weights.dim,), *norm, EPSILON)

    def _feed(self, layer: Layer, hidden: torch.Tensor) -> None:
        wide = layer.wide(self.normed(hidden, layer.norm_feed))
        layer.narrow.onto(hidden, nn.gelu(wide))

    def _heads(self, projected: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """Split [rows, length, parts · dim] into parts of [rows, heads, length, size]."""
        rows, length, _ = projected.shape
        shape = rows, length, parts, self._weights.heads, -1
        return cast(projected, self._attended).view(shape).permute(2, 0, 3, 1, 4).unbind()


def _joined(mixed: torch.Tensor) -> torch.Tensor:
    """Return [rows, length, dim] for what the heads [rows, heads, length, size] gave."""
    return mixed.transpose(1, 2).flatten(2)
