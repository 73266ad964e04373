"""What an ACE-Step consists of on disk, and what is wrong with it; torch stays out.

A model is a folder in diffusers' layout, of the hub's cache or anybody's: a folder a part, with its
settings as JSON and its weights as safetensors. Nothing else is read: no pickles, no code.
"""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bot.engine import hub

INDEX = "model_index.json"
PIPELINE = "AceStepPipeline"

PARTS = {
    "transformer": "AceStepTransformer1DModel",
    "condition_encoder": "AceStepConditionEncoder",
    "vae": "AutoencoderOobleck",
    "text_encoder": "Qwen3Model",
}
"""The parts that have weights, with their classes."""

BARE = {"Qwen3ForCausalLM": "Qwen3Model"}
"""Which part of another class is loaded: Qwen3-Embedding-0.6B is published with the head's name."""

SETTINGS = {
    "scheduler": ("scheduler_config.json",),
    "tokenizer": ("tokenizer_config.json", "tokenizer.json"),
}
"""Those that have none, with their files."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
"""Of which it may have some."""

ORIGINAL = "ACE-Step/Ace-Step1.5"
"""The repository of the 2B model, which is not in diffusers' layout."""

WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")
PICKLE_FILES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors file's header at most, by the format's own rule."""


class Unfit(Exception):
    """What is wrong with a model, as the end of a sentence that begins with its name."""


def trouble(model: str) -> str | None:
    """Return a sentence on what keeps a model from being loaded, None if nothing does."""
    found = folder(model)
    if found is None:
        if Path(model).is_dir():
            return f"{model} is no ACE-Step: it has no {INDEX}."
        return f"The weights of {model} are not here: run `python -m bot fetch {model}`."
    try:
        _check(found)
    except Unfit as problem:
        return f"{model} {problem}."
    return None


def folder(model: str) -> Path | None:
    """Return the folder of a model that is on disk, None if it is not."""
    if not Path(model).is_dir() and (made := converted(model)):
        return made if made.is_dir() else None
    index = hub.on_disk(model, INDEX)
    return index and index.parent


def converted(model: str) -> Path | None:
    """Return where a model lies once it is converted; None for one that need not be."""
    from huggingface_hub import constants

    if model.casefold() != ORIGINAL.casefold():
        return None
    return Path(constants.HF_HUB_CACHE) / f"converted--{ORIGINAL.replace('/', '--')}"


def numbers(model: str) -> dict[str, int]:
    """Return how many numbers the weights of each part are; nothing for what cannot be read."""
    found = folder(model)
    try:
        return {name: _numbers(found / name) for name in PARTS} if found else {}
    except Unfit:
        return {}


def settings(folder: Path, name: str) -> dict[str, Any]:
    """Return what a file of settings says; raise Unfit for one that says nothing."""
    file = folder / name
    where = f"{folder.name}/{name}" if name != INDEX else name
    try:
        said = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise Unfit(f"lacks {where}: fetch or copy it again") from None
    except (OSError, ValueError, RecursionError):
        raise Unfit(f"cannot be read: its {where} is damaged") from None
    if not isinstance(said, dict):
        raise Unfit(f"cannot be read: its {where} is damaged")
    return said


def check_index(folder: Path) -> None:
    """Raise Unfit for a folder of another pipeline."""
    kind = settings(folder, INDEX).get("_class_name")
    if kind != PIPELINE:
        raise Unfit(f"is no ACE-Step 1.5: its {INDEX} says that it is {_a(kind)}")


def _check(folder: Path) -> None:
    check_index(folder)
    for name, files in SETTINGS.items():
        for file in files:
            settings(folder / name, file)
    for name, expected in PARTS.items():
        said = settings(folder / name, "config.json")
        found = said.get("_class_name") or _first(said.get("architectures"))
        if BARE.get(str(found), found) != expected:
            raise Unfit(f"is no ACE-Step 1.5: its {name} is {_a(found)}, not {_a(expected)}")
        _numbers(folder / name)


def _first(names: object) -> object:
    return names[0] if isinstance(names, list) and names else None


def _a(kind: object) -> str:
    return f"a {kind}" if isinstance(kind, str) else "nothing that has a name"


def _numbers(part: Path) -> int:
    """Return how many numbers a part's weights are; raise Unfit for weights that are not whole."""
    return sum(math.prod(each.shape) for file in _files(part) for each in header(file))


def _files(part: Path) -> Iterator[Path]:
    for name in WEIGHTS:
        if (part / name).is_file():
            yield part / name
            return
        if (part / f"{name}.index.json").is_file():
            places = settings(part, f"{name}.index.json").get("weight_map")
            if not isinstance(places, dict):
                raise Unfit(f"cannot be read: its {part.name}/{name}.index.json is damaged")
            yield from (part / file for file in sorted(set(map(str, places.values()))))
            return
    if any(file for kind in PICKLE_FILES for file in part.glob(kind)):
        raise Unfit(
            f"has pickles in its {part.name}, which may hold code and are not opened: use "
            "the same weights as safetensors"
        )
    raise Unfit(f"lacks the weights of its {part.name}: fetch or copy them again")


class Tensor(msgspec.Struct, frozen=True):
    """What a safetensors file says of a tensor: its shape, and its bytes from the header on."""

    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def header(file: Path) -> list[Tensor]:
    """Return what a safetensors file says of its tensors; raise Unfit if it does not hold them."""
    where = f"{file.parent.name}/{file.name}"
    damaged = Unfit(f"cannot be read: its {where} is damaged or cut short; fetch or copy it again")
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > LONGEST_HEADER:
                raise damaged
            said = msgspec.json.decode(opened.read(length), type=dict[str, msgspec.Raw])
            said.pop("__metadata__", None)
            tensors = [msgspec.json.decode(each, type=Tensor) for each in said.values()]
            end = max((each.data_offsets[1] for each in tensors), default=0)
            if file.stat().st_size != 8 + length + end:
                raise damaged
    except FileNotFoundError:
        raise Unfit(f"lacks {where}: fetch or copy it again") from None
    except (OSError, ValueError, struct.error, RecursionError):
        raise damaged from None
    return tensors
