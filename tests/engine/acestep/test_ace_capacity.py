"""What an ACE-Step is said to need, against what it takes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from bot.engine import sharing, weights
from bot.engine.acestep import capacity, checkpoint, loading
from bot.engine.acestep.loading import load
from bot.engine.acestep.model import AceStep
from bot.engine.acestep.precisions import chosen
from bot.engine.hardware import devices, memory
from bot.engine.hardware.precisions import Precision
from bot.engine.settings import EngineSettings
from tests.support.engines import Files
from tests.support.songs import rendered
from tests.support.tiny_acestep import RELEASED, TINY

MB = 1e6


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16])
def test_the_weights_are_estimated_from_the_disk(ace: Path, precision: Precision) -> None:
    pipe = load(str(ace), torch.device("cpu"), precision.dtype)
    parts = [getattr(pipe, name) for name in checkpoint.PARTS]
    held = sum(each.nbytes for part in parts for each in (*part.parameters(), *part.buffers()))
    assert held <= 1.1 * capacity.weights(str(ace), precision)
    assert capacity.weights(str(ace), precision) <= 1.1 * held
    halved = weights.of(str(ace)).size(str(ace))
    assert halved == pytest.approx(held * 2 / precision.dtype.itemsize, rel=0.1)


@pytest.mark.parametrize(("seconds", "measured"), [(30, 217 * MB / 5), (120, 2070 * MB / 5)])
def test_a_step_is_estimated_as_a_gpu_measured_it(seconds: int, measured: float) -> None:
    """An H200 with the 2B model in bfloat16, five takes in a batch."""
    said = capacity.step(25 * seconds, RELEASED.middle, RELEASED.heads, Precision.BFLOAT16)
    assert measured <= said <= 1.3 * measured


def test_one_order_at_a_time_has_a_processor_and_some_a_gpu(ace: Path) -> None:
    for device, slots in (("cpu", 1), ("cuda", 4)):
        need = capacity.need(str(ace), Precision.BFLOAT16, device)
        assert sharing.slots(need, free=1e12) == slots
        assert sharing.slots(need, free=0.0) == 1
        assert need.slot < 150 * MB


@pytest.mark.parametrize(
    ("asked", "native", "precision"),
    [
        ("auto", True, Precision.BFLOAT16),
        ("auto", False, Precision.FLOAT32),
        ("int8", True, Precision.BFLOAT16),
        ("float16", False, Precision.FLOAT16),
    ],
)
def test_a_gpu_computes_in_bfloat16_where_it_has_it(
    monkeypatch: pytest.MonkeyPatch, asked: str, precision: Precision, *, native: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: native)
    assert chosen(asked, torch.device("cuda")) is precision


def test_as_many_takes_as_a_gpu_has_room_for_are_denoised_side_by_side(
    ace: Path, folders: Callable[[], Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pretended GPU, whose model is on the processor."""
    each = capacity.step(250, TINY.middle, TINY.heads, Precision.FLOAT32)
    free = memory.RESERVED_BYTES
    monkeypatch.setattr(devices, "device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(devices, "wait", lambda _: None)
    monkeypatch.setattr(memory, "free", lambda _: free)
    on_it = lambda model, _, dtype: load(model, torch.device("cpu"), dtype)  # noqa: E731
    monkeypatch.setattr(loading, "load", on_it)
    model = AceStep(str(ace), EngineSettings(device="auto", precision="float32", finishes=False))
    for room, one_by_one, batch in (
        (0.5, False, 1),
        (1.0, False, 1),
        (2.0, False, 2),
        (9.0, False, 3),
        (9.0, True, 1),
    ):
        free = memory.RESERVED_BYTES + room * each
        order = replace(folders().song(1, 1, 2, 3), one_by_one=one_by_one)
        (told,) = rendered(model, order)
        assert told[0].done == batch
