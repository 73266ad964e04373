"""What is wrong with an ACE-Step on disk, in a sentence, before anything of it is loaded."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bot.engine.acestep import checkpoint
from bot.engine.acestep.loading import load
from bot.errors import OperatorError

CPU = torch.device("cpu")
DIFFUSERS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(ace: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return shutil.copytree(ace, tmp_path / "ace-own")


def changed(file: str, **said: object) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        path = model / file
        path.write_text(json.dumps(json.loads(path.read_text()) | said))

    return change


def cut(file: str, size: int) -> Callable[[Path], object]:
    return lambda model: (model / file).write_bytes((model / file).read_bytes()[:size])


def put(file: str, content: bytes) -> Callable[[Path], object]:
    return lambda model: (model / file).write_bytes(content)


def gone(file: str) -> Callable[[Path], object]:
    return lambda model: (model / file).unlink()


def folder(file: str) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        (model / file).unlink()
        (model / file).mkdir()

    return change


def headed(header: str) -> Callable[[Path], object]:
    """Let a part's weights say this of themselves."""
    said = header.encode()
    return put(f"vae/{DIFFUSERS}", len(said).to_bytes(8, "little") + said)


def pickled(model: Path) -> None:
    """Keep a part's weights as torch once did, with code in them."""
    (model / "vae" / DIFFUSERS).unlink()

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (model / "exploded",)

    with (model / "vae/diffusion_pytorch_model.bin").open("wb") as file:
        pickle.dump(Bomb(), file)


def sharded(model: Path) -> None:
    """Spread a part's weights over two files, as large ones are."""
    folder = model / "transformer"
    weights = load_file(folder / DIFFUSERS)
    (folder / DIFFUSERS).unlink()
    names = sorted(weights)
    places = {
        name: f"diffusion_pytorch_model-0000{1 + at % 2}-of-00002.safetensors"
        for at, name in enumerate(names)
    }
    for file in set(places.values()):
        save_file({name: weights[name] for name in names if places[name] == file}, folder / file)
    index = {"metadata": {}, "weight_map": places}
    (folder / f"{DIFFUSERS}.index.json").write_text(json.dumps(index))


def spread(**said: object) -> Callable[[Path], None]:
    """Spread a part's weights, and let its index say this of where they are."""

    def change(model: Path) -> None:
        sharded(model)
        changed(f"transformer/{DIFFUSERS}.index.json", **said)(model)

    return change


def test_a_whole_model_has_no_trouble(ace: Path, model: Path) -> None:
    assert checkpoint.trouble(str(ace)) is None
    before = checkpoint.numbers(str(model))
    sharded(model)
    assert checkpoint.trouble(str(model)) is None
    assert checkpoint.numbers(str(model)) == before
    pipe = load(str(model), CPU, torch.float32)
    for name in ("transformer", "condition_encoder", "text_encoder"):
        held = [*getattr(pipe, name).parameters(), *getattr(pipe, name).buffers()]
        assert before[name] <= sum(each.numel() for each in held)


