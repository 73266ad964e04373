"""An order in the making, in steps: its words, its takes' latents in batches, their sound."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from bot.engine.acestep.conditions import Conditions, SongWords, check_length, conditions
from bot.engine.acestep.denoising import Denoising, SamplerSettings, guided
from bot.engine.acestep.tiles import Tiles
from bot.engine.files.wav import Samples, read_prefix
from bot.engine.messages import Part, Render
from bot.errors import JobError
from bot.values import Fault

if TYPE_CHECKING:
    from diffusers import AceStepPipeline

Latents = NDArray[np.float16]

NONSENSE = (
    "the model computes NaN or infinity. Whoever runs this bot can try PRECISION=float32; if that "
    "does not help, its weights are damaged."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTake:
    """A take with its samples [channels, length] and the latents that it can be gone on from."""

    part: Part
    samples: Samples
    latents: Latents


class Session:
    """An order, a step at a time.

    A step is one of a batch of takes from noise to latents, or a tile of a take's sound. Pieces
    shorter than `shortest` seconds are made as long as that, and cut: the model plays none.
    """

    def __init__(self, pipe: "AceStepPipeline", order: Render, *, shortest: float) -> None:
        """Raise JobError for what cannot be rendered."""
        self._pipe, self._order = pipe, order
        self._kept = before(order, pipe.transformer.config.audio_acoustic_hidden_dim)
        rate = pipe.latents_per_second
        self._seconds = len(self._kept) / rate + order.seconds
        self._frames = len(self._kept) + math.ceil(order.seconds * rate)
        self.rendered = max(self._frames, math.ceil(shortest * rate))
        """Frames that are denoised."""
        self._words = SongWords.of(order.prompt, order.lyrics, order.language, self.rendered / rate)
        check_length(pipe, self._words)
        self.sampler = SamplerSettings.asked(pipe, order.options)
        tiles = Tiles(pipe.vae, torch.empty(self._frames, 0)).left
        self.total = len(order.parts) * (self.sampler.steps + tiles)
        """Steps of all takes: those from noise to latents, and the tiles of their sound."""
        self.done = 0
        self.batch = 1
        """How many takes are denoised side by side."""
        self.problem: JobError | None = None
        """What ended it."""
        self._work = self._all()
        self._finished: list[FinishedTake] = []
        self.ended = False

    def step(self) -> None:
        """Make the next step; raise JobError for a take that is none."""
        for _ in self._work:
            return
        self.ended = True

    def finished(self) -> list[FinishedTake]:
        """Return the takes that were completed since this was last asked."""
        found, self._finished = self._finished, []
        return found

    @property
    def rows(self) -> int:
        """How many rows the transformer has for each take: one more for guidance."""
        return 2 if guided(self._pipe, self.sampler) else 1

    def _all(self) -> Iterator[None]:
        transformer = self._pipe.transformer
        kept = torch.from_numpy(self._kept).to(transformer.device, transformer.dtype)
        heard = conditions(self._pipe, self._words, self.rendered, kept)
        yield
        parts = self._order.parts
        for begin in range(0, len(parts), self.batch):
            yield from self._takes(parts[begin : begin + self.batch], heard, kept)

    def _takes(
        self, parts: Sequence[Part], heard: Conditions, kept: torch.Tensor
    ) -> Iterator[None]:
        """Denoise some takes side by side, and then decode one after the other."""
        seeds = [part.seed for part in parts]
        denoising = Denoising(self._pipe, heard, self.sampler, seeds, kept)
        while not denoising.ended:
            denoising.step()
            self.done += len(parts)
            yield
        for part, latents in zip(parts, denoising.latents.cpu().half().numpy(), strict=True):
            latents[: len(self._kept)] = self._kept
            yield from self._decoded(part, latents)

    def _decoded(self, part: Part, latents: Latents) -> Iterator[None]:
        """Decode what is kept of a take, so that whoever goes on from it hears the same."""
        if not np.isfinite(latents).all():
            raise JobError(f"There is no music in this piece: {NONSENSE}", Fault.NUMBERS)
        tiles = Tiles(self._pipe.vae, torch.from_numpy(latents), self._frames)
        while tiles.left:
            tiles.step()
            self.done += 1
            if not tiles.left:
                samples = tiles.samples()[:, : round(self._seconds * self._pipe.sample_rate)]
                kept = latents[: self._frames]
                self._finished.append(FinishedTake(part=part, samples=samples, latents=kept))
            yield


def before(order: Render, channels: int) -> Latents:
    """Return the latents [frames, channels] that an order goes on from, none if from scratch.

    Raises JobError for a file that holds something else.
    """
    if order.prefix is None:
        return np.empty((0, channels), dtype=np.float16)
    latents = read_prefix(order.prefix, np.float16, lambda found: found.shape[1] == channels)
    if not np.isfinite(latents).all():
        raise JobError("The music to extend is damaged.")
    return latents
