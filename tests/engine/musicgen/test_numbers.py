"""NaN and infinity: found while a model loads and at each take's end, told, never posted."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

from bot.engine.files.results import Results
from bot.engine.messages import Done, Failed, Part, Previewed, Ready, Render, Took
from bot.engine.musicgen.precisions import native
from bot.errors import JobError
from bot.values import Fault
from tests.support.engines import ROOT, SMALL, Child, Files, environment, together
from tests.support.hub import snapshot

SOUND, SPOILT = "slow piano with rain", "a sad waltz"
"""Prompts without and with the letter whose embedding is NaN."""

FIRST_LAYER = "transformer.layers.0.linear1.weight"


@pytest.fixture(scope="module")
def spoilt(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose text encoder answers one letter with NaN."""
    from transformers import T5Tokenizer

    spoilt = Path(shutil.copytree(home, tmp_path_factory.mktemp("spoilt"), dirs_exist_ok=True))
    folder = snapshot(spoilt, "t5-base")
    tokenizer = T5Tokenizer.from_pretrained(folder)
    pieces = set(tokenizer(SPOILT)["input_ids"])
    pieces -= {piece for text in (SOUND, "warm-up") for piece in tokenizer(text)["input_ids"]}
    assert pieces
    state = load_file(folder / "model.safetensors")
    for name, tensor in state.items():
        if tensor.shape[0] == 256:  # the vocabulary
            state[name] = tensor.clone()
            state[name][sorted(pieces)] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return spoilt


@pytest.fixture(scope="module", params=["float32", "int8", "other"])
def child(spoilt: Path, request: pytest.FixtureRequest) -> Iterator[Child]:
    """Our decoder in two precisions, and audiocraft's own loop."""
    own = request.param == "other"
    precision = "float32" if own else request.param
    with Child(spoilt, str(spoilt / "other") if own else SMALL, precision=precision) as child:
        ready = child.hear()
        assert isinstance(ready, Ready)
        kernels = " (native kernels)" if precision in native() else ""
        assert ready.device == f"cpu{kernels}"
        yield child


def test_a_take_of_no_numbers_fails_alone_and_those_beside_and_after_it_are_unchanged(
    child: Child, folders: Callable[[], Files]
) -> None:
    expected, beside, after, bad = folders(), folders(), folders(), folders()
    child.render(expected.order(2, 7))
    wrong = replace(bad.order(1, 1), prompt=SPOILT)
    together(child, beside.order(2, 7), wrong)
    reports = child.render(replace(bad.order(1, 1), prompt=SPOILT))
    failed = reports[-1]
    assert isinstance(failed, Failed)
    assert failed.fault is Fault.NUMBERS
    mend = "PRECISION=float32" if child.precision == "int8" else "its weights may be damaged"
    assert mend in failed.reason
    assert not any(isinstance(said, Took) for said in reports)
    assert bad.all() == set()
    assert isinstance(child.render(after.order(2, 7))[-1], Done)
    for files in (beside, after):
        assert (files.codes(1) == expected.codes(1)).all()
        assert (files.samples(1) == expected.samples(1)).all()


@pytest.mark.parametrize("child", ["int8"], indirect=True)
def test_no_preview_is_written_of_what_is_no_music(
    child: Child, folders: Callable[[], Files]
) -> None:
    files = folders()
    order = replace(files.order(31, 7), prompt=SPOILT)
    (part,) = order.parts
    part = replace(part, preview=str(files.folder / "preview.wav"))
    reports = child.render(replace(order, parts=(part,)))
    assert isinstance(reports[-1], Failed)
    assert not any(isinstance(said, Previewed) for said in reports)
    assert files.all() == set()


def altered(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the weights in a checkpoint."""
    package = torch.load(file, weights_only=True)
    state = {name: tensor.clone() for name, tensor in package["best_state"].items()}
    change(state)
    torch.save(package | {"best_state": state}, file)


def poke(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        state[name] = state[name].float()
        state[name].view(-1)[0] = value

    return change


def overflow(state: dict[str, Any]) -> None:
    """Let every weight be finite, and no score."""
    state["linears.0.weight"] = torch.full_like(state["linears.0.weight"], 3e38, dtype=torch.float)


LM_FILE, CODEC_FILE = "state_dict.bin", "compression_state_dict.bin"
UNPLAYABLE = "computes NaN or infinity in float32"

WRONG: dict[str, tuple[str, str, Callable[[dict[str, Any]], None], str, tuple[str, ...]]] = {
    "a weight": (
        "local",
        LM_FILE,
        poke(FIRST_LAYER, float("nan")),
        "float32",
        (f"its weight {FIRST_LAYER} holds NaN or infinity",),
    ),
    "an overflow": ("local", LM_FILE, overflow, "float32", (UNPLAYABLE,)),
    "an overflow in audiocraft's loop": ("other", LM_FILE, overflow, "float32", (UNPLAYABLE,)),
    "the codec": (
        "local",
        CODEC_FILE,
        poke("decoder.model.0.conv.conv.weight_v", float("nan")),
        "float32",
        ("codec plays NaN or infinity",),
    ),
    "a weight too large": (
        "local",
        LM_FILE,
        poke(FIRST_LAYER, 1e6),
        "float16",
        ("cannot play in float16", "PRECISION=float32"),
    ),
}
"""What is wrong with a copy of a model, the precision asked for, and what is said of it."""

LOADS = """
import json, sys
from bot.engine import worker
from bot.errors import OperatorError
for folder, precision in json.loads(sys.argv[1]):
    asked = ["--engine", "musicgen", "--device", "cpu", "--model", folder]
    try:
        worker.load(worker._parser().parse_args([*asked, "--precision", precision]))
        print(json.dumps("It is loaded."))
    except OperatorError as error:
        print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def told(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the engine says of each as it loads it."""
    asked = []
    for number, (model, file, change, precision, _) in enumerate(WRONG.values()):
        folder = tmp_path_factory.mktemp("wrong") / str(number)
        altered(Path(shutil.copytree(home / model, folder)) / file, change)
        asked.append((str(folder), precision))
    said = subprocess.run(
        [sys.executable, "-c", LOADS, json.dumps(asked)],
        check=True,
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
    )
    return dict(zip(WRONG, map(json.loads, said.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("what", WRONG)
def test_a_model_of_no_numbers_is_refused_when_it_loads(told: dict[str, str], what: str) -> None:
    """And one whose weights are too large for a precision is, with one that would do."""
    for words in WRONG[what][-1]:
        assert words in told[what]


@pytest.mark.parametrize("finishes", [True, False])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_sound_of_no_numbers_is_no_full_disk(tmp_path: Path, finishes: bool, wrong: float) -> None:
    files = {"audio": str(tmp_path / "1.wav"), "codes": str(tmp_path / "1.npy")}
    order = Render(
        id=1,
        prompt="x",
        seconds=1,
        model="m",
        parts=(Part(number=1, seed=1, **files),),
        options={"top_k": 1},
    )
    results = Results(order, 32000, finishes=finishes)
    with pytest.raises(JobError) as told:
        results.took(order.parts[0], np.full((1, 32000), wrong), np.zeros((4, 50), int))
    assert told.value.fault is Fault.NUMBERS
    assert "PRECISION=float32" in str(told.value)
    assert list(tmp_path.iterdir()) == []
