"""How many takes fit side by side."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace

from bot.engine import memory, repertoire
from bot.engine.attention import Memory, untouched
from bot.engine.hand import Idle
from bot.engine.linears import Precision
from bot.engine.messages import Loading, Render
from tests.random_lm import language_model
from tests.test_musicgen import SMALL, Files, home, hub_cache, snapshot

__all__ = ["home", "hub_cache"]

CPU = torch.device("cpu")
LAYERS, DIM = 2, 128
SLOT = 4 * DIM * LAYERS * 1500 * 4
"""Bytes of a slot in float32: keys and values of two rows over 30 s."""


@pytest.mark.parametrize(
    ("precision", "room", "expected"),
    [
        *[(Precision.FLOAT32, *case) for case in ((0, 1), (1, 1), (2.5, 2), (5, 5))],
        (Precision.FLOAT32, 10**4, memory.MOST["cpu"]),
        (Precision.BFLOAT16, 2.5, 3),  # half of the past, and the words
    ],
)
def test_slots_fill_the_memory_that_is_left(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, room: float, expected: int
) -> None:
    lm = language_model(dim=DIM, layers=LAYERS, dtype=torch.float32)
    model = SimpleNamespace(lm=lm, max_duration=30, frame_rate=50)
    weights = sum(
        weight.numel() for part in (lm.transformer, lm.linears) for weight in part.parameters()
    )
    free = memory.SIZES[precision] * weights + memory.RESERVE + room * SLOT
    monkeypatch.setattr(memory, "free", lambda _: free)
    assert memory.slots(model, precision, CPU) == expected


def test_a_gpu_holds_the_text_encoder_too(home: Path, hub_cache: Callable[[Path], None]) -> None:
    hub_cache(home)
    whole = (snapshot(home, "t5-base") / "model.safetensors").stat().st_size
    sizes = [memory.estimate(SMALL, Precision.FLOAT16, torch.device(on)) for on in ("cpu", "cuda")]
    assert sizes[1] - sizes[0] == whole / 2 > 0


def test_this_machine_has_some_memory() -> None:
    assert 1e8 < memory.free(CPU) < 1e14


def cache(slots: int) -> Memory:
    """What a model of this size keeps for so many takes."""
    return Memory(
        layers=LAYERS,
        slots=slots,
        heads=2,
        positions=1500,
        size=DIM // 2,
        dtype=torch.float32,
        device=CPU,
    )


def test_memory_that_is_promised_to_one_model_is_not_promised_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm = language_model(dim=DIM, layers=LAYERS, dtype=torch.float32)
    model = SimpleNamespace(lm=lm, max_duration=30, frame_rate=50)
    parts = (lm.transformer, lm.linears)
    own = 4 * sum(weight.numel() for part in parts for weight in part.parameters())
    gc.collect()  # what other tests left would count until it goes
    before = untouched()
    monkeypatch.setattr(memory, "_available", lambda: own + memory.RESERVE + before + 5.5 * SLOT)
    assert memory.slots(model, Precision.FLOAT32, CPU) == 5
    promised = cache(3)
    assert untouched() - before == pytest.approx(3 * SLOT, rel=0.01)
    assert memory.slots(model, Precision.FLOAT32, CPU) == 2
    for layer in promised.music:
        layer[:, 0] = 1  # then the machine counts it as taken
    assert untouched() - before == pytest.approx(2 * SLOT, rel=0.01)
    del promised, layer
    gc.collect()
    assert untouched() == before


def test_the_memory_is_looked_at_once_a_second_while_a_render_waits_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look takes milliseconds for each gigabyte that is promised, and a step is as short."""
    looks: list[float] = []
    monkeypatch.setattr(repertoire, "MusicGen", Model)
    monkeypatch.setattr(repertoire.weights, "trouble", lambda _: None)
    monkeypatch.setattr(memory, "estimate", lambda *_: 1.0)
    monkeypatch.setattr(memory, "free", lambda _: looks.append(now[0]) or 0.0)
    monkeypatch.setattr(repertoire.time, "monotonic", lambda: now[0])
    now, both = [100.0], repertoire.Repertoire(["first", "second"], "cpu")
    first, second = (both.render(asked(name), lambda: False) for name in ("first", "second"))
    next(first)
    for step in range(2500):
        now[0] = 100.0 + step / 1000
        both.step()
        assert isinstance(next(second), Idle)
    assert looks == [100.0, 101.0, 102.0]
    first.close()
    assert isinstance(next(second), Loading), "and at once where a model can be let go"
    assert len(looks) == 5


class Model:
    """What is loaded of any model."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def step(self) -> None:
        pass

    def render(self, *_: object) -> Iterator[None]:
        while True:
            yield None


def asked(model: str) -> Render:
    return replace(Files(Path()).order(1, 7), model=model)
