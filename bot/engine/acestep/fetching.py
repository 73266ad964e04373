"""How an ACE-Step comes onto the disk: the files that are read, and nothing else; torch stays out.

Those in diffusers' layout are used as they are. The 2B model has one of its own, and is converted:
then it takes its room twice but for what both layouts share.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from bot.engine import hub
from bot.engine.acestep import checkpoint
from bot.engine.acestep.checkpoint import INDEX, PARTS, SETTINGS, TOKENIZER_FILES, WEIGHTS
from bot.errors import OperatorError

ACESTEP_PACKAGES = ("accelerate", "diffusers", "huggingface_hub", "safetensors", "transformers")

MODEL_FOLDER, CODEC_FOLDER, TEXT_FOLDER = "acestep-v15-turbo", "vae", "Qwen3-Embedding-0.6B"
SILENCE_FILE = "silence_latent.pt"
"""Where the 2B model's repository has what."""

SHARDS = [*WEIGHTS, *(f"{name}.index.json" for name in WEIGHTS)]
SHARDS += [name.replace(".safetensors", "-*-of-*.safetensors") for name in WEIGHTS]

DIFFUSERS_FILES = [
    INDEX,
    *(f"{part}/{name}" for part in PARTS for name in ("config.json", *SHARDS)),
]
DIFFUSERS_FILES += [f"{part}/{name}" for part, names in SETTINGS.items() for name in names]
DIFFUSERS_FILES += [f"tokenizer/{name}" for name in TOKENIZER_FILES]

ORIGINAL_FILES = [
    *(f"{MODEL_FOLDER}/{name}" for name in ("config.json", "model.safetensors", SILENCE_FILE)),
    *(f"{CODEC_FOLDER}/{name}" for name in ("config.json", *SHARDS)),
    *(f"{TEXT_FOLDER}/{name}" for name in ("config.json", *SHARDS, *TOKENIZER_FILES)),
]


def installed() -> bool:
    """Return whether ACE-Step's packages can be imported, without importing them."""
    return all(importlib.util.find_spec(name) for name in ("torch", *ACESTEP_PACKAGES))


def wrong(model: str) -> str | None:
    """Return a sentence on what is wrong that no download fixes, None if nothing is."""
    return checkpoint.trouble(model) if Path(model).is_dir() else None


def missing(model: str) -> list[str]:
    """Return what can be downloaded of a model and is not on disk."""
    if Path(model).is_dir() or not checkpoint.trouble(model):
        return []
    return ["sound weights" if checkpoint.folder(model) else "the weights"]


trouble = checkpoint.trouble


def size(model: str) -> int:
    """Return about how many bytes a model's weights take in half precision, 0: not on disk."""
    return 2 * sum(checkpoint.numbers(model).values())


def fetch(model: str) -> None:
    """Download what is missing of a model, with progress on stderr; raise OperatorError."""
    if found := wrong(model):
        raise OperatorError(found)
    if not missing(model):
        return
    if target := checkpoint.converted(model):
        _convert(_downloaded(model, ORIGINAL_FILES), target)
    else:
        _check_index(model)
        _downloaded(model, DIFFUSERS_FILES)
    if found := trouble(model):
        raise OperatorError(found)


def _check_index(model: str) -> None:
    """Raise OperatorError for a repository of something else, before gigabytes come of it."""
    from huggingface_hub import hf_hub_download

    with hub.in_a_sentence(model, "an ACE-Step in diffusers' layout", INDEX):
        file = Path(hf_hub_download(model, INDEX))
    try:
        checkpoint.check_index(file.parent)
    except checkpoint.Unfit as problem:
        raise OperatorError(f"{model} {problem}.") from None


def _downloaded(model: str, names: list[str]) -> Path:
    """Download these files, anew where one is damaged, and return the folder that they are in."""
    from huggingface_hub import snapshot_download

    with hub.in_a_sentence(model, "an ACE-Step", names[0]):
        folder = Path(snapshot_download(model, allow_patterns=names))
        if damaged := [file for file in folder.glob("*/*") if not _sound(file)]:
            for file in damaged:  # the hub's library would trust what is there
                file.resolve().unlink(missing_ok=True)
                file.unlink(missing_ok=True)
            snapshot_download(model, allow_patterns=names)
    return folder


def _sound(file: Path) -> bool:
    try:
        if file.suffix == ".safetensors":
            checkpoint.header(file)
        elif file.suffix == ".json":
            json.loads(file.read_bytes())
    except (checkpoint.Unfit, ValueError, RecursionError):
        return False
    return True


def _convert(source: Path, target: Path) -> None:
    command = [sys.executable, "-m", "bot.engine.acestep.conversion", str(source), str(target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = done.stdout.strip().rpartition("\n")[2]
        raise OperatorError(said or f"{source} could not be converted; why stands above.")
