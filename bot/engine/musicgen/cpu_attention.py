"""Attention over a past in bfloat16 and the draw by compiled kernels, for all slots at once."""

import ctypes
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bot.engine.musicgen import cpu_draw, cpu_kernels
from bot.engine.musicgen.attention import LONGEST_TEXT, Attention, Memory
from bot.engine.musicgen.cpu_kernels import HEAD_SIZE, Floats, Past, Places
from bot.engine.musicgen.sampling import UNKNOWN_TOKEN, Draw, Tokens


class HalfAttention:
    """A memory of bfloat16 as the kernels want it; called with rows and places, it attends."""

    def __init__(self, memory: Memory) -> None:
        threads = _share_threads()
        padded, lengths = memory.padded(LONGEST_TEXT)
        self.pasts = [
            Past(_array(music), _array(words), lengths.numpy())
            for music, words in zip(memory.music, padded, strict=True)
        ]
        self.scores: Floats = np.empty((threads, max(memory.positions, LONGEST_TEXT)), np.float32)
        """Scratch for each thread, [threads, positions or tokens]."""
        self.buffers = cache(partial(_buffers, memory.heads))

    def __call__(self, rows: Sequence[int], places: Sequence[int]) -> "HalfStep":
        return HalfStep(self, rows, places)


class HalfStep:
    """One step; see `attention.Attention`. What is found is overwritten in the next layer."""

    def __init__(self, halves: HalfAttention, rows: Sequence[int], places: Sequence[int]) -> None:
        self._pasts, self._scores = halves.pasts, halves.scores
        self.rows, self.places = torch.tensor(rows), torch.tensor(places)
        self._arrays: tuple[Places, Places] = self.rows.numpy(), self.places.numpy()
        self._found, self._said = halves.buffers(len(rows))

    def music(self, layer: int, parts: torch.Tensor) -> torch.Tensor:
        past, found = self._pasts[layer], self._found.numpy()
        cpu_kernels.music(past, *self._arrays, parts.numpy(), found, self._scores)
        return self._found

    def words(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        (rows, _), own = self._arrays, query.view(self._said.shape).numpy()
        cpu_kernels.words(self._pasts[layer], rows, own, self._said.numpy(), self._scores)
        return self._said


def draw(scores: torch.Tensor, how: Draw, now: Attention, tokens: Tokens) -> None:
    """Draw tokens as `sampling.draw` does."""
    columns = (column.reshape(-1) for column in (how.guidance, how.temperature, how.ranks))
    where = now.rows, now.places, tokens.sequence, tokens.nan_sum
    tensors = scores.contiguous(), *columns, how.noise, *where
    arrays: list[Any] = [tensor.numpy() for tensor in tensors]
    cpu_draw.draw(*arrays, UNKNOWN_TOKEN)  # type: ignore[call-arg]  # it counts the list as all


def _buffers(heads: int, takes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return room for what so many takes find in the music, and in the words."""
    return torch.empty(2, takes, heads, HEAD_SIZE), torch.empty(takes, heads, HEAD_SIZE)


def _array(tensor: torch.Tensor) -> cpu_kernels.Halves:
    return tensor.view(torch.uint16).numpy()


def _share_threads() -> int:
    """Make Numba find torch's OpenMP library before another: two would fight for the cores.

    Return how many threads both use.
    """
    own = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    if own.exists():
        ctypes.CDLL(str(own), mode=ctypes.RTLD_GLOBAL)
    threads = torch.get_num_threads()
    shared = cpu_kernels.parallel(threads)
    torch.set_num_threads(threads)  # as Numba starts, it sets OpenMP's number to that of the cores
    return shared
