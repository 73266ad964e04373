"""What all sections share: the card, the sizes, and how models with random weights are made."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.cuda.card import Gpu, Processor
from benchmarks.cuda.cards import Shape
from bot.engine.hardware.precisions import Precision
from bot.engine.messages import Part, Render
from bot.engine.musicgen import loading
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.model import MusicGen
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.slot import Slot
from bot.engine.settings import EngineSettings
from bot.errors import JobError
from tests.support.random_codec import encodec
from tests.support.random_lm import MONO, LMModel, language_model, understood

CARD = 2048
RATE = 50
"""Frames per second."""

PROMPT = "a slow waltz for piano and strings"
WISHES = ("mozart fantasia", "a", "slow piano with rain on the window and a distant choir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is done; the smaller one is for trying the program."""

    small: Shape
    large: Shape
    codec: dict[str, int]
    positions: int
    prompts: tuple[int, ...]
    """Frames that takes continue whose tokens are compared."""
    frames: int
    """Frames that they draw then."""
    places: tuple[int, ...]
    takes: tuple[int, ...]
    many: int
    """Those of the takes that speed is asked of."""
    steps: int
    seconds: tuple[int, int]
    """Of a short and a long piece."""


FULL = Scale(
    small=Shape("small", 1024, 24),
    large=Shape("large", 2048, 48),
    codec={"filters": 64, "width": 128, "bins": CARD},
    positions=1504,
    prompts=(0, 50, 600),
    frames=20,
    places=(50, 200, 350, 750, 1450),
    takes=(1, 4, 16, 32),
    many=16,
    steps=20,
    seconds=(8, 120),
)
TINY = Scale(
    small=Shape("small", 128, 2),
    large=Shape("large", 128, 3),
    codec={"bins": CARD},
    positions=64,
    prompts=(9,),
    frames=6,
    places=(10, 40),
    takes=(1, 2),
    many=2,
    steps=1,
    seconds=(1, 3),
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The card and what is played on it."""

    card: Processor
    scale: Scale
    bandwidth: float
    """Bytes per second of a copy."""
    folder: Path
    """Where files go that nobody wants."""

    @property
    def device(self) -> torch.device:
        """Where tensors live."""
        return self.card.device

    @property
    def half(self) -> Precision:
        """What weights are kept in."""
        return self.card.half

    @property
    def gpu(self) -> Gpu | None:
        """The card, if it is one."""
        return self.card if isinstance(self.card, Gpu) else None

    def free(self) -> int:
        """Return the bytes of the card's memory that nobody has; nought if it has none."""
        return self.gpu.free() if self.gpu else 0

    def bar(self, value: float) -> float | None:
        """Return what a speed must reach, on a card of which that is asked."""
        return value if self.card.leading else None

    def model(self, dtype: torch.dtype, delays: tuple[int, ...] = MONO) -> LMModel:
        """Return a small language model, the same on all cards."""
        return language_model(dtype=dtype, delays=delays).to(self.device)

    def sized(self, shape: Shape, dtype: torch.dtype, on: torch.device | None = None) -> LMModel:
        """Return a language model of a released one's size, its weights spread like new ones.

        It is drawn on the card, a weight at a time, as it may be as large as the card itself.
        """
        with torch.device("meta"):
            size: dict[str, Any] = {"dim": shape.dim, "layers": shape.layers, "card": CARD}
            model = language_model(dtype=dtype, **size).to_empty(device=on or self.device)
        torch.manual_seed(7)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(self._drawn(name, weight))
        return model

    def _drawn(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        like: dict[str, Any] = {"dtype": weight.dtype, "device": self.device}
        if weight.dim() == 1:  # of a norm
            return torch.full(weight.shape, float(name.endswith("weight")), **like)
        spread = 1.0 if name.startswith("emb.") else (3 * weight.shape[1]) ** -0.5
        return torch.randn(weight.shape, **like) * spread

    def decoder(
        self,
        model: LMModel,
        precision: Precision | None = None,
        *,
        slots: int = 1,
        positions: int | None = None,
        graphs: bool = True,
    ) -> Decoder:
        """Return a decoder on the card; its steps keep their shapes, and are captured there."""
        return Decoder(
            model,
            slots=slots,
            positions=positions or self.scale.positions,
            precision=precision or self.half,
            device=self.device,
            graphs=graphs,
        )

    def begin(
        self,
        decoder: Decoder,
        model: LMModel,
        text: str = PROMPT,
        seed: int = 7,
        *,
        frames: int = 30,
        prompt: torch.Tensor | None = None,
        sampling: Sampling | None = None,
    ) -> Slot:
        """Begin a take."""
        if prompt is None:
            prompt = self.codes(0, decoder.codebooks)
        words = decoder.read(understood(model, text))
        generator = torch.Generator(self.device).manual_seed(seed)
        return decoder.admit(words, prompt, frames, sampling or Sampling(), generator)

    def codes(self, frames: int, codebooks: int = 4, card: int = CARD) -> torch.Tensor:
        """Return codes of noise, [codebooks, frames]."""
        noise = torch.Generator().manual_seed(1)
        return torch.randint(card, (codebooks, frames), generator=noise).to(self.device)

    def autocast(self, precision: Precision) -> AbstractContextManager[None]:
        """Compute as audiocraft does in half precision."""
        if precision is Precision.FLOAT32:
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, precision))

    def prepared(self, shape: Shape) -> Callable[[int | None], MusicGen]:
        """Return what loads the engine with so many slots, from weights that are drawn before."""
        from audiocraft.models import MusicGen as Pretrained

        lm = self.sized(shape, torch.float16, torch.device("cpu"))
        codec = encodec(**self.scale.codec)

        def load(name: str, place: torch.device) -> Pretrained:
            lm.condition_provider.to(place, torch.float32)
            return Pretrained(name, codec.to(place), lm, max_duration=30)

        def engine(slots: int | None) -> MusicGen:
            name = f"random/musicgen-{shape.name}"
            with patch.object(loading, "load", load):
                settings = EngineSettings(
                    device=self.device.type, precision=str(self.half), slots=slots
                )
                return MusicGen(name, settings)

        return engine

    def order(
        self, number: int, seconds: int, seeds: Sequence[int], model: str = "small"
    ) -> Render:
        """Return an order whose files go where nobody wants them."""
        folder = self.folder / str(number)
        folder.mkdir(exist_ok=True)
        parts = tuple(
            Part(number=at, seed=seed, audio=f"{folder}/{at}.wav", codes=f"{folder}/{at}.npy")
            for at, seed in enumerate(seeds, 1)
        )
        return Render(
            id=number,
            prompt=PROMPT,
            seconds=seconds,
            model=model,
            parts=parts,
            options={},
        )


def finish(decoder: Decoder, slot: Slot) -> torch.Tensor:
    """Step until a take is done, and return its codes."""
    while not slot.done:
        decoder.step()
    codes = decoder.codes(slot)
    decoder.release(slot)
    return codes


def launched(decoder: Decoder) -> Decoder:
    """Let a decoder's steps keep their shapes, and be launched kernel by kernel."""
    assert decoder.graphs
    decoder.graphs.side = None
    return decoder


def rendered(
    engine: MusicGen, order: Render, each: Callable[[int], None] = lambda _: None
) -> JobError | None:
    """Render an order as the engine's process does; return why it could not be.

    `each` is called before each step with its number.
    """
    rendering, step = engine.render(order, lambda: False), 0
    try:
        while True:
            each(step)
            engine.step()
            step += 1
            next(rendering)
    except StopIteration:
        return None
    except JobError as error:
        return error
    finally:
        rendering.close()
