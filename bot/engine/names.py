"""What members call a model, and its family: by its repository or folder, and by that name too.

No other module compares the name of a family or of a model.
"""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any


class Family(StrEnum):
    """Models that are loaded and asked in the same way."""

    MUSICGEN = "musicgen"
    ACESTEP = "acestep"
    SKETCH = "sketch"


ACESTEP_PLACE = re.compile(r"^(ace-?step|ace(?=-|$))-?(v?1\.?5)?-?")
"""What the names of ACE-Step's repositories and folders begin with."""

TURBO, BASE, SFT = "turbo", "base", "sft"
"""The kinds of ACE-Step; only the first is distilled, with its guidance in it."""


def family(model: str) -> Family:
    """Return the family of a repository or folder, from its name or its index."""
    if Path(model).is_dir():
        pipeline = _read(Path(model), "model_index.json").get("_class_name")
        return Family.ACESTEP if pipeline == "AceStepPipeline" else Family.MUSICGEN
    owner = model.casefold().partition("/")[0]
    return Family.ACESTEP if owner == "ace-step" else Family.MUSICGEN


def family_of(name: str) -> Family:
    """Return the family of a model by the name that members use."""
    if name == Family.SKETCH:
        return Family.SKETCH
    return Family.ACESTEP if name.partition("-")[0] == "ace" else Family.MUSICGEN


def is_turbo(name: str) -> bool:
    """Whether an ACE-Step is a turbo one, by the name that members use."""
    kinds = [word for word in name.split("-") if word in (TURBO, BASE, SFT)]
    return not kinds or kinds[-1] == TURBO


def name(model: str) -> str:
    """Return a model's short name, such as stereo-large for facebook/musicgen-stereo-large.

    That of an ACE-Step is ace, or begins with `ace-`, and no other does: a model's family is known
    by its short name, and so is whether it is a turbo one.
    """
    last = Path(model).resolve().name if Path(model).is_dir() else model.rpartition("/")[2]
    last = "-".join(last.casefold().split())
    if family(model) is Family.ACESTEP:
        return _acestep(ACESTEP_PLACE.sub("", last).removesuffix("-diffusers"), model)
    short = last.removeprefix("musicgen-") or "model"
    return short if family_of(short) is Family.MUSICGEN else f"musicgen-{short}"


def _acestep(rest: str, model: str) -> str:
    short = f"ace-{rest}" if rest else "ace"
    turbo = _read(Path(model), "transformer/config.json").get("is_turbo")
    if turbo is None or bool(turbo) is is_turbo(short):
        return short
    return f"{short}-{TURBO if turbo else BASE}"


def _read(folder: Path, file: str) -> dict[str, Any]:
    """Return what a file of JSON in a folder says; nothing if it cannot be read."""
    try:
        found = json.loads((folder / file).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
