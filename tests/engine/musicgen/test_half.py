"""Half precision as a GPU computes it, here on a CPU, beside audiocraft's own."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from audiocraft.modules import transformer
from torch import nn

from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen import decoder as room
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.linears import Dense
from tests.support.decoding import WISHES
from tests.support.forced import error, teacher_forced
from tests.support.random_lm import language_model, understood

CPU = torch.device("cpu")
HALVES = (Precision.FLOAT16, Precision.BFLOAT16)
Places = Callable[..., torch.Tensor]


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch, precision: Precision) -> None:
    """Let decoders keep and attend to what they remember in half precision, as on CUDA alone."""
    monkeypatch.setattr(room, "attended", lambda *_: getattr(torch, precision))
    monkeypatch.setattr(room, "linear", lambda *_: partial(Dense, precision=precision))
    monkeypatch.setattr(room, "compiled", lambda *_: None)


def scores(model: Any, text: torch.Tensor, codes: torch.Tensor, precision: Precision) -> Any:
    """Return our decoder's scores along codes."""
    single = Decoder(model, slots=1, positions=codes.shape[-1] + 4, precision=precision)
    return teacher_forced(single, single.read(text), codes)


@torch.no_grad()
def autocast(
    monkeypatch: pytest.MonkeyPatch,
    model: Any,
    text: torch.Tensor,
    codes: torch.Tensor,
    precision: Precision,
    places: Places,
) -> torch.Tensor:
    """Return the scores of audiocraft, along the same codes, under autocast as on CUDA.

    There norms are of float32, as a CPU's autocast does not have it, and so are powers.
    """
    half = getattr(torch, precision)
    model = deepcopy(model).to(half)
    real = nn.LayerNorm.forward

    def normed(self: nn.LayerNorm, hidden: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return real(self.float(), hidden.float())

    sequence = torch.full(codes.shape, model.card)
    for codebook, own in enumerate(codes):
        sequence[codebook, codebook + 1 :] = own[: len(own) - codebook - 1]
    said = torch.stack([text, torch.zeros_like(text)]).to(half)
    with monkeypatch.context() as patched, torch.autocast("cpu", dtype=half):
        patched.setattr(nn.LayerNorm, "forward", normed)
        patched.setattr(transformer, "create_sin_embedding", places)
        found: torch.Tensor = model(
            sequence.expand(2, -1, -1), [], {"description": (said, torch.ones(said.shape[:2]))}
        )
    return found.permute(2, 0, 1, 3)


def exact_places(places: torch.Tensor, dim: int, max_period: float, **_: Any) -> torch.Tensor:
    exact: torch.Tensor = REAL(places, dim, max_period, dtype=torch.float32)
    return exact


def own_places(
    places: torch.Tensor, dim: int, max_period: float, dtype: torch.dtype
) -> torch.Tensor:
    """Return what audiocraft's function does under CUDA's autocast, where powers are float32's."""
    powers = torch.arange(dim // 2, dtype=dtype) / (dim // 2 - 1)
    phases = places.to(dtype) / max_period ** powers.float()
    return torch.cat([phases.cos(), phases.sin()], dim=-1)


REAL = transformer.create_sin_embedding


@pytest.mark.parametrize("precision", HALVES)
def test_half_precision_strays_no_further_than_autocast_at_exact_places(
    monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    model = language_model(dim=256, layers=8)
    text = understood(model, WISHES[0])
    codes = torch.randint(512, (4, 40), generator=torch.Generator().manual_seed(1))
    exact = scores(model, text, codes, Precision.FLOAT64)
    theirs = error(exact, autocast(monkeypatch, model, text, codes, precision, exact_places))
    as_on_a_gpu(monkeypatch, precision)
    ours = error(exact, scores(model, text, codes, precision))
    assert ours <= theirs


@pytest.mark.parametrize("precision", HALVES)
def test_after_six_seconds_it_is_nearer_than_autocast_whose_places_are_of_half_precision(
    monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    model = language_model()
    text = understood(model, WISHES[0])
    codes = torch.randint(512, (4, 300), generator=torch.Generator().manual_seed(1))
    exact = scores(model, text, codes, Precision.FLOAT64)[-20:]
    theirs = autocast(monkeypatch, model, text, codes, precision, own_places)[-20:]
    as_on_a_gpu(monkeypatch, precision)
    ours = scores(model, text, codes, precision)[-20:]
    assert error(exact, ours) <= 0.5 * error(exact, theirs)
