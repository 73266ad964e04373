"""Brings the 2B model's repository into diffusers' layout.

`python -m bot.engine.acestep.conversion SOURCE TARGET` does it in a process of its own, for torch
has no place in that of the bot, and says on stdout what is wrong. Only safetensors are read, and a
file of torch's without its code. Which tensors go where is as in diffusers'
`scripts/convert_ace_step_to_diffusers.py`; those of the audio tokenizer, which covers of other
music need, stay behind.
"""

import errno
import inspect
import json
import os
import pickle
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bot.engine.acestep import checkpoint
from bot.engine.acestep.checkpoint import INDEX, PARTS, PIPELINE
from bot.engine.acestep.fetching import CODEC_FOLDER, MODEL_FOLDER, SILENCE_FILE, TEXT_FOLDER
from bot.errors import OperatorError

if TYPE_CHECKING:
    from torch.nn import Module

PART_OF = {
    "decoder.": "transformer",
    "encoder.": "condition_encoder",
    "null_condition_emb": "condition_encoder",
    "tokenizer.": None,
    "detokenizer.": None,
}
"""The part that a tensor goes to, by how its name begins; None for those that nobody needs here."""

RENAMED = {"proj_in.1.": "proj_in_conv.", "proj_out.1.": "proj_out_conv."}

SCHEDULER = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1,
    "shift": 1.0,
}
"""As the pipeline wants it (`AceStepPipeline` in diffusers): its times are from 0 to 1."""


def convert(source: Path, target: Path) -> None:
    """Write a repository that is on disk to `target`, all of it or nothing; raise OperatorError."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what an earlier run left when it was cut off
    try:
        _write(source, part)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        why = "the disk is full" if full else error.strerror or error
        raise OperatorError(f"{target} cannot be written: {why}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(source: Path, target: Path) -> None:
    settings = _settings(source / MODEL_FOLDER / "config.json")
    _split(source / MODEL_FOLDER, target, settings)
    _adopt(source / CODEC_FOLDER, target / "vae")
    _adopt(source / TEXT_FOLDER, target / "text_encoder")
    (target / "tokenizer").mkdir()
    for name in checkpoint.TOKENIZER_FILES:
        with suppress(FileNotFoundError):
            (target / "text_encoder" / name).rename(target / "tokenizer" / name)
    text = _settings(target / "text_encoder/config.json")
    text.pop("auto_map", None)  # where its own code would be
    _say(target / "text_encoder/config.json", text)
    _say(target / "scheduler/scheduler_config.json", SCHEDULER)
    libraries = dict.fromkeys(PARTS, "diffusers") | {"text_encoder": "transformers"}
    _say(
        target / INDEX,
        {
            "_class_name": PIPELINE,
            **{name: [libraries[name], kind] for name, kind in PARTS.items()},
            "scheduler": ["diffusers", SCHEDULER["_class_name"]],
            "tokenizer": ["transformers", "Qwen2TokenizerFast"],
        },
    )
    if found := checkpoint.trouble(str(target)):
        raise OperatorError(found.replace(str(target), str(source)))


def _split(source: Path, target: Path, settings: Mapping[str, Any]) -> None:
    """Write the transformer and the condition encoder, each with what is its own of the weights."""
    from diffusers import AceStepTransformer1DModel
    from diffusers.pipelines.ace_step import AceStepConditionEncoder
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    kinds = {"transformer": AceStepTransformer1DModel, "condition_encoder": AceStepConditionEncoder}
    file = source / "model.safetensors"
    silence = _silence(source / SILENCE_FILE)
    try:
        with safe_open(file, framework="pt") as weights:
            names = _sorted(file, weights.keys())
            for part, kind in kinds.items():
                own = {new: weights.get_tensor(old) for new, old in names[part].items()}
                if part == "condition_encoder":
                    own["silence_latent"] = silence
                model = _empty(kind, settings)
                _compare(file, model, own)
                model.save_config(target / part)
                save_file(own, target / part / checkpoint.WEIGHTS[0], metadata={"format": "pt"})
    except (SafetensorError, FileNotFoundError) as error:
        raise OperatorError(f"{file} is missing, damaged or cut short: fetch it again.") from error


def _sorted(file: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the tensors of each part: their names there, and in the file."""
    found: dict[str, dict[str, str]] = {part: {} for part in PART_OF.values() if part}
    for name in names:
        begun = next((begun for begun in PART_OF if name.startswith(begun)), None)
        if begun is None:
            raise OperatorError(f"{file} holds {name}, which is in no ACE-Step that is known here.")
        if part := PART_OF[begun]:
            own = name.removeprefix(begun) or name
            for old, new in RENAMED.items():
                own = new + own.removeprefix(old) if own.startswith(old) else own
            found[part][own] = name
    return found


def _empty(kind: type["Module"], settings: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a part without memory for its weights."""
    known = set(inspect.signature(kind).parameters)
    if "num_hidden_layers" not in known:
        known.discard("layer_types")  # they are the transformer's
    with torch.device("meta"):
        return kind(**{name: value for name, value in settings.items() if name in known})


def _compare(file: Path, model: "Module", found: Mapping[str, torch.Tensor]) -> None:
    """Raise OperatorError for tensors that a part lacks or does not know, or of another shape."""
    known = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    if lacks := sorted(known.keys() - shapes):
        raise OperatorError(f"{file} lacks {lacks[0]}, and {len(lacks)} in all.")
    if unknown := sorted(shapes.keys() - known):
        raise OperatorError(f"{file} holds {unknown[0]}, which is in no ACE-Step known here.")
    for name, shape in shapes.items():
        if shape != known[name]:
            raise OperatorError(f"{file} holds {name} as {list(shape)}, not {list(known[name])}.")


def _silence(file: Path) -> torch.Tensor:
    """Return what silence is in latents, [1, frames, channels]; the file has channels first."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise OperatorError(f"{file} is missing: fetch it again.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise OperatorError(
            f"{file} was not opened: it holds code besides numbers, or is damaged."
        ) from error
    if not isinstance(found, torch.Tensor) or found.ndim != 3:
        raise OperatorError(f"{file} does not hold what silence is.")
    return found.transpose(1, 2).contiguous()


def _adopt(source: Path, target: Path) -> None:
    """Take over a folder's files; they take no room twice where the disk can help it."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        whole = file.resolve()
        if not whole.is_file():
            continue
        if file.suffix == ".json":  # some are changed
            shutil.copyfile(whole, target / file.name)
            continue
        try:
            os.link(whole, target / file.name)
        except OSError:
            shutil.copyfile(whole, target / file.name)


def _settings(file: Path) -> dict[str, Any]:
    try:
        return checkpoint.settings(file.parent, file.name)
    except checkpoint.Unfit as problem:
        raise OperatorError(f"{file.parent} {problem}.") from None


def _say(file: Path, settings: Mapping[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(settings, indent=2))


if __name__ == "__main__":
    try:
        convert(*map(Path, sys.argv[1:]))
    except OperatorError as error:
        sys.stdout.write(f"{error}\n")
        sys.exit(1)
