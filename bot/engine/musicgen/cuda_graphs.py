"""The decoder's step in shapes that do not change, so that a CUDA graph can replay it.

A step has some thousand kernels of a few microseconds each; launched one by one they keep a GPU
waiting for the CPU. Source: "Accelerating PyTorch with CUDA Graphs", pytorch.org.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch

from bot.engine.hardware.spills import spilled
from bot.engine.musicgen.attention import Attention, Masked, Memory, Together
from bot.engine.musicgen.sampling import Draw
from bot.engine.musicgen.slot import Slot

log = logging.getLogger(__name__)

Play = Callable[[Attention, Draw], None]
"""Draws the next tokens, to the same effect if it is called again."""

STREAM_PRIORITY = -1
"""Of the stream of steps: the lower, the sooner its kernels run.

Streams have 0 if nothing is said, and none has a higher number than that: so the codec's chunks can
only come after the steps if those have less. A graph runs at the priority of the stream on which it
is launched or, from torch 2.10 on, captured (its pull request 167346): here they are the same.
"""

RETRY_STEPS = 10_000
"""Steps of a size that could not be captured until that is tried again."""


class Graphs:
    """Steps for a few numbers of takes, to be captured; on a CPU they are only computed."""

    def __init__(self, memory: Memory, noise: torch.Tensor, play: Play) -> None:
        """Take what a step does and a tensor [slots, codebooks, card] for its noise."""
        self._memory, slots = memory, len(noise)
        self._attend = attending(memory)
        # Not one for each number of takes: every capture is a pause at the start, and memory.
        self._sizes = [*(1 << power for power in range((slots - 1).bit_length())), slots]
        self.steps = [Step(self._attend(memory, n), noise[:n], play) for n in self._sizes]
        self.side = Side() if noise.device.type == "cuda" else None

    def prepare(self) -> None:
        """Capture all steps, so that no take has to wait for that later."""
        for step in self.steps:
            step.fill(())
            self._run(step)

    def suits(self, slots: Sequence[Slot]) -> bool:
        """Whether these takes can be stepped together."""
        words = self._memory.words
        return all(words[slot.row][0][0].shape[2] <= self._attend.tokens for slot in slots)

    def step(self, slots: Sequence[Slot]) -> None:
        """Draw the next tokens of these takes."""
        most = max(slot.row for slot in slots) + 1
        step = self.steps[bisect_left(self._sizes, most)]
        step.fill(slots)
        self._run(step)

    def _run(self, step: "Step") -> None:
        if not self.side:
            step.run()
        elif not step.graph and not step.rest:
            self._capture(step, self.side)
        else:
            self.side.run(step.run)

    def _capture(self, step: "Step", side: "Side") -> None:
        """Draw the next tokens and record how, if that can be done."""
        side.run(step.compute)
        side.run(step.compute)  # again, to the same effect: known tokens are not drawn again
        try:
            step.graph = side.captured(step.compute)
        except RuntimeError as error:
            self.side = Side()  # torch may take the old one for one that is still capturing
            if spilled(error):
                raise
            takes = len(step.noise)
            log.warning("steps of %d takes are launched one by one: no capture (%s)", takes, error)
            step.rest = RETRY_STEPS


def attending(memory: Memory) -> type[Together]:
    """Return what attends to a memory: on a GPU by kernels of our own, if they work there."""
    if memory.device.type != "cuda":
        return Masked
    try:
        from bot.engine.musicgen.gpu_attention import Split, check

        check(memory)
    except Exception as problem:  # no Triton, no C compiler, or a card that neither knows
        if spilled(problem):
            raise
        log.warning("attention is slower than it could be: Triton does not work (%s)", problem)
        return Masked
    return Split


class Step:
    """One size of step, with buffers that stay where they are."""

    def __init__(self, attention: Together, noise: torch.Tensor, play: Play) -> None:
        self._attention, self.noise, self._play = attention, noise, play
        # All in one tensor, so in one copy a step; float64 holds places and ranks exactly too.
        self._numbers = torch.ones(4, len(noise), dtype=torch.float64, device=noise.device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.rest = 0
        """How many runs there are until its capture is tried."""

    def fill(self, slots: Sequence[Slot]) -> None:
        """Lay out what the next run draws; rows without a take compute at place 0 in vain."""
        card = self.noise.shape[-1]
        idle = (0.0, 1.0, 1.0, float(card))
        columns = dict.fromkeys(range(len(self.noise)), idle)
        for slot in slots:
            asked = slot.sampling
            rank = float(asked.top_k or card)
            place = float(slot.position)
            columns[slot.row] = (place, asked.guidance, asked.temperature, rank)
            self.noise[slot.row].exponential_(generator=slot.generator)
        numbers = torch.tensor(list(columns.values()), dtype=torch.float64).T.contiguous()
        if self._numbers.is_cuda:
            numbers = numbers.pin_memory()  # from other memory a copy waits for the device
        self._numbers.copy_(numbers, non_blocking=True)

    def run(self) -> None:
        """Draw the next tokens."""
        if self.graph:
            self.graph.replay()
        else:
            self.rest = max(0, self.rest - 1)
            self.compute()

    def compute(self) -> None:
        """Draw the next tokens, kernel by kernel."""
        places, guidance, temperature, ranks = self._numbers
        self._attention.look(places.long())
        dtype = self.noise.dtype
        draw = Draw(
            guidance=guidance.to(dtype)[:, None, None],
            temperature=temperature.to(dtype)[:, None, None],
            ranks=ranks.long()[:, None, None],
            noise=self.noise,
            most=self.noise.shape[-1],
        )
        self._play(self._attention, draw)


class Side:
    """A stream for all steps, and a pool of memory for all captures.

    Graphs can share them, as they are replayed one at a time and keep nothing in the pool from one
    replay to the next. A stream for each would keep a workspace of cuBLAS each, to the end.
    """

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream(priority=STREAM_PRIORITY)
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, compute: Callable[[], None]) -> None:
        """Compute on the stream, after what was launched before and before what is after."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                compute()
        finally:
            current.wait_stream(self._stream)

    def captured(self, compute: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Return a graph of what is launched there; torch goes on with the stream that it had.

        Before it torch waits for the device and lets go of memory, which is a pause for all takes:
        `Graphs.prepare` is for that. Other threads may use the device meanwhile.
        """
        current, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                compute()
        except BaseException:
            _close(self._pool)
            raise
        finally:
            torch.cuda.set_stream(current)  # torch does not, where a capture ends in an error
        return graph


def _close(pool: tuple[int, int]) -> None:
    """End a capture for torch's allocator too, which goes on with one that ended in an error.

    As long as it does, it keeps whatever a second stream has used.
    """
    with suppress(RuntimeError):  # it has ended there
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
