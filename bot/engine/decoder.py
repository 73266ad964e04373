"""MusicGen's token loop: many takes at once, each in a slot of its own, joining and leaving freely.

Weights and conditioners stay audiocraft's; what the loop computes is in its `models/lm.py`
(`LMModel.generate`). A slot is a pair of rows, conditional and unconditional, with a position, a
text, a sampling and a random generator of its own, so that no take depends on its neighbours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as nn

from bot.engine.linears import Linear, Precision, cast, linear, stream

if TYPE_CHECKING:
    from audiocraft.models.lm import LMModel
    from audiocraft.modules.transformer import StreamingTransformerLayer

UNKNOWN = -1
EPSILON = 1e-5
PERIOD = 10_000.0
TINY = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn: a temperature of 0 takes the likeliest, a top_k of 0 draws from all."""

    guidance: float = 3.0
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """A take in the making. `position` steps of its sequence are done, and `last` is its end."""

    row: int
    frames: int
    position: int
    last: int
    sampling: Sampling
    generator: torch.Generator
    text: list[tuple[torch.Tensor, torch.Tensor]]

    @property
    def done(self) -> bool:
        """Whether all its tokens are drawn."""
        return self.position >= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer's weights; keys and values of the text are computed once, by `text`."""

    norm: tuple[torch.Tensor, torch.Tensor]
    qkv: Linear
    out: Linear
    norm_cross: tuple[torch.Tensor, torch.Tensor]
    query: Linear
    text: Linear
    out_cross: Linear
    norm_feed: tuple[torch.Tensor, torch.Tensor]
    wide: Linear
    narrow: Linear


