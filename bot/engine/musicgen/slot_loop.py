"""Takes in the slots of our own decoder: they wait for one, and go from window to window."""

from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from bot.engine.files.wav import read_prefix
from bot.engine.hardware.precisions import Precision
from bot.engine.messages import Render
from bot.engine.musicgen.attention import LONGEST_TEXT, TextPast
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.precisions import Kernels
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.slot import Slot
from bot.engine.musicgen.windows import windows
from bot.errors import JobError

if TYPE_CHECKING:
    from audiocraft.models import MusicGen as Pretrained

TEXTS_KEPT = 64
"""How many texts stay encoded."""


class SlotLoop:
    """The takes of all requests, one token of each per step."""

    wider = "PRECISION=float32"
    """The setting by which it computes with a wider range."""

    def __init__(
        self,
        model: "Pretrained",
        *,
        slots: int,
        precision: Precision,
        device: torch.device,
        kernels: Kernels = Kernels.TORCH,
    ) -> None:
        """Copy the language model's weights, and let go of those that the model has."""
        lm = model.lm
        self.slots, self.precision, self.kernels = slots, str(precision), kernels
        rate, longest = float(model.frame_rate), float(model.max_duration)
        delay = max(lm.pattern_provider.delays)
        self.windows = partial(
            windows,
            rate=rate,
            longest=longest,
            stride=float(model.extend_stride),
            steps=lambda frames, prompt: frames - prompt + delay,
        )
        self.decoder = Decoder(
            lm,
            slots=slots,
            positions=int(longest * rate) + delay + 1,
            precision=precision,
            device=device,
            kernels=kernels,
        )
        self.decoder.prepare()
        self.provider = lm.condition_provider
        self.text = lru_cache(TEXTS_KEPT)(self._text)
        # Only what the decoder copied: the provider is used for each new text.
        del lm.transformer, lm.emb, lm.linears, lm.out_norm

    def step(self) -> None:
        """Draw the next token of every codebook for every take."""
        self.decoder.step()

    def begin(self, order: Render) -> list["SlottedTake"]:
        """Return the takes of an order; each waits until there is a slot for it."""
        request = OrderInputs(self, order)
        return [SlottedTake(request, part.seed) for part in order.parts]

    @torch.inference_mode()
    def _text(self, prompt: str) -> torch.Tensor:
        """Return what the conditioner makes of a prompt, [tokens, dim]."""
        from audiocraft.modules.conditioners import ConditioningAttributes

        wish = ConditioningAttributes(text={"description": prompt})
        embedded, _ = self.provider(self.provider.tokenize([wish]))["description"]
        text: torch.Tensor = embedded[0]
        return text


def prefix(order: Render, codebooks: int, card: int) -> torch.Tensor:
    """Return the codes [codebooks, frames] that an order continues; raise JobError for others.

    There are no frames if it starts from scratch.
    """
    if order.prefix is None:
        return torch.zeros(codebooks, 0, dtype=torch.long)
    codes = read_prefix(order.prefix, np.int16, lambda found: len(found) == codebooks)
    if codes.min() < 0 or codes.max() >= card:
        raise JobError("The music to extend is damaged.")
    return torch.from_numpy(codes.astype("int64"))


class OrderInputs:
    """What the takes of one order have in common."""

    def __init__(self, loop: SlotLoop, order: Render) -> None:
        self._loop, self._prompt = loop, order.prompt
        self.decoder = decoder = loop.decoder
        self.before = prefix(order, decoder.codebooks, decoder.card).to(decoder.device)
        self.windows = loop.windows(order.seconds, before=self.before.shape[-1])
        self.sampling = Sampling.asked(order.options)

    @cached_property
    def words(self) -> TextPast:
        """The prompt's keys and values, computed when the first take starts."""
        text = self._loop.text(self._prompt)
        if len(text) > LONGEST_TEXT:
            raise JobError("The prompt is too long for the model: use fewer words.")
        return self.decoder.read(text)


class SlottedTake:
    """One take; it draws from a random generator of its own, as a request by itself would."""

    def __init__(self, request: OrderInputs, seed: int) -> None:
        self._request, self._decoder = request, request.decoder
        self._generator = torch.Generator(self._decoder.device).manual_seed(seed)
        self._windows = list(request.windows)
        self._before = request.before
        self._slot: Slot | None = None
        self._steps, self._finite = 0, True
        self.total = sum(window.steps for window in self._windows)

    @property
    def ended(self) -> bool:
        """Whether no more frames will come."""
        return not self._windows

    @property
    def finite(self) -> bool:
        """Whether its scores have been finite so far; this waits for the device."""
        return self._finite and (not self._slot or self._decoder.finite(self._slot))

    @property
    def done(self) -> int:
        """How many decoder steps it has made."""
        slot = self._slot
        return self._steps + (slot.position - slot.prompt if slot else 0)

    @property
    def frames(self) -> int:
        """How many frames it has."""
        new = self._decoder.complete(self._slot) - self._slot.prompt if self._slot else 0
        return self._before.shape[-1] + max(0, new)

    def proceed(self) -> None:
        """Start, or go on to the next window, if it is time and there is a slot."""
        if self._slot and self._slot.done:
            self._leave_slot()
            self._windows.pop(0)
        if not self._slot and self._windows and self._decoder.free:
            window = self._windows[0]
            prompt = self._before[:, self._before.shape[-1] - window.prompt :]
            request = self._request
            self._slot = self._decoder.admit(
                request.words, prompt, window.frames, request.sampling, self._generator
            )

    def codes(self) -> torch.Tensor:
        """Return what it has, [codebooks, frames]."""
        if not self._slot:
            return self._before
        new = self._decoder.codes(self._slot)[:, self._slot.prompt :]
        return torch.cat([self._before, new], dim=-1)

    def stop(self) -> None:
        """End with what it has, and let others have the slot."""
        if self._slot:
            self._leave_slot()
        self._windows.clear()

    def drop(self) -> None:
        """End with nothing, and let others have the slot."""
        if self._slot:
            self._decoder.release(self._slot)
            self._slot = None
        self._windows.clear()

    def _leave_slot(self) -> None:
        assert self._slot
        # All three read the slot, which may be another take's as soon as it is released.
        done, codes, self._finite = self.done, self.codes(), self.finite
        self._decoder.release(self._slot)
        self._slot, self._steps, self._before = None, done, codes
