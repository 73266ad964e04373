"""How many takes fit side by side."""

from types import SimpleNamespace

import pytest
import torch

from bot.engine import memory
from bot.engine.linears import Precision
from tests.random_lm import language_model

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


def test_this_machine_has_some_memory() -> None:
    assert 1e8 < memory.free(CPU) < 1e14