class Decoder:
    """Draws tokens for up to `slots` takes of up to `positions` steps each."""

    def __init__(self, lm: "LMModel", *, slots: int, positions: int, precision: Precision) -> None:
        """Take the weights of a model that `unknown` has nothing against."""
        self.codebooks, self.card = lm.n_q, lm.card
        self.delays = list(lm.pattern_provider.delays)
        self.device = lm.emb[0].weight.device
        self._dtype = dtype = stream(precision, self.device)
        self._width, self.heads = lm.dim, lm.transformer.layers[0].self_attn.num_heads
        make = linear(precision)
        self._embedding = torch.cat([emb.weight.detach() for emb in lm.emb]).to(dtype)
        self._offsets = torch.arange(self.codebooks, device=self.device) * (self.card + 1)
        self._places = _sinusoids(positions, lm.dim, dtype, self.device)
        self._layers = [_layer(layer, dtype, make) for layer in lm.transformer.layers]
        self._last_norm = _norm(lm.out_norm, dtype)
        self._scores = make(torch.cat([head.weight.detach() for head in lm.linears]))
        shape = (slots, 2, 2, self.heads, positions, lm.dim // self.heads)
        self._caches = [torch.zeros(shape, dtype=dtype, device=self.device) for _ in self._layers]
        self._rows = [[tuple(row.unbind()) for row in cache] for cache in self._caches]
        self._sequence = torch.full(
            (slots, self.codebooks, positions + 1), self.card, device=self.device
        )
        self._free = list(range(slots))
        self.slots: list[Slot] = []

    @property
    def free(self) -> int:
        """How many takes can be admitted now."""
        return len(self._free)

    @torch.inference_mode()
    def admit(
        self,
        text: torch.Tensor,
        prompt: torch.Tensor,
        frames: int,
        sampling: Sampling,
        generator: torch.Generator,
    ) -> Slot:
        """Begin a take of `frames` frames and return its slot.

        `text` [tokens, dim] is what the conditioner made of the words; `prompt` [codebooks, frames]
        are the codes that it begins with.
        """
        slot = Slot(
            row=self._free.pop(0),
            frames=frames,
            position=prompt.shape[-1] + min(self.delays),
            last=frames + max(self.delays),
            sampling=sampling,
            generator=generator,
            text=[self._understood(layer, text) for layer in self._layers],
        )
        self._lay_out(slot, prompt)
        self._prefill(slot)
        self.slots.append(slot)
        return slot

    def release(self, slot: Slot) -> None:
        """Let the next take have a slot."""
        self.slots.remove(slot)
        self._free.append(slot.row)

    @torch.inference_mode()
    def step(self) -> None:
        """Draw the next token of every codebook for each slot that is not done."""
        slots = [slot for slot in self.slots if not slot.done]
        if not slots:
            return
        rows = self._tensor([slot.row for slot in slots])
        places = self._tensor([slot.position for slot in slots])
        hidden = self._embed(self._sequence[rows, :, places], places)
        hidden = hidden.repeat_interleave(2, dim=0)
        scores = self._forward(hidden, slots, rows, places)
        self._write(rows, places + 1, self._draw(scores, slots))
        for slot in slots:
            slot.position += 1

    def codes(self, slot: Slot) -> torch.Tensor:
        """Return the frames that are complete, [codebooks, frames]."""
        complete = max(0, min(slot.frames, slot.position - max(self.delays)))
        sequence = self._sequence[slot.row]
        return torch.stack(
            [
                sequence[codebook, delay + 1 : delay + 1 + complete]
                for codebook, delay in enumerate(self.delays)
            ]
        )

    def _lay_out(self, slot: Slot, prompt: torch.Tensor) -> None:
        sequence = self._sequence[slot.row]
        sequence.fill_(self.card)
        for codebook, delay in enumerate(self.delays):
            begin = delay + 1
            sequence[codebook, begin : begin + slot.frames] = UNKNOWN
            sequence[codebook, begin : begin + prompt.shape[-1]] = prompt[codebook]

    def _prefill(self, slot: Slot) -> None:
        """Fill the caches of both rows with what comes before the first token to draw."""
        if slot.position == 0:
            return
        places = torch.arange(slot.position, device=self.device)
        tokens = self._sequence[slot.row, :, : slot.position].T
        hidden = self._embed(tokens, places).repeat(2, 1, 1)
        for number, layer in enumerate(self._layers):
            query, key, value = self._heads(layer.qkv(self._normed(hidden, layer.norm)), 3)
            cache = self._caches[number][slot.row]
            cache[0, :, :, : slot.position] = key
            cache[1, :, :, : slot.position] = value
            mixed = nn.scaled_dot_product_attention(query, key, value, is_causal=True)
            layer.out.onto(hidden, _joined(mixed))
            words = hidden[:1]
            (query,) = self._heads(layer.query(self._normed(words, layer.norm_cross)), 1)
            layer.out_cross.onto(words, _joined(_attend(query, *slot.text[number])))
            self._feed(layer, hidden)

    def _forward(
        self, hidden: torch.Tensor, slots: Sequence[Slot], rows: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        """Return scores [slots, 2, codebooks, card] for hidden states [2 · slots, dim]."""
        for number, layer in enumerate(self._layers):
            projected = layer.qkv(self._normed(hidden, layer.norm))
            parts = cast(projected, self._dtype).view(len(slots), 2, 3, self.heads, -1)
            self._caches[number][rows, :, :, :, places] = parts[:, :, 1:].transpose(1, 2)
            mixed = [
                _attend(query, *self._past(number, slot))
                for query, slot in zip(parts[:, :, 0].unsqueeze(3).unbind(), slots, strict=True)
            ]
            layer.out.onto(hidden, _merged(mixed).view(hidden.shape))
            words = hidden[::2]  # without words this attention adds nothing
            query = layer.query(self._normed(words, layer.norm_cross))
            queries = cast(query, self._dtype).view(len(slots), 1, self.heads, 1, -1).unbind()
            mixed = [
                _attend(query, *slot.text[number])
                for query, slot in zip(queries, slots, strict=True)
            ]
            layer.out_cross.onto(words, _merged(mixed).view(words.shape))
            self._feed(layer, hidden)
        scores = self._scores(self._normed(hidden, self._last_norm))
        return cast(scores, self._dtype).view(len(slots), 2, self.codebooks, self.card)

    def _past(self, number: int, slot: Slot) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a layer's keys and values [2, heads, positions so far, size] of a slot."""
        keys, values = self._rows[number][slot.row]
        return keys.narrow(2, 0, slot.position + 1), values.narrow(2, 0, slot.position + 1)

    def _embed(self, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return hidden states [n, dim] for tokens [n, codebooks] at places [n]."""
        summed = nn.embedding_bag(tokens + self._offsets, self._embedding, mode="sum")
        return summed + self._places[places]

    def _normed(
        self, hidden: torch.Tensor, norm: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        return nn.layer_norm(hidden, (self._width,), *norm, EPSILON)

    def _feed(self, layer: Layer, hidden: torch.Tensor) -> None:
        wide = layer.wide(self._normed(hidden, layer.norm_feed))
        layer.narrow.onto(hidden, nn.gelu(wide))

    def _heads(self, projected: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """Split [rows, length, parts · dim] into parts of [rows, heads, length, size]."""
        rows, length, _ = projected.shape
        shaped = cast(projected, self._dtype).view(rows, length, parts, self.heads, -1)
        return shaped.permute(2, 0, 3, 1, 4).unbind()

    def _understood(self, layer: Layer, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values [1, heads, tokens, size] of a text."""
        key, value = self._heads(layer.text(text[None].to(self._dtype)), 2)
        return key.contiguous(), value.contiguous()

    def _draw(self, scores: torch.Tensor, slots: Sequence[Slot]) -> torch.Tensor:
        """Return tokens [slots, codebooks] for scores [slots, 2, codebooks, card].

        Drawing by the largest of p / Exp(1) is what `torch.multinomial` does for one sample.
        """
        with_words, without = scores.unbind(1)
        mixed = without + (with_words - without) * self._column(slots, "guidance")
        temperature = self._column(slots, "temperature")
        chances = torch.softmax(mixed / temperature.clamp_min(TINY), dim=-1)
        noise = torch.stack(
            [torch.empty_like(mixed[0]).exponential_(generator=slot.generator) for slot in slots]
        )
        drawn = (self._kept(chances, slots) / noise).argmax(-1)
        for row, slot in enumerate(slots):
            if slot.sampling.temperature == 0:
                drawn[row] = mixed[row].argmax(-1)
            elif slot.sampling.top_p > 0:
                drawn[row] = _nucleus(chances[row], noise[row], slot.sampling.top_p)
        return drawn

    def _kept(self, chances: torch.Tensor, slots: Sequence[Slot]) -> torch.Tensor:
        """Leave each slot's k likeliest tokens, and those that tie with the last of them."""
        ranks = [slot.sampling.top_k or self.card for slot in slots]
        most = max(ranks)
        if most < self.card or min(ranks) < most:
            best = torch.topk(chances, most, dim=-1).values
            index = self._tensor([rank - 1 for rank in ranks])[:, None, None]
            least = best.gather(-1, index.expand(-1, self.codebooks, 1))
            chances = chances * (chances >= least)
        return chances / chances.sum(-1, keepdim=True)

    def _write(self, rows: torch.Tensor, places: torch.Tensor, drawn: torch.Tensor) -> None:
        """Put tokens [n, codebooks] where none is known yet."""
        known = self._sequence[rows, :, places]
        self._sequence[rows, :, places] = torch.where(known == UNKNOWN, drawn, known)

    def _column(self, slots: Sequence[Slot], name: str) -> torch.Tensor:
        values = [getattr(slot.sampling, name) for slot in slots]
        return torch.tensor(values, dtype=self._dtype, device=self.device)[:, None, None]

    def _tensor(self, numbers: list[int]) -> torch.Tensor:
        return torch.tensor(numbers, device=self.device)


def _nucleus(chances: torch.Tensor, noise: torch.Tensor, most: float) -> torch.Tensor:
    """Draw from the likeliest tokens that have a chance of `most` together.

    Source: Holtzman et al. 2020, in the order of `audiocraft.utils.utils.sample_top_p`.
    """
    ordered, tokens = torch.sort(chances, dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = ordered * (before <= most)
    drawn = (kept / kept.sum(-1, keepdim=True) / noise).argmax(-1, keepdim=True)
    return tokens.gather(-1, drawn)[..., 0]


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return nn.scaled_dot_product_attention(query, key, value)


def _merged(mixed: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(mixed) if len(mixed) > 1 else mixed[0]


def _joined(mixed: torch.Tensor) -> torch.Tensor:
    """Return [rows, length, dim] for what the heads [rows, heads, length, size] gave."""
    return mixed.transpose(1, 2).flatten(2)


def _norm(module: torch.nn.LayerNorm, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    return module.weight.detach().to(dtype), module.bias.detach().to(dtype)


def _layer(
    layer: "StreamingTransformerLayer", dtype: torch.dtype, make: Callable[[torch.Tensor], Linear]
) -> Layer:
    cross = layer.cross_attention
    query, text = cross.in_proj_weight.detach().tensor_split([layer.linear1.in_features])
    return Layer(
        norm=_norm(layer.norm1, dtype),
        qkv=make(layer.self_attn.in_proj_weight.detach()),
        out=make(layer.self_attn.out_proj.weight.detach()),
        norm_cross=_norm(layer.norm_cross, dtype),
        query=make(query),
        text=make(text),
        out_cross=make(cross.out_proj.weight.detach()),
        norm_feed=_norm(layer.norm2, dtype),
        wide=make(layer.linear1.weight.detach()),
        narrow=make(layer.linear2.weight.detach()),
    )


def _sinusoids(
    positions: int, width: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Return the embeddings of all places, [positions, width].

    Source: Vaswani et al. 2017, section 3.5, with cosines first as in audiocraft.
    """
    half = width // 2
    places = torch.arange(positions, dtype=dtype, device=device)[:, None]
    powers = torch.arange(half, dtype=dtype, device=device) / (half - 1)
    phases = places / torch.tensor(PERIOD, dtype=dtype, device=device) ** powers
    return torch.cat([phases.cos(), phases.sin()], dim=-1)


def unknown(lm: "LMModel") -> str | None:
    """Return what of a model this decoder does not know, None if it renders as audiocraft does."""
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
