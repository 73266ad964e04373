"""Which device is taken, and how torch is told to use it, over pretended answers of torch.cuda."""

import pytest
import torch

from bot.cli.checks import engine
from bot.cli.checks.check import Verdict
from bot.config import Config, DeviceSetting
from bot.engine.hardware import devices, memory
from bot.engine.hardware.devices import device, runs
from bot.engine.hardware.precisions import Precision, chosen
from bot.errors import OperatorError
from tests.support.pretended_cuda import GB, WHEEL, Card, card

__all__ = ["card"]

CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "built", "expected"),
    [
        ((7, 5), WHEEL, True),
        ((8, 9), WHEEL, True),
        ((9, 0), ["sm_80", "sm_90a"], True),
        ((12, 1), WHEEL, True),
        ((6, 1), WHEEL, False),
        ((7, 0), ["sm_75", "sm_80"], False),
        ((11, 0), WHEEL, False),
        ((11, 0), [*WHEEL, "compute_90"], True),
        ((8, 0), ["sm_86"], False),
        ((13, 0), WHEEL, False),
        ((9, 4), ["gfx90a", "gfx942"], True),
        ((9, 0), [], True),
    ],
)
def test_which_cards_code_runs_on(
    capability: tuple[int, int], built: list[str], expected: bool
) -> None:
    assert runs(capability, built) is expected


def test_auto_takes_a_card_that_can_compute_and_cuda_asks_for_one(card: Card) -> None:
    assert device("auto") == device("cuda") == CUDA
    assert device("cpu").type == "cpu"
    card.there = False
    assert device("auto").type == "cpu"
    with pytest.raises(OperatorError, match="torch finds no CUDA GPU"):
        device("cuda")


def test_a_card_that_torch_has_no_code_for_gets_a_sentence(
    card: Card, caplog: pytest.LogCaptureFixture
) -> None:
    card.capability = (6, 1)
    assert device("auto").type == "cpu"
    why = "this torch has no code for Some Card (compute capability 6.1), only for sm_70, sm_75,"
    assert f"Models run on the CPU: {why}" in caplog.text
    with pytest.raises(OperatorError) as raised:
        device("cuda")
    assert str(raised.value).startswith(f"DEVICE is cuda, but {why}")
    assert str(raised.value).endswith(": set DEVICE=auto or cpu.")


@pytest.mark.usefixtures("card")
def test_a_card_that_is_taken_attends_without_cudnn_and_rounds_little() -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    torch.backends.cudnn.allow_tf32 = True
    device("cpu")
    assert torch.backends.cuda.cudnn_sdp_enabled(), "no card was taken"
    device("auto")
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
    assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction


def test_bfloat16_is_for_cards_that_compute_in_it(card: Card) -> None:
    assert chosen("bfloat16", CUDA) is Precision.BFLOAT16
    card.capability = (7, 5)
    assert chosen("auto", CUDA) is Precision.FLOAT16
    assert chosen("float16", CUDA) is Precision.FLOAT16
    remedy = "not native to Some Card: set PRECISION=auto or float16"
    with pytest.raises(OperatorError, match=remedy):
        chosen("bfloat16", CUDA)
    assert chosen("bfloat16", torch.device("cpu")) is Precision.BFLOAT16


def test_memory_is_the_part_of_the_card_that_is_ours(card: Card) -> None:
    assert (memory.free(CUDA), memory.total(CUDA)) == (60 * GB, 80 * GB)
    card.fraction, card.reserved = 0.25, 5 * GB
    assert (memory.free(CUDA), memory.total(CUDA)) == (15 * GB, 20 * GB)
    card.left = 10 * GB  # others have the rest
    assert devices.free() == 10 * GB


OLD = """
from types import SimpleNamespace
import torch
torch.cuda.is_available = lambda: True
torch.cuda.get_arch_list = lambda: ["sm_75"]
torch.cuda.get_device_capability = lambda place: (6, 1)
torch.cuda.get_device_name = lambda place: "Some Card"
torch.cuda.get_device_properties = lambda _: SimpleNamespace(name="Some Card", total_memory=8e9)
"""


@pytest.mark.parametrize(
    ("asked", "capability", "verdict"),
    [
        (DeviceSetting.AUTO, "(7, 5)", Verdict.GOOD),
        (DeviceSetting.AUTO, "(6, 1)", Verdict.NOTE),
        (DeviceSetting.CUDA, "(6, 1)", Verdict.BAD),
    ],
)
def test_doctor_sees_whether_torch_has_code_for_the_card(
    monkeypatch: pytest.MonkeyPatch, asked: DeviceSetting, capability: str, verdict: Verdict
) -> None:
    script = OLD.replace("(6, 1)", capability) + engine.DEVICE_PROBE
    monkeypatch.setattr(engine, "DEVICE_PROBE", script)
    check = engine.device(Config(device=asked))
    assert check.verdict is verdict
    assert ("no code for Some Card" in check.found) is (verdict is not Verdict.GOOD)
