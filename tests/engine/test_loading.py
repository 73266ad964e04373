"""What all families do alike as a model is loaded."""

import weakref
from unittest.mock import patch

import pytest
import torch

from bot.engine.loading import room_for
from bot.engine.musicgen import loading
from bot.engine.musicgen.model import MusicGen
from bot.engine.settings import EngineSettings
from bot.errors import OperatorError

WAYS = "set MUSICGEN_MODEL to a smaller model or SLOTS to a lower number"


@pytest.mark.parametrize(
    "lack",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["a GPU", "Python", "torch on a CPU"],
)
def test_too_little_memory_to_load_a_model_is_said_to_the_operator(lack: Exception) -> None:
    said = f"This machine has too little free memory for some/model: {WAYS}."
    with patch.object(loading, "load", side_effect=lack), pytest.raises(OperatorError) as raised:
        MusicGen("some/model", EngineSettings(device="cpu"))
    assert str(raised.value) == said


def test_what_was_loaded_of_a_model_is_gone_before_that_is_said() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def load() -> None:
        weight = torch.zeros(8)
        held.append(weakref.ref(weight))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OperatorError) as raised, room_for("it", torch.device("cuda"), "wait"):
        load()
    assert held[0]() is None
    assert str(raised.value) == "The GPU has too little free memory for it: wait."


def test_another_fault_while_a_model_is_loaded_stays_what_it_is() -> None:
    fault = RuntimeError("size mismatch")
    with pytest.raises(RuntimeError) as raised, room_for("it", torch.device("cpu"), "wait"):
        raise fault
    assert raised.value is fault
