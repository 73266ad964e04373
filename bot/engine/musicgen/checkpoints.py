"""Which weights a model needs, whether they are on disk, and how to get them; torch stays out.

A model is three things (audiocraft, `models/loaders.py`): the language model, the codec, which may
be a reference to another repository, and the T5 that the language model's settings name. What a
checkpoint says of the other two, and whether it is one, `checkpoint_file` reads in another process.
"""

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

from bot.engine import hub
from bot.engine.hub import on_disk
from bot.errors import OperatorError

log = logging.getLogger(__name__)

PACKAGES = ("audiocraft", "huggingface_hub", "omegaconf", "torch", "transformers", "xformers")

LANGUAGE_MODEL = "state_dict.bin"
CODEC = "compression_state_dict.bin"
TEXT_ENCODER = "t5-base"

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZERS = ("tokenizer.json", "spiece.model")

OTHER_FAMILIES = {
    "facebook/musicgen-style": "a MusicGen-Style, which an excerpt of music steers",
    "facebook/magnet-": "a MAGNeT",
    "facebook/audio-magnet-": "a MAGNeT",
    "facebook/audiogen-": "an AudioGen",
    "facebook/jasco-": "a JASCO",
}
"""Families with the same file names on the hub: gigabytes of them must not be fetched."""

LOOK_TIMEOUT = 120.0
"""Seconds that examining a file may take, on a busy machine."""

T5_ORIGIN = "for the model that this one was trained from; facebook/musicgen-small has one, too"
NO_HOME = (
    "MusicGen's libraries need a home folder for their files: set HOME to a folder that the bot "
    "can write to."
)


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file is: the codec that it refers to and the text encoder that it needs, or unusable.

    `breadth` is the width of all layers together, which a take's memory of the music grows with.
    """

    wrong: str | None = None
    damaged: bool = False
    reference: str | None = None
    text_encoder: str | None = None
    breadth: int = 0


def installed() -> bool:
    """Return whether MusicGen's packages can be imported, without importing them."""
    return all(importlib.util.find_spec(name) for name in PACKAGES)


def missing(model: str) -> list[str]:
    """Return what can be downloaded of a model and is not on disk.

    That is a whole repository on the hub, and what a folder refers to there.
    """
    lacks = []
    for what, name in (("language model", LANGUAGE_MODEL), ("codec", CODEC)):
        if Path(model).is_dir():
            continue
        if not (file := on_disk(model, name)):
            lacks.append(f"the {what} ({name} of {model})")
        elif _found(name, file).damaged:
            lacks.append(f"a sound {what} ({name} of {model} is damaged)")
    lacks += [f"the {what} {name}" for what, name in _others(model) if not _complete(name)]
    return lacks


def wrong(model: str) -> str | None:
    """Return a sentence on what is wrong with a model that no download fixes, None if nothing is.

    It says what the model's owner can do.
    """
    if not _at_home():
        return NO_HOME
    for name, kind in OTHER_FAMILIES.items():
        if model.startswith(name):
            return f"{model} is {kind}, and only MusicGen is supported."
    for name in (LANGUAGE_MODEL, CODEC):
        file, folder = on_disk(model, name), Path(model).is_dir()
        if file is None:
            if folder:
                return _absent(Path(model), name)
            continue
        found = _found(name, file)
        if found.wrong:
            return f"{name} of {model} {found.wrong}."
        if found.damaged and folder:
            return f"{name} of {model} is damaged: copy it again from the original."
    return None


def _at_home() -> bool:
    try:
        Path.home()
    except RuntimeError:  # a number without a name, as in a container
        return False
    return True


def trouble(model: str) -> str | None:
    """Return a sentence on what keeps a model from being loaded, None if nothing does."""
    if found := wrong(model):
        return found
    if lacks := missing(model):
        return f"MusicGen lacks {', '.join(lacks)}: run `python -m bot fetch {model}`."
    return None


def sizes(model: str) -> tuple[int, int, int]:
    """Return the bytes on disk of a model's language model, codec and T5, 0 for what is absent."""
    reader = dict(_others(model))["text encoder"]
    own = [on_disk(model, name) for name in (LANGUAGE_MODEL, CODEC)]
    found = (on_disk(reader, name) for name in SAFETENSORS + PICKLES)
    own.append(next((file for file in found if file), None))
    lm, codec, text = (file.stat().st_size if file else 0 for file in own)
    return lm, codec, text


