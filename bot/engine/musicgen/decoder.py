"""MusicGen's token loop: many takes at once, each in a slot of its own, joining and leaving freely.

Weights and conditioners stay audiocraft's; what the loop computes is in its `models/lm.py`
(`LMModel.generate`). A slot is a pair of rows, conditional and unconditional, with a position, a
text, a sampling and a random generator of its own, so that no take depends on its neighbours.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as nn

from bot.engine.hardware.precisions import Precision
from bot.engine.hardware.spills import spilled
from bot.engine.musicgen import cpu_attention
from bot.engine.musicgen.attention import Attention, Each, Memory, TextPast
from bot.engine.musicgen.cpu_attention import HalfAttention
from bot.engine.musicgen.cpu_kernels import HEAD_SIZE
from bot.engine.musicgen.cpu_step import Fused
from bot.engine.musicgen.cuda_graphs import Graphs
from bot.engine.musicgen.layers import TorchLayers
from bot.engine.musicgen.linears import cast, linear
from bot.engine.musicgen.precisions import Kernels, attended, kernels_for, stream
from bot.engine.musicgen.sampling import UNKNOWN_TOKEN, Draw, Sampling, Tokens, draw
from bot.engine.musicgen.slot import Slot
from bot.engine.musicgen.transformer import Weights

if TYPE_CHECKING:
    from audiocraft.models.lm import LMModel

    from bot.engine.musicgen.gpu_layers import GpuLayers, LayerByLayer

log = logging.getLogger(__name__)


Drawing = Callable[[torch.Tensor, Draw, Attention, Tokens], None]
"""Draws a step's tokens; see `sampling.draw`."""