FAULTS = {
    "no model_index.json": (gone("model_index.json"), "no ACE-Step: it has no model_index.json"),
    "another pipeline": (
        changed("model_index.json", _class_name="StableAudioPipeline"),
        "its model_index.json says that it is a StableAudioPipeline",
    ),
    "another transformer": (
        changed("transformer/config.json", _class_name="FluxTransformer2DModel"),
        "its transformer is a FluxTransformer2DModel, not a AceStepTransformer1DModel",
    ),
    "another text encoder": (
        changed("text_encoder/config.json", architectures=["T5EncoderModel"]),
        "its text_encoder is a T5EncoderModel, not a Qwen3Model",
    ),
    "a text encoder of a number": (
        changed("text_encoder/config.json", architectures=7),
        "its text_encoder is nothing that has a name, not a Qwen3Model",
    ),
    "no settings": (gone("vae/config.json"), "lacks vae/config.json"),
    "damaged settings": (put("vae/config.json", b"{"), "its vae/config.json is damaged"),
    "endless settings": (put("vae/config.json", b"[" * 10**5), "its vae/config.json is damaged"),
    "settings in a folder": (folder("vae/config.json"), "its vae/config.json is damaged"),
    "settings of a list": (put("scheduler/scheduler_config.json", b"[]"), "is damaged"),
    "no tokenizer": (gone("tokenizer/tokenizer.json"), "lacks tokenizer/tokenizer.json"),
    "no weights": (gone(f"transformer/{DIFFUSERS}"), "lacks the weights of its transformer"),
    "cut weights": (cut(f"transformer/{DIFFUSERS}", 100_000), f"its transformer/{DIFFUSERS} is"),
    "cut header": (cut("text_encoder/model.safetensors", 9), "is damaged or cut short"),
    "no header": (cut("text_encoder/model.safetensors", 3), "is damaged or cut short"),
    "another format": (put(f"vae/{DIFFUSERS}", b"\xff" * 64), "is damaged or cut short"),
    "a header of nothing": (headed("[]"), "is damaged"),
    "an endless header": (headed('{"a":' + "[" * 10**5), "is damaged"),
    "a header without a place": (headed('{"a": {"shape": [1]}}'), "is damaged"),
    "a header without an end": (headed('{"a": {"shape": [1], "data_offsets": [0]}}'), "is damaged"),
    "a header without a shape": (headed('{"a": {"data_offsets": [0, 0]}}'), "is damaged"),
    "an index of nothing": (spread(weight_map=None), f"transformer/{DIFFUSERS}.index.json is dam"),
    "an index of folders": (spread(weight_map={"a": "."}), "/transformer is damaged"),
    "an index of no names": (spread(weight_map={"a": [], "b": 1}), "lacks transformer/1"),
    "pickles": (pickled, "has pickles in its vae, which may hold code and are not opened"),
}


@pytest.mark.parametrize(("damage", "said"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_said_in_a_sentence(
    model: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(model)
    told = checkpoint.trouble(str(model))
    assert told
    assert told.startswith(str(model))
    assert said in told
    assert told.endswith(".")
    assert "\n" not in told
    with pytest.raises(OperatorError) as refused:
        load(str(model), CPU, torch.float32)
    assert str(refused.value) == told
    assert checkpoint.numbers(str(model)).keys() in (set(), {*checkpoint.PARTS})
    assert not (model / "exploded").exists()


def test_code_beside_the_tokenizer_is_not_run(model: Path) -> None:
    (model / "tokenizer/own.py").write_text(
        f"open({str(model / 'exploded')!r}, 'w')\nclass Own: pass\n"
    )
    own = {"auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}, "tokenizer_class": "Own"}
    changed("tokenizer/tokenizer_config.json", **own)(model)
    with pytest.raises(OperatorError, match="contains custom code"):
        load(str(model), CPU, torch.float32)
    assert not (model / "exploded").exists()


def test_a_part_of_a_spread_out_model_is_missed(model: Path) -> None:
    sharded(model)
    next((model / "transformer").glob("*-00002-of-*")).unlink()
    told = checkpoint.trouble(str(model))
    assert told
    assert "lacks transformer/diffusion_pytorch_model-00002-of-00002.safetensors" in told


def test_weights_of_another_shape_are_refused_in_a_sentence(model: Path) -> None:
    changed("transformer/config.json", hidden_size=64, num_attention_heads=8)(model)
    with pytest.raises(OperatorError, match=f"^{model} cannot be loaded: .*\\.$"):
        load(str(model), CPU, torch.float32)


@pytest.mark.parametrize("part", checkpoint.PARTS)
def test_a_part_that_lacks_a_weight_is_refused_with_its_name(model: Path, part: str) -> None:
    (file,) = (model / part).glob("*.safetensors")
    weights = load_file(file)
    name = next(name for name in sorted(weights) if not name.startswith("encoder."))
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(OperatorError) as refused:
        load(str(model), CPU, torch.float32)
    assert f"its {part} lacks {name}; fetch" in str(refused.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_with_their_name(
    model: Path, number: float
) -> None:
    file = model / "transformer" / DIFFUSERS
    weights = load_file(file)
    weights["proj_in_conv.bias"][3] = number
    save_file(weights, file)
    with pytest.raises(OperatorError, match=r"weight proj_in_conv\.bias of its transformer"):
        load(str(model), CPU, torch.float32)


def test_a_model_that_was_not_fetched_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = "ACE-Step/acestep-v15-xl-turbo-diffusers"
    assert checkpoint.trouble(name) == (
        f"The weights of {name} are not here: run `python -m bot fetch {name}`."
    )
    assert checkpoint.trouble("not a name!") is not None
