"""The codec's decoder in tiles: a step of the engine each, in memory bounded by the tile.

A tile hears as many frames on each side as reach its samples, so what comes out equals the decoding
in one go, to rounding. Source: `OobleckDecoder` of diffusers.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from bot.engine.files.wav import Samples

if TYPE_CHECKING:
    from diffusers import AutoencoderOobleck

TILE_SECONDS = 5.0
"""How much music is decoded at a time."""

DILATIONS = (1, 3, 9)
"""Of the residual units that follow each widening; their kernels are 7 wide, as the first and the
last of all are."""


class Tiles:
    """One take's sound, a tile at a time."""

    def __init__(
        self,
        vae: "AutoencoderOobleck",
        latents: torch.Tensor,
        frames: int | None = None,
        seconds: float = TILE_SECONDS,
    ) -> None:
        """Decode latents [frames, channels], or the first `frames` of them."""
        self._vae, self._latents = vae, latents
        self._frames = len(latents) if frames is None else frames
        self._hop = int(math.prod(vae.config.downsampling_ratios))
        self._tile = max(1, round(seconds * int(vae.config.sampling_rate) / self._hop))
        self._reach = reach(vae.config.downsampling_ratios)
        self._parts: list[Samples] = []

    @property
    def left(self) -> int:
        """How many tiles are to be decoded."""
        return -(-self._frames // self._tile) - len(self._parts)

    @torch.inference_mode()
    def step(self) -> None:
        """Decode the next tile."""
        begin = len(self._parts) * self._tile
        end = min(begin + self._tile, self._frames)
        first = max(0, begin - self._reach)
        heard = self._latents[first : end + self._reach].T[None]
        heard = heard.to(self._vae.device, self._vae.dtype)
        (sound,) = self._vae.decode(heard, return_dict=False)
        own = sound[0, :, (begin - first) * self._hop : (end - first) * self._hop]
        self._parts.append(own.float().cpu().numpy())

    def samples(self) -> Samples:
        """Return what was decoded, [channels, samples]."""
        return np.concatenate(self._parts, axis=-1)


def reach(ratios: Sequence[int]) -> int:
    """Return how many frames on each side a sample of the decoder hears."""
    width, frames = 1, 3.0  # those of the first convolution
    for ratio in reversed(ratios):
        frames += 1 / width  # what a transposed convolution widens overlaps its neighbour
        width *= ratio
        frames += sum(3 * dilation for dilation in DILATIONS) / width
    return math.ceil(frames + 3 / width)
