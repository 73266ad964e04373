"""The slots' memory: keys and values of the music so far and of the text.

Two ways to attend over the same memory, and more in `cpu_attention` and `gpu_attention`. `Each`
looks at every slot's own length. `Masked` looks at the first slots together behind a mask: its
shapes do not change from step to step, which is what a CUDA graph wants.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch.nn import functional as nn

from bot.engine.hardware.memory import zeros

TextPast = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values [1, heads, tokens, size] of a text, for each layer."""

USUAL_TEXT, LONGEST_TEXT = 64, 768
"""Tokens that most texts have at most, and that any may have."""


class Attention(Protocol):
    """How one step attends; rows are those of `rows`, at `places`."""

    rows: torch.Tensor
    places: torch.Tensor

    def music(self, layer: int, parts: torch.Tensor) -> torch.Tensor:
        """Keep a token's keys and values, and return what its queries find, in their order.

        `parts` [2, takes, 3 (query, key, value), heads, size].
        """

    def words(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Return what queries [takes, heads · size] find, in their order."""


class Memory:
    """The caches of `slots` pairs of rows (conditional, unconditional), written in place."""

    def __init__(
        self,
        layers: int,
        slots: int,
        heads: int,
        positions: int,
        size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.positions, self.device = positions, device
        shape = (2, slots, 2, heads, positions, size)
        self.music = [zeros(shape, dtype, device) for _ in range(layers)]
        # Views, made once: a step would need operators to find each row of each layer.
        self.rows = [[tuple(row.unbind()) for row in cache.unbind(1)] for cache in self.music]
        self.words: list[TextPast] = [[] for _ in range(slots)]
        self.heads, self.size, self.dtype = heads, size, dtype
        nothing = torch.zeros(1, heads, 1, size, dtype=dtype, device=device)
        self.nothing: TextPast = [(nothing, nothing)] * layers
        self._padded: list[torch.Tensor] = []
        self._addresses: torch.Tensor | None = None
        self._lengths = torch.ones(slots, dtype=torch.long, device=device)

    def know(self, row: int, words: TextPast) -> None:
        """Let a slot attend to a text."""
        self.words[row] = words
        self._lay_out(row)

    def forget(self, row: int) -> None:
        """Erase what a slot remembers."""
        for cache in (*self.music, *self._padded):
            cache[:, row] = 0
        self.know(row, [])

    def write(self, layer: int, now: Attention, parts: torch.Tensor) -> None:
        """Keep the keys and values of a step."""
        new = parts.narrow(2, 1, 2).permute(1, 2, 0, 3, 4)
        self.music[layer][:, now.rows, :, :, now.places] = new

    def padded(self, tokens: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return the words of all slots in one tensor a layer, and their lengths [slots].

        There is room for `tokens` of each; a longer text is cut.
        """
        if not self._padded:
            shape = (2, len(self.words), self.heads, tokens, self.size)
            self._padded = [zeros(shape, self.dtype, self.device) for _ in self.music]
            self._lay_out_all()
        return self._padded, self._lengths

    def addresses(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where the keys and values of all words are, and their lengths [slots].

        The addresses [layers, slots, 2] are of [heads, length, size] each.
        """
        if self._addresses is None:
            shape = (len(self.music), len(self.words), 2)
            self._addresses = torch.zeros(shape, dtype=torch.long, device=self.device)
            self._lay_out_all()
        return self._addresses, self._lengths

    def _lay_out_all(self) -> None:
        for row in range(len(self.words)):
            self._lay_out(row)

    def _lay_out(self, row: int) -> None:
        # A row without a take is computed too, and softmax over no place at all is NaN.
        words = self.words[row] or self.nothing
        self._lengths[row] = words[0][0].shape[2]
        for kept, pair in zip(self._padded, self.words[row], strict=False):
            for which, new in enumerate(pair):  # a longer text's end stays: no mask lets it be seen
                kept[which, row, :, : new.shape[2]] = new[0, :, : kept.shape[3]]
        if self._addresses is not None:
            where = [[both.data_ptr() for both in pair] for pair in words]
            self._addresses[:, row] = torch.tensor(where, device=self.device)


class Together(Attention, Protocol):
    """How the first slots attend together, in shapes that stay the same from step to step."""

    tokens: int
    """Those of the longest text that it can attend to."""

    def __init__(self, memory: Memory, takes: int) -> None: ...

    def look(self, places: torch.Tensor) -> None:
        """Take the places [takes] of a step."""


class Each:
    """Attends slot by slot, each over as much as it has; see `Attention`."""

    def __init__(self, memory: Memory, rows: Sequence[int], places: Sequence[int]) -> None:
        self._memory = memory
        self._rows, self._lengths = rows, [place + 1 for place in places]
        self.rows = torch.tensor(rows, device=memory.device)
        self.places = torch.tensor(places, device=memory.device)

    def music(self, layer: int, parts: torch.Tensor) -> torch.Tensor:
        self._memory.write(layer, self, parts)
        past = self._memory.rows[layer]
        mixed = []
        queries = parts.select(2, 0).unsqueeze(3).unbind(1)
        for row, length, own in zip(self._rows, self._lengths, queries, strict=True):
            keys, values = past[row]
            keys, values = keys.narrow(2, 0, length), values.narrow(2, 0, length)
            mixed.append(nn.scaled_dot_product_attention(own, keys, values))
        return _together(mixed, dim=1)

    def words(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        words = self._memory.words
        queries = query.view(len(self._rows), 1, self._memory.heads, 1, -1)
        mixed = [
            nn.scaled_dot_product_attention(own, *words[row][layer])
            for row, own in zip(self._rows, queries.unbind(), strict=True)
        ]
        return _together(mixed)


class Masked:
    """Attends for the first `takes` slots together, over all places behind a mask.

    See `Attention`.
    """

    tokens = USUAL_TEXT
    """Tokens of the longest text that it can attend to."""

    def __init__(self, memory: Memory, takes: int) -> None:
        self._memory = memory
        self.rows = torch.arange(takes, device=memory.device)
        self._steps = torch.arange(max(memory.positions, USUAL_TEXT), device=memory.device)
        self._padded, self._lengths = memory.padded(USUAL_TEXT)

    def look(self, places: torch.Tensor) -> None:
        """Take the places [takes] of a step, and mask what lies after them and after the texts."""
        self.places = places
        steps, takes = self._steps, len(self.rows)
        past = self._mask(steps[: self._memory.positions] <= places[:, None])
        self._past = past.repeat_interleave(2, dim=0)
        self._said = self._mask(steps[:USUAL_TEXT] < self._lengths[:takes, None])

    def _mask(self, seen: torch.Tensor) -> torch.Tensor:
        """Return what is added to scores: SDPA would rebuild it from the bools in every call."""
        mask = torch.zeros(seen.shape, dtype=self._memory.dtype, device=seen.device)
        return mask.masked_fill_(~seen, -torch.inf)[:, None, None]

    def music(self, layer: int, parts: torch.Tensor) -> torch.Tensor:
        self._memory.write(layer, self, parts)
        takes = len(self.rows)
        keys, values = self._memory.music[layer][:, :takes].flatten(1, 2)
        queries = parts.select(2, 0).transpose(0, 1).flatten(0, 1).unsqueeze(2)
        mixed = nn.scaled_dot_product_attention(queries, keys, values, attn_mask=self._past)
        return mixed.view(takes, 2, *mixed.shape[1:]).transpose(0, 1).contiguous()

    def words(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        takes = len(self.rows)
        keys, values = self._padded[layer][:, :takes, :, :USUAL_TEXT]
        queries = query.view(takes, self._memory.heads, 1, -1)
        return nn.scaled_dot_product_attention(queries, keys, values, attn_mask=self._said)


def _together(mixed: list[torch.Tensor], dim: int = 0) -> torch.Tensor:
    return torch.stack(mixed, dim) if len(mixed) > 1 else mixed[0]
