"""EnCodec's decoder in chunks: memory bounded by the chunk, and sound while tokens still come.

Source: `SEANetDecoder` in audiocraft's `modules/seanet.py`. Before its LSTM a frame hears HEAD
frames on each side, after it TAIL frames; the LSTM's state is carried from chunk to chunk. What
comes out equals the decoding in one go, to rounding.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bot.engine.files.wav import Samples
from bot.engine.loading import settle
from bot.errors import OperatorError

if TYPE_CHECKING:
    from audiocraft.models.encodec import CompressionModel

log = logging.getLogger(__name__)

FRAMES_BEFORE, FRAMES_AFTER = 3, 2
CHUNK_SECONDS = 2.0
"""How much music is decoded at a time."""

PROBE_FRAMES, PROBE_CHUNK_FRAMES = 16, 5
PROBE_TOLERANCE = 1e-3


class Codec:
    """Decodes codes [codebooks, frames] to samples [channels, frames · hop]."""

    def __init__(self, model: "CompressionModel") -> None:
        """Take audiocraft's codec, that of transformers, or the stereo pair of either."""
        self.model = model
        self._single = model.model if hasattr(model, "get_left_right_codes") else model
        settle(model)
        self.sample_rate = int(model.sample_rate)
        self.frame_rate = float(model.frame_rate)
        self.chunk = round(CHUNK_SECONDS * self.frame_rate)
        self._device = next(model.parameters()).device
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream()
        self.layers = _layers(self._single)
        if self.layers and not self._agrees():
            log.warning("this codec is not decoded in chunks: they differ from the whole")
            self.layers = None

    @torch.inference_mode()
    def whole(self, codes: torch.Tensor) -> torch.Tensor:
        """Decode everything in one go."""
        sound: torch.Tensor = self.model.decode(codes[None], None)[0]
        return sound

    @torch.inference_mode()
    def latent(self, codes: torch.Tensor) -> torch.Tensor:
        """Return [channels, dimension, frames], what the decoder starts from."""
        sides = [codes[None]]
        if self._single is not self.model:
            sides = self.model.get_left_right_codes(codes[None])
        latent: torch.Tensor = self._single.decode_latent(torch.cat(tuple(sides)))
        return latent

    @contextmanager
    def aside(self, codes: torch.Tensor | None = None) -> Iterator[None]:
        """Let a GPU do what follows beside the decoder's steps, once `codes` are there.

        Those have a higher priority, see `cuda_graphs`.
        """
        if self._stream is None:
            yield
            return
        if codes is not None:
            self._stream.wait_stream(torch.cuda.current_stream())
            codes.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield

    def _agrees(self) -> bool:
        shape = (self.model.num_codebooks, PROBE_FRAMES)
        noise = torch.Generator().manual_seed(0)
        codes = torch.randint(self.model.cardinality, shape, generator=noise).to(self._device)
        sound = Sound(self, PROBE_CHUNK_FRAMES)
        while sound.due(PROBE_FRAMES, ended=True):
            sound.hear(codes)
        whole, found = self.whole(codes).float().cpu().numpy(), sound.samples()
        if not np.isfinite(whole).all():
            raise OperatorError("The model's codec plays NaN or infinity: its weights are damaged.")
        return whole.shape == found.shape and bool(
            np.abs(whole - found).max() <= PROBE_TOLERANCE * np.abs(whole).max()
        )


class Sound:
    """One take's sound, a chunk at a time, as its codes come."""

    def __init__(self, codec: Codec, chunk: int | None = None) -> None:
        """Decode `chunk` frames at a time, the codec's own number if none is given."""
        self._codec = codec
        self._chunk = chunk or codec.chunk
        self._parts: list[torch.Tensor] = []
        self._done = self._heard = 0
        self._state: Any = None
        self._after: torch.Tensor | None = None
        self._from = 0

    def due(self, frames: int, *, ended: bool) -> bool:
        """Whether a chunk can be decoded from this many frames.

        `ended` tells that no frames will follow.
        """
        if self._codec.layers is None or ended:
            return ended and self._done < frames
        return self._done + self._chunk + FRAMES_AFTER + FRAMES_BEFORE <= frames

    def hear(self, codes: torch.Tensor) -> None:
        """Decode the next chunk of codes [codebooks, frames so far], which is due."""
        with self._codec.aside(codes), torch.inference_mode():
            if self._codec.layers is None:
                self._parts.append(self._codec.whole(codes))
                self._done = codes.shape[-1]
            else:
                self._hear(codes)

    @property
    def seconds(self) -> float:
        """How much music was decoded so far."""
        return self._done / self._codec.frame_rate

    def samples(self) -> Samples:
        """Return what was decoded so far, [channels, samples]."""
        with self._codec.aside():
            samples: Samples = torch.cat(self._parts, dim=-1).float().cpu().numpy()
        return samples

    def _hear(self, codes: torch.Tensor) -> None:
        frames = codes.shape[-1]
        until = min(self._done + self._chunk, frames)
        self._remember(codes, min(until + FRAMES_AFTER, frames))
        assert self._codec.layers
        assert self._after is not None
        sound = _through(self._codec.layers[2], self._after)
        hop = sound.shape[-1] // self._after.shape[-1]
        begin, end = (self._done - self._from) * hop, (until - self._from) * hop
        self._parts.append(sound[:, 0, begin:end])
        self._done = until
        keep = max(0, until - FRAMES_AFTER)  # which the next chunk's first frames hear
        self._after, self._from = self._after[..., keep - self._from :], keep

    def _remember(self, codes: torch.Tensor, until: int) -> None:
        """Take frames as far as `until` through the layers that come before the tail."""
        if until == self._heard:
            return
        assert self._codec.layers
        head, lstm, _ = self._codec.layers
        begin = max(0, self._heard - FRAMES_BEFORE)
        latent = self._codec.latent(codes[:, begin : until + FRAMES_BEFORE])
        hidden = _through(head, latent)[..., self._heard - begin : until - begin]
        steps = hidden.permute(2, 0, 1)
        recalled, self._state = lstm(steps, self._state)
        after = (recalled + steps).permute(1, 2, 0)
        self._after = after if self._after is None else torch.cat([self._after, after], dim=-1)
        self._heard = until


def _layers(single: "CompressionModel") -> tuple[Sequence[Any], Any, Sequence[Any]] | None:
    """Return what comes before the LSTM, the LSTM, and what comes after it."""
    decoder = getattr(single, "decoder", None) or getattr(single.model, "decoder", None)
    layers = list(getattr(decoder, "model", None) or getattr(decoder, "layers", None) or ())
    at = [number for number, layer in enumerate(layers) if hasattr(layer, "lstm")]
    if len(at) != 1 or not getattr(layers[at[0]], "skip", True):
        return None
    return layers[: at[0]], layers[at[0]].lstm, layers[at[0] + 1 :]


def _through(layers: Sequence[Any], hidden: torch.Tensor) -> torch.Tensor:
    for layer in layers:
        hidden = layer(hidden)
    return hidden
