"""Which weights a model needs, whether they are on disk, and how to get them; torch stays out.

A model is three things (audiocraft, `models/loaders.py`): the language model, the codec, which may
be a reference to another repository, and the T5 that the language model's settings name. What a
checkpoint says of the other two is read from its pickle without unpickling it.
"""

import errno
import importlib.util
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

NON_COMMERCIAL = "CC-BY-NC 4.0 (no commercial use)"

PACKAGES = ("audiocraft", "huggingface_hub", "omegaconf", "torch", "transformers", "xformers")

LANGUAGE_MODEL = "state_dict.bin"
CODEC = "compression_state_dict.bin"
TEXT_ENCODER = "t5-base"

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZERS = ("tokenizer.json", "spiece.model")


class FetchError(Exception):
    """A download failed; its text is one sentence for the terminal."""


def installed() -> bool:
    """Return whether MusicGen's packages can be imported, without importing them."""
    return all(importlib.util.find_spec(name) for name in PACKAGES)


def name(model: str) -> str:
    """Return a model's short name, such as stereo-large for facebook/musicgen-stereo-large."""
    last = Path(model).resolve().name if Path(model).is_dir() else model.rpartition("/")[2]
    return "-".join(last.casefold().removeprefix("musicgen-").split()) or "model"


def licence(model: str) -> str | None:
    """Return the licence of a model's weights, None where it is not known to this program.

    Source: the model cards of facebook/musicgen-*.
    """
    return NON_COMMERCIAL if model.casefold().startswith("facebook/musicgen-") else None


def missing(model: str) -> list[str]:
    """Return what a repository of the hub, or a folder, lacks on disk; [] if it can be loaded."""
    lacks = []
    for what, name in (("language model", LANGUAGE_MODEL), ("codec", CODEC)):
        if not (file := _file(model, name)):
            lacks.append(f"the {what} ({name} of {model})")
        elif not zipfile.is_zipfile(file):
            lacks.append(f"a sound {what} ({name} of {model} is damaged)")
    lacks += [f"the {what} {name}" for what, name in _others(model) if not _complete(name)]
    return lacks


def language_model(model: str) -> Path:
    """Return the file of a language model that is on disk."""
    file = _file(model, LANGUAGE_MODEL)
    if file is None:
        raise FileNotFoundError(f"{LANGUAGE_MODEL} of {model}")
    return file


def sizes(model: str) -> tuple[int, int]:
    """Return the bytes on disk of a model's language model and codec, 0 for what is not there."""
    found = (_file(model, name) for name in (LANGUAGE_MODEL, CODEC))
    lm, codec = (file.stat().st_size if file else 0 for file in found)
    return lm, codec


def conditions(model: str) -> set[str]:
    """Return what a model on disk is steered by: {"description"} if words alone do.

    Empty if the checkpoint does not tell.
    """
    from omegaconf import OmegaConf

    found = OmegaConf.select(_settings(model), "conditioners") or {}
    return {str(name) for name in found} - {"args"}


def fetch(model: str) -> None:
    """Download what `missing` names, with progress on stderr; raise FetchError if that fails."""
    for name in (LANGUAGE_MODEL, CODEC):
        with _in_a_sentence(model, name):
            _fetch_file(model, name)
    for _, repository in _others(model):
        with _in_a_sentence(repository, "config.json"):
            _fetch_transformer(repository)


def _fetch_file(model: str, name: str) -> None:
    from huggingface_hub import hf_hub_download

    file = _file(model, name)
    if file and zipfile.is_zipfile(file):
        return
    if Path(model).is_dir():
        raise FetchError(f"{name} is missing or damaged in your folder {model}: copy it there.")
    if file:  # the hub's library takes what is there for sound
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
    from omegaconf import OmegaConf

    codec = _file(model, CODEC)
    reference = _string(codec, "pretrained") if codec else None
    if reference and not Path(reference).exists():
        yield "codec", reference
    name = OmegaConf.select(_settings(model), "conditioners.description.t5.name")
    yield "text encoder", name or TEXT_ENCODER


def _complete(repository: str) -> bool:
    """Return whether transformers can load a repository from disk."""
    needs = [("config.json",), SAFETENSORS + PICKLES]
    if "t5" in repository:
        needs.append(TOKENIZERS)
    return all(any(_file(repository, name) for name in names) for names in needs)


def _file(model: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(model).is_dir():
        found = Path(model) / name
        return found if found.is_file() else None
    try:
        cached = try_to_load_from_cache(model, name)
    except HFValidationError:  # a folder that does not exist is no repository either
        return None
    return Path(cached) if isinstance(cached, str) and Path(cached).is_file() else None


def _settings(model: str) -> "DictConfig | ListConfig":
    from omegaconf import OmegaConf
    from yaml import YAMLError  # type: ignore[import-untyped]

    file = _file(model, LANGUAGE_MODEL)
    text = _string(file, "xp.cfg") if file else None
    try:
        return OmegaConf.create(text or "{}")
    except YAMLError:
        return OmegaConf.create()


def _string(file: Path, key: str) -> str | None:
    """Return the string under `key` in a file of torch.save; None if there is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            operations = pickletools.genops(archive.read(name))
            pushed = ((op.name, arg) for op, arg, _ in operations if "PUT" not in op.name)
            next(arg for _, arg in pushed if arg == key)
            operation, value = next(pushed)
    except (zipfile.BadZipFile, StopIteration, ValueError):
        return None
    return str(value) if "UNICODE" in operation else None


@contextmanager
def _in_a_sentence(repository: str, name: str) -> Iterator[None]:
    """Turn whatever a download raises into a FetchError."""
    from huggingface_hub import constants, errors

    away = f"The hub cannot be reached at {constants.ENDPOINT}: {repository} was not downloaded."
    if constants.HF_HUB_OFFLINE:
        away = f"HF_HUB_OFFLINE is set: unset it to download {repository}."
    try:
        yield
    except errors.HFValidationError as error:
        raise FetchError(f"{repository} is neither a folder nor a name on the hub.") from error
    except errors.RepositoryNotFoundError as error:
        raise FetchError(
            f"The hub shows no {repository}: it does not exist or wants a login (`hf auth login`)."
        ) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise FetchError(away) from error
    except errors.EntryNotFoundError as error:
        raise FetchError(f"{repository} is no such model: it has no {name}.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise FetchError(f"The hub answered {status} when asked for {repository}.") from error
    except errors.HTTPError as error:  # type: ignore[attr-defined]  # httpx or its successor
        raise FetchError(away) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC
        why = "the disk is full" if full else error.strerror or error
        raise FetchError(f"{repository} cannot be written: {why}.") from error
    except RuntimeError as error:  # the hub's own transfer library, hf_xet
        raise FetchError(f"The download of {repository} failed: {error}") from error