class Decoder:
    """Draws tokens for up to `slots` takes of up to `positions` steps each."""

    _attend: Callable[[list[int], list[int]], Attention]
    _layers: Callable[[torch.Tensor, Attention], None]
    _draw: Drawing

    def __init__(
        self,
        lm: "LMModel",
        *,
        slots: int,
        positions: int,
        precision: Precision,
        device: torch.device | None = None,
        graphs: bool | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        """Take the weights of a model that `unknown` accepts, to its device or this one.

        `graphs` says whether steps keep their shapes, as they do on CUDA if nothing is said, and
        `kernels` what multiplies, which depends on the processor if nothing is said.
        """
        self.device = device = device or lm.emb[0].weight.device
        kernels = kernels or kernels_for("auto", precision, device)
        make, dtype = linear(precision, device, kernels), stream(precision)
        self.weights = weights = Weights(lm, make, dtype, device, positions)
        self.codebooks, self.card, self.delays = weights.codebooks, weights.card, weights.delays
        self.positions = positions
        self._offsets = torch.arange(self.codebooks, device=device) * (self.card + 1)
        size, heard = weights.dim // weights.heads, attended(precision, device)
        half = compiled(precision, device, size)
        kept, layers = torch.bfloat16 if half else heard, len(weights.layers)
        self.memory = Memory(layers, slots, weights.heads, positions, size, kept, device)
        self._torch = TorchLayers(weights, heard)
        self.use_torch()
        self._attend = partial(Each, self.memory)
        if device.type == "cuda":
            self.use_triton()
        if half:
            self._attend = halves = HalfAttention(self.memory)
            self._draw = cpu_attention.draw
            if kernels is Kernels.NATIVE:
                self._layers = Fused(weights, halves, slots)
        noise = torch.promote_types(dtype, torch.float32)
        # Begins with the special token: what is drawn at a place stands one further on.
        shape = slots, self.codebooks, positions + 1
        self._tokens = Tokens(
            sequence=torch.full(shape, self.card, device=device),
            nan_sum=torch.zeros(slots, dtype=noise, device=device),
        )
        # Kept here, as a captured step reads it where it was when it was captured.
        self.noise = torch.ones(slots, self.codebooks, self.card, dtype=noise, device=device)
        self.graphs: Graphs | None = None
        if graphs if graphs is not None else device.type == "cuda":
            self.graphs = Graphs(self.memory, self.noise, self._play)
        self._free = list(range(slots))
        self.slots: list[Slot] = []

    @torch.inference_mode()
    def prepare(self) -> None:
        """Do once what steps would otherwise wait for, while there are no takes."""
        if self.graphs:
            self.graphs.prepare()

    def use_triton(self) -> bool:
        """Let Triton's kernels run the layers and draw the tokens; return whether they work."""
        works = on_gpu(self.weights, self._torch)
        if works:
            self._layers, self._draw = works
        return works is not None

    def use_torch(self) -> None:
        """Let torch run the layers and draw the tokens, with the weights as they are."""
        self._layers, self._draw = self._torch, draw

    @property
    def free(self) -> int:
        """How many takes can be admitted now."""
        return len(self._free)

    @torch.inference_mode()
    def read(self, text: torch.Tensor) -> TextPast:
        """Return what the layers attend to of a text [tokens, dim], as the conditioner made it."""
        return self._torch.read(text[None].to(self.device, self.weights.dtype))

    @torch.inference_mode()
    def admit(
        self,
        words: TextPast,
        prompt: torch.Tensor,
        frames: int,
        sampling: Sampling,
        generator: torch.Generator,
    ) -> Slot:
        """Begin a take of `frames` frames and return its slot.

        `words` are what `read` gave; `prompt` [codebooks, frames] are codes to begin with.
        """
        self._free.sort()  # `Masked` looks at the first rows
        slot = Slot(
            row=self._free.pop(0),
            frames=frames,
            prompt=prompt.shape[-1],
            position=prompt.shape[-1] + min(self.delays),
            last=frames + max(self.delays),
            sampling=sampling,
            generator=generator,
        )
        try:
            self._tokens.nan_sum[slot.row] = 0
            self.memory.know(slot.row, words)
            self.lay_out(slot, prompt)
            self._prefill(slot)
        except BaseException:  # such as a lack of memory, of which a prefill needs most
            self._free.append(slot.row)
            raise
        self.slots.append(slot)
        return slot

    def finite(self, slot: Slot) -> bool:
        """Whether no score of a take was NaN or infinite so far; this waits for the device."""
        return self._tokens.nan_sum[slot.row].item() == 0

    @torch.inference_mode()
    def release(self, slot: Slot) -> None:
        """Let the next take have a slot; this waits for the device."""
        if not self.finite(slot):  # a mask does not hide NaN from whoever comes next
            self.memory.forget(slot.row)
        self.slots.remove(slot)
        self._free.append(slot.row)

    @torch.inference_mode()
    def step(self) -> None:
        """Draw the next token of every codebook for each slot that is not done."""
        if slots := [slot for slot in self.slots if not slot.done]:
            self._advance(slots)
            for slot in slots:
                slot.position += 1

    def complete(self, slot: Slot) -> int:
        """Return how many frames have all their tokens."""
        return max(0, min(slot.frames, slot.position - max(self.delays)))

    def codes(self, slot: Slot) -> torch.Tensor:
        """Return the frames that are complete, [codebooks, frames]."""
        complete = self.complete(slot)
        rows = zip(self._tokens.sequence[slot.row], self.delays, strict=True)
        return torch.stack([row[delay + 1 : delay + 1 + complete] for row, delay in rows])

    def lay_out(self, slot: Slot, prompt: torch.Tensor) -> None:
        """Let all that is known of a take's tokens be these codes [codebooks, frames]."""
        sequence = self._tokens.sequence[slot.row]
        sequence.fill_(self.card)
        for codebook, delay in enumerate(self.delays):
            begin = delay + 1
            sequence[codebook, begin : begin + slot.frames] = UNKNOWN_TOKEN
            sequence[codebook, begin : begin + prompt.shape[-1]] = prompt[codebook]

    def _prefill(self, slot: Slot) -> None:
        """Fill the caches of both rows with what comes before the first token to draw."""
        if slot.position:
            places = torch.arange(slot.position, device=self.device)
            tokens = self._tokens.sequence[slot.row, :, : slot.position].T
            hidden = self._embed(tokens, places).repeat(2, 1, 1)
            self._torch.prefill(hidden, self.memory, slot.row)

    def _advance(self, slots: Sequence[Slot]) -> None:
        if self.graphs and self.graphs.suits(slots):
            self.graphs.step(slots)
            return
        rows, places = [slot.row for slot in slots], [slot.position for slot in slots]
        attention = self._attend(rows, places)
        noise = self.noise[: len(slots)]
        # Each by its own generator, once a step: nobody's luck depends on who is beside it.
        for own, slot in zip(noise, slots, strict=True):
            own.exponential_(generator=slot.generator)
        self._play(attention, Draw.of([slot.sampling for slot in slots], noise))

    def _play(self, attention: Attention, how: Draw) -> None:
        """Draw a step's tokens, and put them where none is known yet."""
        self._draw(self.scores(attention), how, attention, self._tokens)

    def scores(self, attention: Attention) -> torch.Tensor:
        """Return the scores [2, takes, codebooks, card] of a step's next tokens."""
        rows, places = attention.rows, attention.places
        takes = len(rows)
        hidden = self._embed(self._tokens.sequence[rows, :, places], places)
        hidden = hidden.repeat(2, 1)  # with words, then without: what belongs to either is in one
        self._layers(hidden, attention)
        scores = self.weights.scores(self._torch.normed(hidden, self.weights.last_norm))
        return cast(scores, self.weights.dtype).view(2, takes, self.codebooks, self.card)

    def _embed(self, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return hidden states [n, dim] for tokens [n, codebooks] at places [n]."""
        table = self.weights.embedding
        summed = nn.embedding_bag(tokens + self._offsets, table, mode="sum")
        return summed + self.weights.places[places]


def compiled(precision: Precision, device: torch.device, size: int) -> bool:
    """Whether compiled kernels attend: the precision allows a past of half size, the heads fit."""
    exact = precision in (Precision.FLOAT64, Precision.FLOAT32)
    return device.type == "cpu" and not exact and size == HEAD_SIZE


def on_gpu(weights: Weights, theirs: "LayerByLayer") -> "tuple[GpuLayers, Drawing] | None":
    """Return what runs a step's layers and draws its tokens by Triton kernels, if they work."""
    try:
        from bot.engine.musicgen import gpu_draw, gpu_layers

        layers = gpu_layers.GpuLayers(weights)
        gpu_layers.check(layers, theirs, weights)
        gpu_draw.check(weights.device)
    except Exception as problem:  # as in `cuda_graphs.attending`
        if spilled(problem):
            raise
        log.warning("steps are slower than they could be: Triton does not work (%s)", problem)
        return None
    return layers, gpu_draw.draw
