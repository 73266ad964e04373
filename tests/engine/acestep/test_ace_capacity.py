"""What an ACE-Step is said to need, against what it takes."""

from pathlib import Path

import pytest
import torch

from bot.engine import sharing, weights
from bot.engine.acestep import capacity, checkpoint
from bot.engine.acestep.loading import load
from bot.engine.hardware.precisions import Precision
from tests.support.tiny_acestep import RELEASED

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
