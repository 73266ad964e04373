"""MusicGen's transformer as the decoder keeps it, and which models it may be taken from.

Source: audiocraft's `modules/transformer.py` with the flags of the released checkpoints.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bot.engine.hardware.memory import give_back
from bot.engine.musicgen.linears import Linear

if TYPE_CHECKING:
    from audiocraft.models.lm import LMModel
    from audiocraft.modules.transformer import StreamingTransformerLayer

EPSILON = 1e-5
"""What layer norms add to the variance: audiocraft's `create_norm_fn` has it."""

PERIOD = 10_000.0
"""Places in which the slowest wave of their embedding turns by a radian."""

Norm = tuple[torch.Tensor, torch.Tensor]
Make = Callable[[torch.Tensor], Linear]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer's weights; `text` makes keys and values of the words."""

    norm: Norm
    qkv: Linear
    out: Linear
    norm_cross: Norm
    query: Linear
    text: Linear
    out_cross: Linear
    norm_feed: Norm
    wide: Linear
    narrow: Linear


class Weights:
    """A language model's weights in the precision they run in, copied one by one."""

    def __init__(
        self, lm: "LMModel", make: Make, dtype: torch.dtype, device: torch.device, positions: int
    ) -> None:
        """Take them from a model that `unknown` accepts."""
        self.dtype, self.device = dtype, device
        self.codebooks, self.card, self.dim = int(lm.n_q), int(lm.card), int(lm.dim)
        self.delays = [int(delay) for delay in lm.pattern_provider.delays]
        self.heads = int(lm.transformer.layers[0].self_attn.num_heads)
        # One table for all codebooks, so that one operator looks up a step's tokens and sums them.
        self.embedding = torch.cat([self._copied(emb.weight) for emb in lm.emb])
        self.places = sinusoids(positions, self.dim, dtype, device)
        self.layers: list[Layer] = []
        for layer in lm.transformer.layers:
            self.layers.append(self._layer(layer, make))
            give_back()  # layer by layer: else all copies in float32 would be there at once
        self.last_norm = self._norm(lm.out_norm)
        self.scores = make(torch.cat([head.weight.detach() for head in lm.linears]))

    def _layer(self, layer: "StreamingTransformerLayer", make: Make) -> Layer:
        attention, cross = layer.self_attn, layer.cross_attention
        # Apart: queries are made in every step, keys and values of the words once for a text.
        query, text = cross.in_proj_weight.detach().tensor_split([self.dim])
        return Layer(
            norm=self._norm(layer.norm1),
            qkv=make(attention.in_proj_weight.detach()),
            out=make(attention.out_proj.weight.detach()),
            norm_cross=self._norm(layer.norm_cross),
            query=make(query),
            text=make(text),
            out_cross=make(cross.out_proj.weight.detach()),
            norm_feed=self._norm(layer.norm2),
            wide=make(layer.linear1.weight.detach()),
            narrow=make(layer.linear2.weight.detach()),
        )

    def _norm(self, module: torch.nn.LayerNorm) -> Norm:
        return self._copied(module.weight), self._copied(module.bias)

    def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().to(self.dtype).to(self.device)


def sinusoids(positions: int, width: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the embeddings of all places, [positions, width].

    Source: Vaswani et al. 2017, section 3.5, with cosines first as in audiocraft.
    """
    exact = dtype if dtype is torch.float64 else torch.float32
    half = width // 2
    places = torch.arange(positions, dtype=exact)[:, None]
    powers = torch.arange(half, dtype=exact) / (half - 1)
    phases = places / torch.tensor(PERIOD, dtype=exact) ** powers
    return torch.cat([phases.cos(), phases.sin()], dim=-1).to(dtype).to(device)


def unknown(lm: "LMModel") -> str | None:
    """Return what this decoder does not support about a model, None if nothing."""
    first = lm.transformer.layers[0]
    attention, cross = first.self_attn, first.cross_attention
    known = {
        "conditions other than words": lm.fuser.fuse2cond["cross"] == ["description"]
        and not any(lm.fuser.fuse2cond[way] for way in ("prepend", "sum", "input_interpolate"))
        and not lm.fuser.cross_attention_pos_emb,
        "a pattern other than delays": type(lm.pattern_provider).__name__
        == "DelayedPatternProvider"
        and not lm.pattern_provider.flatten_first
        and not lm.pattern_provider.empty_initial,
        "its norms": bool(first.norm_first and lm.out_norm)
        and isinstance(first.norm1, torch.nn.LayerNorm),
        "its positions": lm.transformer.positional_embedding == "sin"
        and lm.transformer.positional_scale == 1
        and lm.transformer.max_period == PERIOD,
        "its attention": bool(cross and attention.custom and cross.custom)
        and attention.kv_repeat == 1
        and not (attention.qk_layer_norm or cross.qk_layer_norm)
        and attention.past_context is None,
        "biases": attention.in_proj_bias is None
        and first.linear1.bias is None
        and lm.linears[0].bias is None,
        "its activation": getattr(first.activation, "__name__", "") == "gelu",
        "layer scales": isinstance(first.layer_scale_1, torch.nn.Identity),
    }
    return next((what for what, holds in known.items() if not holds), None)
