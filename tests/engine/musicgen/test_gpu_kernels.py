"""The GPU's own kernels, as far as they can be shown without one."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import JITFunction

from bot.engine.musicgen import cuda_graphs, gpu_attention, gpu_draw, gpu_layers
from bot.engine.musicgen import decoder as room
from bot.engine.musicgen.attention import Masked
from bot.engine.musicgen.gpu_attention import BLOCK_PLACES, MOST_PARTS, Split, splits

INTERPRETED = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/support/interpreted.py")
GPU: Any = SimpleNamespace(device=torch.device("cuda"))


def test_in_tritons_interpreter_it_attends_as_torch_does() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, *INTERPRETED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


NUMBERS = dict.fromkeys(("takes", "heads", "positions", "apart"), "i32")
NORMED = "gain", "shift"
DRAWN = dict.fromkeys(("guidances", "temperatures", "nan_sum"), "*fp32")
DRAWN |= dict.fromkeys(("ranks", "rows", "places", "sequence"), "*i64")
WHOLE = dict.fromkeys(("count", "outputs", "takes", "codebooks", "card", "positions"), "i32")
KERNELS = {
    "_music": {"parts": "*fp16", "cache": "*fp16", "places": "*i64", **NUMBERS},
    "_words": {
        "queries": "*fp16",
        "addresses": "*i64",
        "lengths": "*i64",
        "heads": "i32",
    },
    "_joined": {},
    "_product": {"rows": "*fp32", "weight": "*fp16", **dict.fromkeys(NORMED, "*fp32")},
    "_added": {"hidden": "*fp32", "more": "*fp16", **dict.fromkeys(NORMED, "*fp32")},
    "_drawn": {"scores": "*fp32", "noise": "*fp32", **DRAWN},
}
"""The kernels by name, and the types of what they take in half precision."""

WITHIN = {"_read", "_sums", "_ranked"}
"""What kernels call, which is compiled with them."""


def kernels() -> dict[str, Any]:
    """Return all that Triton compiles of ours."""
    things = [
        each for room in (gpu_attention, gpu_layers, gpu_draw) for each in vars(room).values()
    ]
    found = [each for each in things if isinstance(each, JITFunction)]
    return {kernel.__name__: kernel for kernel in found}


def test_every_kernel_has_its_types_here() -> None:
    assert kernels().keys() == KERNELS.keys() | WITHIN


BETWEEN = dict.fromkeys(("mixes", "tops", "totals"), "*fp32") | {"into": "*fp16"}
CONSTANTS = {
    "wide": tl.float32,
    "splits": 8,
    "size": 64,
    "block": BLOCK_PLACES,
    "stages": gpu_attention.PIPELINE_STAGES,
}
CONSTANTS |= {"width": 1536, "padded": 2048, "most": 2, "epsilon": 1e-5, "tiny": 1e-30, "bits": 31}
CONSTANTS |= {"normed": True, "gelu": True, "onto": True, "unknown": -1, "whole": tl.int32}


@pytest.mark.parametrize("capability", [75, 80, 90])
def test_it_compiles_for_a_card_that_is_not_there_and_reads_in_large_pieces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capability: int
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for name, types in KERNELS.items():
        kernel = kernels()[name]
        known = BETWEEN | WHOLE | types
        kinds = {each: known.get(each, "constexpr") for each in kernel.arg_names}
        given = CONSTANTS | {
            "early": capability >= 90,
            "block": 8 if "most" in kinds else BLOCK_PLACES,
        }
        constants = {each: given[each] for each, kind in kinds.items() if kind == "constexpr"}
        aligned = {
            (at,): [["tt.divisibility", 16]]
            for at, kind in enumerate(kinds.values())
            if kind.startswith("*")
        }
        source = ASTSource(kernel, kinds, constants, aligned)
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        large = "ld.global.v4" in made.asm["ptx"] or "cp.async.cg" in made.asm["ptx"]
        assert large or name == "_drawn"
        assert made.metadata.shared < 48 * 1024


@pytest.mark.parametrize(
    ("rows", "processors", "expected"),
    [(32, 132, 16), (64, 132, 8), (1024, 132, 1), (32, 40, 4), (64, 40, 2), (2, 132, MOST_PARTS)],
)
def test_a_past_is_read_in_as_many_parts_as_keep_a_card_busy(
    rows: int, processors: int, expected: int
) -> None:
    assert splits(rows, processors) == expected


def test_a_gpu_attends_by_triton(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpu_attention, "check", lambda _: None)
    assert cuda_graphs.attending(GPU) is Split
    assert not caplog.records


@pytest.mark.parametrize(
    "problem",
    [
        RuntimeError("Failed to find C compiler."),
        subprocess.CalledProcessError(1, "gcc"),
        RuntimeError("its results are not torch's"),
    ],
)
def test_where_triton_does_not_work_a_mask_does_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, problem: Exception
) -> None:
    def fails(_: object) -> None:
        raise problem

    monkeypatch.setattr(gpu_attention, "check", fails)
    assert cuda_graphs.attending(GPU) is Masked
    (line,) = caplog.messages
    assert str(problem) in line


def test_where_triton_is_missing_a_mask_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "bot.engine.musicgen.gpu_attention", None)
    assert cuda_graphs.attending(GPU) is Masked
    assert len(caplog.messages) == 1


def test_too_little_memory_is_no_reason_for_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(gpu_attention, "check", full)
    with pytest.raises(torch.OutOfMemoryError):
        cuda_graphs.attending(GPU)


@pytest.mark.parametrize("room_of", ["gpu_layers", "gpu_draw"])
def test_where_a_kernel_of_a_step_does_not_work_torch_does_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, room_of: str
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler.")

    layers: Any = SimpleNamespace(layers=[], heads=1, dim=1, device=torch.device("cpu"))
    monkeypatch.setattr(gpu_layers, "GpuLayers", lambda _: layers)
    for module in (gpu_layers, gpu_draw):
        monkeypatch.setattr(module, "check", lambda *_: None)
    assert room.on_gpu(layers, fails) == (layers, gpu_draw.draw)
    monkeypatch.setattr({"gpu_layers": gpu_layers, "gpu_draw": gpu_draw}[room_of], "check", fails)
    assert room.on_gpu(layers, fails) is None
    (line,) = caplog.messages
    assert "Failed to find C compiler." in line
