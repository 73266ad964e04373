"""The decoder's step in shapes that do not change, so that a CUDA graph can replay it.

A step has some thousand kernels of a few microseconds each; launched one by one they keep a GPU
waiting for the CPU. Source: "Accelerating PyTorch with CUDA Graphs", pytorch.org.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from bot.engine.attention import LONGEST, SHORT, Attention, Masked, Memory
from bot.engine.sampling import Draw

if TYPE_CHECKING:
    from bot.engine.decoder import Slot

log = logging.getLogger(__name__)

Play = Callable[[Attention, Draw], None]
"""Draws the next tokens, to the same effect if it is called again."""

LENGTHS = (256, 512, 1024)
"""Positions that a step may look back to, besides all of them."""


class Graphs:
    """Steps of a few sizes, each captured when it is first needed; on a CPU it only computes."""

    def __init__(self, memory: Memory, noise: torch.Tensor, play: Play) -> None:
        """Take what a step does and a tensor [slots, codebooks, card] for its noise."""
        self._memory, self._noise, self._play = memory, noise, play
        self._lengths = [*(some for some in LENGTHS if some < memory.positions), memory.positions]
        self._steps: dict[tuple[int, int, int], Step] = {}
        self._capture = noise.device.type == "cuda"

    def suits(self, slots: Sequence["Slot"]) -> bool:
        """Whether these takes can be stepped together."""
        return all(slot.sampling.plain for slot in slots)

    def step(self, slots: Sequence["Slot"]) -> None:
        """Draw the next tokens of these takes."""
        most = max(slot.row for slot in slots) + 1
        takes = min(1 << (most - 1).bit_length(), len(self._noise))
        place = max(slot.position for slot in slots) + 1
        length = self._lengths[bisect_left(self._lengths, place)]
        tokens = SHORT if self._tokens(slots) <= SHORT else LONGEST
        size = takes, length, tokens
        if size not in self._steps:
            attention = Masked(self._memory, takes, length, tokens)
            self._steps[size] = Step(attention, self._noise[:takes], self._play)
        step = self._steps[size]
        step.fill(slots)
        if self._capture and not step.captured:
            self._capture = step.capture()
        else:
            step.run()

    def _tokens(self, slots: Sequence["Slot"]) -> int:
        return max(self._memory.words[slot.row][0][0].shape[2] for slot in slots)


class Step:
    """One size of step, with buffers that stay where they are."""

    def __init__(self, attention: Masked, noise: torch.Tensor, play: Play) -> None:
        self._attention, self._noise, self._play = attention, noise, play
        self._numbers = torch.ones(4, len(noise), dtype=torch.float64, device=noise.device)
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def captured(self) -> bool:
        """Whether it is replayed."""
        return self._graph is not None

    def fill(self, slots: Sequence["Slot"]) -> None:
        """Lay out what the next run draws; rows without a take compute at place 0 in vain."""
        card = self._noise.shape[-1]
        idle = (0.0, 1.0, 1.0, float(card))
        columns = dict.fromkeys(range(len(self._noise)), idle)
        for slot in slots:
            asked = slot.sampling
            rank = float(asked.top_k or card)
            place = float(slot.position)
            columns[slot.row] = (place, asked.guidance, asked.temperature, rank)
            self._noise[slot.row].exponential_(generator=slot.generator)
        numbers = torch.tensor(list(columns.values()), dtype=torch.float64).T.contiguous()
        if self._numbers.is_cuda:
            numbers = numbers.pin_memory()
        self._numbers.copy_(numbers, non_blocking=True)

    def run(self) -> None:
        """Draw the next tokens."""
        if self._graph:
            self._graph.replay()
        else:
            self._compute()

    def capture(self) -> bool:
        """Draw the next tokens and record how; return whether that can be replayed."""
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._compute()
            self._compute()  # again, to the same effect: what is known is not drawn anew
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._compute()
        except RuntimeError as error:
            log.warning("steps are launched one by one: they cannot be captured (%s)", error)
            return False
        self._graph = graph
        return True

    def _compute(self) -> None:
        places, guidance, temperature, ranks = self._numbers
        self._attention.look(places.long())
        dtype = self._noise.dtype
        draw = Draw(
            guidance=guidance.to(dtype)[:, None, None],
            temperature=temperature.to(dtype)[:, None, None],
            ranks=ranks.long()[:, None, None],
            noise=self._noise,
            most=self._noise.shape[-1],
        )
        self._play(self._attention, draw)
