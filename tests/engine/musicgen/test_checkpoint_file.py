"""Checkpoints as people have them, and as nobody should: each is named before it is loaded."""

import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from omegaconf import OmegaConf

from bot.engine.messages import Ready
from bot.engine.musicgen import checkpoints
from bot.errors import OperatorError
from tests.support.engines import Child, Files, checkpoint, environment, refusal, takes
from tests.support.tiny_musicgen import CODEC, SMALL

LM_FILE, CODEC_FILE = "state_dict.bin", "compression_state_dict.bin"

NAMES = [f"{part}.{book}.weight" for part in ("emb", "linears") for book in range(4)]
NAMES += [f"transformer.layers.{layer}.linear1.weight" for layer in range(2)] + ["out_norm.weight"]


def settings(base: Any = SMALL, **over: Any) -> str:
    return OmegaConf.to_yaml(OmegaConf.merge(OmegaConf.create(base), OmegaConf.create(over)))


def state(*more: str, without: str = "", prefix: str = "") -> dict[str, None]:
    return {prefix + name: None for name in (*NAMES, *more) if name != without}


def package(configured: object = settings(), **over: Any) -> dict[str, Any]:
    return {"best_state": state(), "xp.cfg": configured, **over}


def described(**t5: Any) -> dict[str, Any]:
    return {"description": {"t5": t5}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that no look finds anything wrong with, to spoil."""
    folder = tmp_path / "model"
    folder.mkdir()
    checkpoint(folder / LM_FILE, **package())
    codec = {"best_state": {"decoder.model.0": None}, "xp.cfg": settings(CODEC)}
    checkpoint(folder / CODEC_FILE, **codec)
    return folder


def test_nothing_is_wrong_with_what_the_tests_spoil(folder: Path) -> None:
    assert checkpoints.wrong(str(folder)) is None


STYLE = {"self_wav": {"model": "style", "style": {}}}
LUT = {"genre": {"model": "lut", "lut": {}}}
MODEL = {"model": state()}

UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "unexported": ({"best_state": MODEL, "xp.cfg": "a: 1", "history": []}, "a training checkpoint"),
    "unexported, fsdp": ({"best_state": {}, "fsdp_best_state": MODEL}, "audiocraft.utils.export"),
    "no settings": ({"best_state": state()}, "has no settings (xp.cfg)"),
    "something else": ({"weights": "none"}, "not an audiocraft checkpoint"),
    "prefixed": (package(best_state=state(prefix="model.")), "begin with model."),
    "adapters": (package(best_state=state("layers.0.lora_A")), "adapters beside the weights"),
    "a lost weight": (package(best_state=state(without="out_norm.weight")), "out_norm.weight"),
    "style": (
        package(settings(conditioners=STYLE)),
        "belongs to a MusicGen-Style: it needs a style",
    ),
    "genre": (package(settings(conditioners=LUT)), "needs genre besides the text"),
    "MAGNeT": (package(settings(lm_model="transformer_lm_magnet")), "belongs to a MAGNeT"),
    "AudioGen": (package(settings(solver="audiogen")), "belongs to an AudioGen"),
    "a codec": (package(settings(CODEC)), "is a codec, not a language model"),
    "spaCy": (
        package(settings(conditioners=described(normalize_text=True))),
        "spaCy would download a model",
    ),
    "its own T5": (package(settings(conditioners=described(name="/home/t5"))), "needs the text"),
    "no length": (package(settings(dataset={"segment_duration": "long"})), "training clips"),
    "nowhere": (package("conditioners: ${nowhere}"), "refer to something missing (conditioners)"),
    "itself": (package("conditioners: ${conditioners}"), "refer to something missing"),
    "the environment": (
        package(settings(conditioners=described(name="${oc.env:SECRET}"))),
        "refer to something missing",
    ),
    "words": (package("just words"), "is not conditioned on text"),
    "half of it": (package("a: ["), "settings (xp.cfg) that cannot be read"),
    "a number": (package(3), "settings (xp.cfg) that cannot be read"),
    "nested": (package("[" * 5000 + "]" * 5000), "settings (xp.cfg) that cannot be read"),
    "nested mappings": (package("{a: " * 5000 + "}" * 5000), "settings (xp.cfg) that cannot be"),
    "a tag": (package("a: !!python/object/apply:os.system ['touch x']"), "settings (xp.cfg) that"),
    "long": (package("a: " + "x" * (1 << 20)), "settings (xp.cfg) that cannot be read"),
}

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{','.join(['*' + chr(97 + level)] * 10)}]\n"
    for level in range(7)
)
UNUSABLE["a billion laughs"] = (package(LAUGHS), "settings (xp.cfg) that cannot be read")


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_that_is_no_such_checkpoint_is_named_with_what_to_do(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "t5-base")
    wanted, sentence = UNUSABLE[kind]
    checkpoint(folder / LM_FILE, **wanted)
    told = checkpoints.trouble(str(folder))
    assert told
    assert told.startswith(f"{LM_FILE} of {folder}")
    assert sentence in told
    assert harmless(told)


def harmless(told: str) -> bool:
    return not any(word in told for word in ("delete", "fetch", "Traceback", "\n"))


@pytest.mark.parametrize(
    ("codec", "sentence"),
    [
        (package(), "is a language model, not a codec"),
        ({"pretrained": "//pretrained/facebook/encodec_32khz"}, "not a repository on the hub"),
        ({"pretrained": "../../../etc"}, "not a repository on the hub"),
        ({"pretrained": "dac_44khz"}, "EnCodec is the only supported codec"),
        (
            {"best_state": {"decoder": None}, "xp.cfg": settings(CODEC, compression_model="dac")},
            "is not an EnCodec",
        ),
    ],
    ids=["language model", "prefixed", "outside", "DAC", "another kind"],
)
def test_a_codec_that_is_none_is_named(folder: Path, codec: dict[str, Any], sentence: str) -> None:
    checkpoint(folder / CODEC_FILE, **codec)
    told = checkpoints.trouble(str(folder))
    assert told
    assert told.startswith(f"{CODEC_FILE} of {folder}")
    assert sentence in told
    assert harmless(told)


class Anything:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.system, ("touch executed",)


def zipped(file: Path, pickled: bytes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "Git LFS": (
        lambda file: file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
        "git lfs pull",
    ),
    "old torch": (
        lambda file: torch.save(package(), file, _use_new_zipfile_serialization=False),
        "torch's old format",
    ),
    "another protocol": (
        lambda file: torch.save(package(), file, pickle_protocol=4),
        "pickle protocol 4",
    ),
    "bare weights": (
        lambda file: torch.save({"emb.0.weight": torch.zeros(2)}, file),
        "weights without their settings",
    ),
    "code": (
        lambda file: checkpoint(file, best_state=Anything()),
        "holds code besides weights",
    ),
    "half a file": (cut, "copy it again from the original"),
    "half a pickle": (
        lambda file: zipped(file, pickle.dumps(package(), protocol=2)[:-30]),
        "is not a torch checkpoint, or is damaged",
    ),
    "a zip bomb": (
        lambda file: zipped(file, pickle.dumps({"x": bytes(200 << 20)}, protocol=2)),
        "more besides its weights than any checkpoint needs",
    ),
    "more memory than there may be": (
        lambda file: zipped(file, b"\x80\x02](" + b"}" * (15 << 20) + b"e."),
        "more memory or time to read than any checkpoint needs",
    ),
    "a hole in the memo": (
        lambda file: zipped(file, b"\x80\x02}r\xff\xff\xff\x7f."),
        "more memory or time to read than any checkpoint needs",
    ),
    "nothing": (Path.unlink, "is missing in your folder"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_cannot_be_read_is_named_and_takes_nothing_along(
    folder: Path, kind: str
) -> None:
    spoil, sentence = SPOILT[kind]
    spoil(folder / LM_FILE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = checkpoints.trouble(str(folder))
    assert told
    assert sentence in told
    assert str(folder) in told
    assert harmless(told)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 50_000
    assert not Path("executed").exists()


def test_packages_in_pythonpath_are_found_by_the_process_that_reads_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    elsewhere = tmp_path / "elsewhere" / "msgspec.py"
    elsewhere.write_text("raise ModuleNotFoundError('of another place')")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere.parent))
    told = str(checkpoints.trouble(str(folder)))
    assert "cannot be examined: Python does not find its packages" in told
    elsewhere.unlink()
    (folder / LM_FILE).touch()
    assert checkpoints.wrong(str(folder)) is None


def test_a_folder_in_the_format_of_transformers_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "musicgen"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "transformers' format" in str(checkpoints.trouble(str(tmp_path)))
    assert harmless(str(checkpoints.trouble(str(tmp_path))))


def test_settings_that_are_omegaconfs_own_objects_are_read(folder: Path) -> None:
    checkpoint(folder / LM_FILE, **package(OmegaConf.create(SMALL)))
    assert checkpoints.wrong(str(folder)) is None
    magnet = OmegaConf.create({**SMALL, "solver": "magnet"})
    checkpoint(folder / LM_FILE, **package(magnet))
    assert "belongs to a MAGNeT" in str(checkpoints.wrong(str(folder)))


def test_the_text_encoder_is_the_one_that_the_checkpoint_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    assert checkpoints.missing(str(folder)) == ["the text encoder t5-base"]
    named = settings(size="large", conditioners=described(name="t5-${size}"))
    checkpoint(folder / LM_FILE, **package(named))
    assert checkpoints.missing(str(folder)) == ["the text encoder t5-large"]


def test_generate_doctor_and_fetch_say_what_is_wrong_with_a_folder(folder: Path) -> None:
    checkpoint(folder / LM_FILE, **package(settings(lm_model="transformer_lm_magnet")))
    env = environment(folder, MUSICGEN_MODEL=str(folder), COLUMNS="400", ENGINE="musicgen")
    for arguments in (("doctor",), ("fetch",), ("generate", "x", "--engine", "musicgen")):
        done = subprocess.run(
            [sys.executable, "-m", "bot", *arguments], capture_output=True, text=True, env=env
        )
        assert done.returncode == 1
        assert "belongs to a MAGNeT, and only MusicGen is supported" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["musicgen-style", "magnet-small-10secs", "audiogen-medium"])
def test_another_family_of_the_hub_is_named_before_it_is_downloaded(name: str) -> None:
    with pytest.raises(OperatorError, match="and only MusicGen is supported"):
        checkpoints.fetch(f"facebook/{name}")


def test_the_engine_says_what_is_wrong_before_it_loads_anything(home: Path, folder: Path) -> None:
    checkpoint(folder / LM_FILE, **package(best_state=MODEL))
    assert "a training checkpoint" in refusal(home, str(folder))


def test_weights_that_are_not_the_models_are_told_with_their_names(
    home: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(home / "local", tmp_path / "model"))
    whole = torch.load(folder / LM_FILE, weights_only=True)
    del whole["best_state"]["transformer.layers.0.norm1.bias"]
    torch.save(whole, folder / LM_FILE)
    told = refusal(home, str(folder))
    assert "transformer.layers.0.norm1.bias" in told
    assert harmless(told)


SHORT = """
import sys, json
import numpy as np
import torch
from audiocraft.models import MusicGen
from audiocraft.models.loaders import load_compression_model, load_lm_model
class Short(MusicGen):
    def set_generation_params(self, **asked):
        super().set_generation_params(**{**asked, "extend_stride": 3})
for folder, file in json.loads(sys.argv[1]):
    parts = load_compression_model(folder), load_lm_model(folder)
    own = Short("short", *parts)
    own.set_generation_params(duration=7, top_k=250, temperature=1.1, cfg_coef=2.5)
    torch.manual_seed(7)
    _, codes = own.generate(["slow piano with rain"], return_tokens=True)
    np.save(file, codes[0].numpy())
"""


def test_a_model_that_was_trained_on_short_clips_plays_in_windows_of_that_length(
    home: Path, tmp_path: Path, folders: Callable[[], Files]
) -> None:
    """By our decoder and by audiocraft's own loop, in steps of the same share of the window."""
    cases, models = [], ("local", "other")
    for model in models:
        folder = Path(shutil.copytree(home / model, tmp_path / model))
        whole = torch.load(folder / LM_FILE, weights_only=True)
        clips = OmegaConf.create(whole["xp.cfg"])
        clips.dataset.segment_duration = 5
        torch.save(whole | {"xp.cfg": OmegaConf.to_yaml(clips)}, folder / LM_FILE)
        cases.append((str(folder), str(folder / "own.npy")))
    subprocess.run(
        [sys.executable, "-c", SHORT, json.dumps(cases)],
        check=True,
        env=environment(home, HF_HUB_OFFLINE="1"),
        capture_output=True,
    )
    with Child(home, ",".join(folder for folder, _ in cases)) as child:
        assert isinstance(child.hear(), Ready)
        for model, (_, own) in zip(models, cases, strict=True):
            files = folders()
            assert takes(child.render(replace(files.order(7, 7), model=model))) == [(1, 7.0)]
            assert (files.codes(1) == np.load(own)).all()
