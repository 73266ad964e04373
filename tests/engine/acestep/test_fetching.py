"""How an ACE-Step comes onto the disk: as it is, or converted from the 2B model's own layout."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bot.engine import weights
from bot.engine.acestep import checkpoint, loading
from bot.engine.acestep.conversion import convert
from bot.errors import OperatorError
from tests.support import original_acestep
from tests.support.hub import fetch, hub, snapshot

ORIGINAL, OFFICIAL = "ACE-Step/Ace-Step1.5", "ACE-Step/acestep-v15-xl-turbo-diffusers"
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def original(ace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in the layout of the 2B model's repository."""
    folder = tmp_path_factory.mktemp("original") / "repository"
    original_acestep.write(ace, folder)
    return folder


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    """Its like, to spoil."""
    return Path(shutil.copytree(original, tmp_path / "repository"))


def published(folder: Path, home: Path, repository: str) -> None:
    shutil.copytree(folder, snapshot(home, repository))


def same(made: Path, ace: Path) -> bool:
    """Whether two models have the same weights."""
    parts = ("transformer", "condition_encoder", "vae")
    both = ([load_file(folder / part / WEIGHTS) for part in parts] for folder in (made, ace))
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(*both, strict=True)
    )


def test_the_2b_model_is_converted_and_plays(
    original: Path, ace: Path, tmp_path: Path, hub_cache: Callable[[Path], None]
) -> None:
    """Of its repository only what is read comes; half a conversion is made anew."""
    published(original, tmp_path / "served", ORIGINAL)
    home = tmp_path / "home"
    hub_cache(home)
    assert weights.of(ORIGINAL).missing(ORIGINAL) == ["the weights"]
    made = checkpoint.converted(ORIGINAL)
    assert made
    for folder in (made, made.with_name(f"{made.name}.part")):  # of one that was cut off
        shutil.copytree(ace / "vae", folder / "vae")
        shutil.copy(ace / "model_index.json", folder)
    assert weights.of(ORIGINAL).missing(ORIGINAL) == ["sound weights"]
    with hub(tmp_path / "served") as (address, asked):
        assert fetch(ORIGINAL, home, address) == ""
        assert not [path for path in asked if path.endswith(".py") or "5Hz" in path]
        assert same(made, ace)
        assert weights.of(ORIGINAL).missing(ORIGINAL) == []
        pipe = loading.load(ORIGINAL, torch.device("cpu"), torch.float32)
        assert pipe.is_turbo
        assert pipe.tokenizer("a").input_ids
        asked.clear()
        assert fetch(ORIGINAL, home, address) == ""
        assert asked == []
    assert [path.name for path in made.parent.glob("converted*")] == [made.name]


def test_a_repository_in_diffusers_layout_is_fetched_as_it_is(
    ace: Path, tmp_path: Path, hub_cache: Callable[[Path], None]
) -> None:
    served = snapshot(tmp_path / "served", OFFICIAL)
    shutil.copytree(ace, served)
    for name in (
        "transformer/model.bin",
        "transformer/modeling.py",
        "x.safetensors",
    ):
        (served / name).write_bytes(b"large")
    home = tmp_path / "home"
    hub_cache(home)
    with hub(tmp_path / "served") as (address, asked):
        assert fetch(OFFICIAL, home, address) == ""
        assert weights.of(OFFICIAL).trouble(OFFICIAL) is None
        fetched = {path.rpartition("/main/")[2] or path for path in asked}
        assert not [path for path in fetched if path.endswith((".bin", ".py", "x.safetensors"))]
        made = checkpoint.folder(OFFICIAL)
        assert made
        assert same(made, ace)
        (made / "vae" / WEIGHTS).resolve().write_bytes(b"damaged")
        (made / "vae/config.json").resolve().write_bytes(b"[" * 10**5)
        assert fetch(OFFICIAL, home, address) == ""
    assert weights.of(OFFICIAL).trouble(OFFICIAL) is None
    assert same(made, ace)


def test_a_repository_of_something_else_is_refused_before_its_weights_come(
    ace: Path, tmp_path: Path
) -> None:
    served = snapshot(tmp_path / "served", "ACE-Step/other")
    shutil.copytree(ace, served)
    (served / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    snapshot(tmp_path / "served", "ACE-Step/empty").mkdir(parents=True)
    with hub(tmp_path / "served") as (address, asked):
        assert fetch("ACE-Step/other", tmp_path, address) == (
            "ACE-Step/other is no ACE-Step 1.5: its model_index.json says that it is a "
            "FluxPipeline."
        )
        assert fetch("ACE-Step/empty", tmp_path, address) == (
            "ACE-Step/empty is not an ACE-Step in diffusers' layout: it has no model_index.json."
        )
        assert not [path for path in asked if path.endswith("safetensors")]


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    file = folder / "acestep-v15-turbo/model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


class Code:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return print, ("executed",)


def spoilt(folder: Path, how: str) -> None:
    own = folder / "acestep-v15-turbo"
    match how:
        case "lacks":
            changed(folder, lambda found: found.pop("decoder.norm_out.weight"))
        case "holds planner.x":
            changed(folder, lambda found: found.update({"planner.x": torch.zeros(1)}))
        case "holds new.weight":
            changed(folder, lambda found: found.update({"decoder.new.weight": torch.zeros(1)}))
        case "as [3]":
            changed(folder, lambda found: found.update({"null_condition_emb": torch.zeros(3)}))
        case "cut short":
            file = own / "model.safetensors"
            file.write_bytes(file.read_bytes()[:-10])
        case "code besides numbers":
            torch.save(Code(), own / "silence_latent.pt")
        case "is missing":
            (own / "silence_latent.pt").unlink()
        case "what silence is":
            torch.save({"a": 1}, own / "silence_latent.pt")
        case "config.json":
            (own / "config.json").write_text("{")
        case "lacks the weights of its vae":
            (folder / "vae" / WEIGHTS).unlink()


SPOILT = ["lacks", "holds planner.x", "holds new.weight", "as [3]", "cut short", "is missing"]
SPOILT += ["code besides numbers", "what silence is", "config.json", "lacks the weights of its vae"]


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_no_such_repository_is_named_and_nothing_of_it_stays(
    copied: Path, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt(copied, how)
    target = tmp_path / "made"
    with pytest.raises(OperatorError, match=how.replace("[", r"\[")) as refused:
        convert(copied, target)
    assert str(copied) in str(refused.value)
    assert str(refused.value).endswith(".")
    assert [path.name for path in tmp_path.iterdir()] == [copied.name]
    assert "executed" not in capsys.readouterr().out
