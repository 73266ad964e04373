"""Which weights are there, which are refused, and how those that are missing are fetched."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.engine.musicgen import checkpoints
from tests.support.engines import SMALL, STEREO, checkpoint, refusal
from tests.support.hub import fetch, hub, snapshot


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model as a folder, to spoil."""
    return Path(shutil.copytree(home / "local", tmp_path / "model"))


def test_missing_weights_are_refused_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    assert refusal(tmp_path, SMALL) == (
        "MusicGen lacks the language model (state_dict.bin of facebook/musicgen-small), the codec "
        "(compression_state_dict.bin of facebook/musicgen-small), the text encoder t5-base: "
        "run `python -m bot fetch facebook/musicgen-small`."
    )


def test_a_truncated_checkpoint_is_refused(home: Path, folder: Path) -> None:
    file = folder / "state_dict.bin"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "is damaged: copy it again" in refusal(home, str(folder))


def test_a_gpu_that_is_not_there_is_refused(home: Path) -> None:
    assert refusal(home, SMALL, "cuda") == (
        "DEVICE is cuda, but torch finds no CUDA GPU: set DEVICE=auto or cpu."
    )


def test_a_checkpoint_with_code_in_it_is_refused(home: Path, folder: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (folder / "executed",)

    checkpoint(folder / "state_dict.bin", best_state=Code())
    assert "holds code besides weights" in refusal(home, str(folder))
    assert not (folder / "executed").exists()


def test_a_complete_cache_lacks_nothing(home: Path, hub_cache: Callable[[Path], None]) -> None:
    hub_cache(home)
    assert checkpoints.installed()
    assert [checkpoints.missing(model) for model in (SMALL, STEREO, str(home / "local"))] == [
        []
    ] * 3


def test_an_empty_cache_lacks_everything(tmp_path: Path, hub_cache: Callable[[Path], None]) -> None:
    hub_cache(tmp_path)
    assert len(checkpoints.missing(SMALL)) == 3
    assert len(checkpoints.missing(str(tmp_path / "nowhere"))) == 3
    assert checkpoints.missing(str(tmp_path)) == ["the text encoder t5-base"]
    assert "state_dict.bin is missing in your folder" in str(checkpoints.trouble(str(tmp_path)))


def test_a_codec_by_reference_is_missed(
    home: Path, tmp_path: Path, hub_cache: Callable[[Path], None]
) -> None:
    hub_cache(Path(shutil.copytree(home, tmp_path / "home")))
    shutil.rmtree(tmp_path / "home/hub/models--facebook--encodec_32khz")
    assert checkpoints.missing(SMALL) == []
    assert checkpoints.missing(STEREO) == ["the codec facebook/encodec_32khz"]


def test_a_fetch_downloads_what_is_missing_and_only_that(
    home: Path, tmp_path: Path, hub_cache: Callable[[Path], None]
) -> None:
    served = Path(shutil.copytree(home, tmp_path / "served"))
    for name in ("flax_model.msgpack", "pytorch_model.bin"):
        (snapshot(served, "t5-base") / name).write_bytes(b"large")
    hub_cache(tmp_path)
    with hub(served) as (address, asked):
        assert fetch(STEREO, tmp_path, address) == ""
        assert checkpoints.missing(STEREO) == []
        assert not [path for path in asked if path.endswith(("msgpack", "pytorch_model.bin"))]
        asked.clear()
        assert fetch(STEREO, tmp_path, address) == ""
        assert asked == []
        shutil.rmtree(tmp_path / "hub/models--t5-base")
        assert fetch(STEREO, tmp_path, address) == ""
        assert not [path for path in asked if "facebook" in path]


def test_a_fetch_replaces_a_damaged_file(
    home: Path, tmp_path: Path, hub_cache: Callable[[Path], None]
) -> None:
    hub_cache(Path(shutil.copytree(home, tmp_path, dirs_exist_ok=True)))
    (snapshot(tmp_path, SMALL) / "state_dict.bin").write_bytes(b"damaged")
    assert checkpoints.missing(SMALL) != []
    with hub(home) as (address, _):
        assert fetch(SMALL, tmp_path, address) == ""
    assert checkpoints.missing(SMALL) == []


def test_a_fetch_that_fails_says_why_in_a_sentence(home: Path, tmp_path: Path) -> None:
    with hub(home) as (address, _):
        assert fetch("facebook/nothing", tmp_path, address) == (
            "The hub has no facebook/nothing: it does not exist or needs a login (`hf auth login`)."
        )
        assert fetch("t5-base", tmp_path, address) == (
            "t5-base is not a MusicGen model: it has no state_dict.bin."
        )
    assert fetch(SMALL, tmp_path, "http://127.0.0.1:9") == (
        "The hub cannot be reached at http://127.0.0.1:9: facebook/musicgen-small was not "
        "downloaded."
    )
    assert fetch(SMALL, tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1") == (
        "HF_HUB_OFFLINE is set: unset it to download facebook/musicgen-small."
    )
    assert fetch("a/b/c", tmp_path, "http://127.0.0.1:9") == (
        "a/b/c is neither a folder nor a name on the hub."
    )
    assert fetch(str(tmp_path), tmp_path, "http://127.0.0.1:9") == (
        f"state_dict.bin is missing in your folder {tmp_path}: copy it there, as it was written by "
        "audiocraft.utils.export."
    )
