"""Attention over a past in bfloat16 and the draw by compiled kernels, for all slots at once."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bot.engine.musicgen import cpu_draw, cpu_kernels
from bot.engine.musicgen.attention import LONGEST_TEXT, Memory
from bot.engine.musicgen.cpu_kernels import HEAD_SIZE, Floats, Past, Places
from bot.engine.musicgen.sampling import TINY_PROBABILITY, Draw

__all__ = ["HEAD_SIZE", "HalfAttention", "draw"]


class HalfAttention:
    """A memory of bfloat16 as the kernels want it; called with rows and places, it attends."""

    def __init__(self, memory: Memory) -> None:
        _share_threads()
        slots, heads = len(memory.words), memory.heads
        padded, lengths = memory.padded(LONGEST_TEXT)
        self._lengths: Places = lengths.numpy()
        self._music, self._words = _arrays(memory.music), _arrays(padded)
        self.longest = max(memory.positions, LONGEST_TEXT)
        self._scratch: Floats = np.zeros((2 * slots * heads, self.longest), np.float32)
        shapes = [
            [(2, takes + 1, heads, HEAD_SIZE), (takes + 1, heads, HEAD_SIZE)]
            for takes in range(slots)
        ]
        self._found = [[torch.empty(shape) for shape in both] for both in shapes]
        self._into = [[tensor.numpy() for tensor in both] for both in self._found]

    def __call__(self, rows: Sequence[int], places: Sequence[int]) -> "Compiled":
        """Attend in one step."""
        return Compiled(self, rows, places)

    def past(self, layer: int) -> Past:
        """Return what a layer attends to."""
        return Past(self._music[layer], self._words[layer], self._lengths)

    def music(self, layer: int, step: "Compiled", parts: Floats) -> torch.Tensor:
        """Let the kernel attend to the music; the result is overwritten in the next layer."""
        takes = len(step.rows) - 1
        into = self._into[takes][0]
        cpu_kernels.music(parts, self._music[layer], *step.arrays, self._scratch, into)
        return self._found[takes][0]

    def words(self, layer: int, step: "Compiled", query: Floats) -> torch.Tensor:
        """Let the kernel attend to the words; the result is overwritten in the next layer."""
        takes, (rows, _) = len(query) - 1, step.arrays
        into = self._into[takes][1]
        cpu_kernels.words(query, self._words[layer], rows, self._lengths, self._scratch, into)
        return self._found[takes][1]


class Compiled:
    """One step; see `attention.Attention`."""

    def __init__(self, halves: HalfAttention, rows: Sequence[int], places: Sequence[int]) -> None:
        self._halves = halves
        self.rows, self.places = torch.tensor(rows), torch.tensor(places)
        self.arrays: tuple[Places, Places] = self.rows.numpy(), self.places.numpy()

    def music(self, layer: int, parts: torch.Tensor) -> torch.Tensor:
        """Keep a token's keys and values, and return what its queries find."""
        return self._halves.music(layer, self, parts.numpy())

    def words(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Return what queries [takes, heads · size] find."""
        return self._halves.words(layer, self, query.numpy())


def draw(
    scores: torch.Tensor,
    how: Draw,
    rows: torch.Tensor,
    places: torch.Tensor,
    sequence: torch.Tensor,
    nan_sum: torch.Tensor,
    unknown: int,
) -> None:
    """Draw tokens for scores [2 (with words, without), takes, codebooks, card] into a `sequence`.

    They go after the places of the rows [takes] where there is `unknown`, and zero times the
    scores is added to what the rows have in `nan_sum`.
    """
    cpu_draw.draw(
        scores.contiguous().numpy(),
        how.guidance.reshape(-1).numpy(),
        how.temperature.clamp_min(TINY_PROBABILITY).reshape(-1).numpy(),
        how.ranks.reshape(-1).numpy(),
        how.noise.numpy(),
        rows.numpy(),
        places.numpy(),
        sequence.numpy(),
        nan_sum.numpy(),
        unknown,
    )


def _arrays(tensors: list[torch.Tensor]) -> list[cpu_kernels.Halves]:
    return [tensor.view(torch.uint16).numpy() for tensor in tensors]


def _share_threads() -> None:
    """Make Numba find torch's OpenMP library before another: two would fight for the cores."""
    own = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    if own.exists():
        ctypes.CDLL(str(own), mode=ctypes.RTLD_GLOBAL)
    threads = torch.get_num_threads()
    cpu_kernels.parallel(threads)
    torch.set_num_threads(threads)  # as Numba starts, it sets OpenMP's number to that of the cores