def size(model: str) -> int:
    """Return about how many bytes a model's weights take in half precision, 0: not on disk."""
    files = (on_disk(model, name) for name in (LANGUAGE_MODEL, CODEC))
    return sum(file.stat().st_size for file in files if file)


def breadth(model: str) -> int:
    """Return the width of all layers of a model on disk together, 0 where that is not known."""
    file = on_disk(model, LANGUAGE_MODEL)
    return _found(LANGUAGE_MODEL, file).breadth if file else 0


def fetch(model: str) -> None:
    """Download what `missing` names, with progress on stderr; raise OperatorError if that fails."""
    # By its name first: no gigabytes are fetched of what cannot be used. Then by what came.
    if found := wrong(model):
        raise OperatorError(found)
    if not Path(model).is_dir():
        for name in (LANGUAGE_MODEL, CODEC):
            with hub.in_a_sentence(model, "a MusicGen model", name):
                _fetch_file(model, name)
    if found := wrong(model):
        raise OperatorError(found)
    for _, repository in _others(model):
        with hub.in_a_sentence(repository, "a MusicGen model", "config.json"):
            _fetch_transformer(repository)


def _fetch_file(model: str, name: str) -> None:
    from huggingface_hub import hf_hub_download

    file = on_disk(model, name)
    if file and not _found(name, file).damaged:
        return
    if file:  # the hub's library would trust the file that is there
        file.resolve().unlink()
        file.unlink(missing_ok=True)
    hf_hub_download(model, name)


def _fetch_transformer(repository: str) -> None:
    from huggingface_hub import list_repo_files, snapshot_download

    if _complete(repository):
        return
    names = set(list_repo_files(repository))
    weights = "model*.safetensors*" if names.intersection(SAFETENSORS) else "pytorch_model*.bin*"
    snapshot_download(
        repository, allow_patterns=["config.json", "tokenizer*.json", "spiece.model", weights]
    )


def _others(model: str) -> Iterator[tuple[str, str]]:
    """Yield the repositories that a model needs besides its own, each with what it is for."""
    codec, lm = (on_disk(model, name) for name in (CODEC, LANGUAGE_MODEL))
    reference = _found(CODEC, codec).reference if codec else None
    if reference and not Path(reference).exists():
        yield "codec", reference
    name = _found(LANGUAGE_MODEL, lm).text_encoder if lm else None
    yield "text encoder", name or TEXT_ENCODER


def _absent(folder: Path, name: str) -> str:
    """Say that a folder lacks a file, and where to get it."""
    if any((folder / other).is_file() for other in SAFETENSORS + PICKLES):
        return (
            f"{folder} holds a model in transformers' format, which is not supported: {name} is "
            "missing. Use the model in audiocraft's own format, with state_dict.bin and "
            "compression_state_dict.bin."
        )
    origin = "by audiocraft.utils.export" if name == LANGUAGE_MODEL else T5_ORIGIN
    return f"{name} is missing in your folder {folder}: copy it there, as it was written {origin}."


def _complete(repository: str) -> bool:
    """Return whether transformers can load a repository from disk."""
    needs = [("config.json",), SAFETENSORS + PICKLES]
    if "t5" in repository:
        needs.append(TOKENIZERS)
    return all(any(on_disk(repository, name) for name in names) for names in needs)


def _found(name: str, file: Path) -> Found:
    """Return what a file of this name is."""
    state = file.stat()
    return _looked(name, file, state.st_size, state.st_mtime_ns)


@lru_cache  # by size and time too: a file that was replaced is examined again
def _looked(name: str, file: Path, *_: int) -> Found:
    """Examine a file in a process of its own: it may come from anywhere and crash what reads it.

    That process gets no environment variables that the file's settings could read.
    """
    command = [sys.executable, "-m", "bot.engine.musicgen.checkpoint_file", name, str(file)]
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    path = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        told = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            check=True,
            timeout=LOOK_TIMEOUT,
            env={**kept, "PYTHONPATH": os.pathsep.join(path)},
        ).stdout
        return msgspec.json.decode(told, type=Found)
    except (subprocess.SubprocessError, msgspec.MsgspecError) as error:
        words = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        log.debug("%s cannot be read: %s; %s", file, error, words)
        if "ModuleNotFoundError" in words.rpartition("\n")[2]:  # not the file's fault
            return Found(wrong="cannot be examined: Python does not find its packages there")
        return Found(wrong="takes more memory or time to read than any checkpoint needs")
