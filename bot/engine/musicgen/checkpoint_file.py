"""What a checkpoint's file is, without its weights.

`python -m bot.engine.musicgen.checkpoint_file NAME FILE` says it.

A process of its own, which `checkpoints` starts and may lose: the file may be anybody's. Its pickle
is read with everything that it names replaced by things that do nothing, its settings with limits
on size, depth and aliases, and all of it with limits on memory and time.
"""

import re
import resource
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bot.engine.musicgen.checkpoints import CODEC, Found
from bot.engine.musicgen.inert_pickle import (
    CODE,
    Placeholder,
    TensorPlaceholder,
    UnusableFile,
    unpack,
)

READING_MEMORY, READING_SECONDS = 1 << 30, 20
"""Bytes and seconds of work that reading a file may take."""

LARGEST_SIZE = 1 << 16
"""Of a width or a number of layers."""

MOST_SETTINGS, DEEPEST_SETTINGS, MOST_ALIASES = 1 << 18, 40, 20
"""Characters of the settings, what they nest, and references within them."""

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)

A_CODEC = "use the one that the model was trained with, such as that of facebook/musicgen-small"
EXPORT = "export it first with audiocraft.utils.export"

TEXT_ENCODERS = frozenset(
    [*(f"t5-{size}" for size in ("small", "base", "large", "3b", "11b"))]
    + [f"google/flan-t5-{size}" for size in ("small", "base", "large")]
)
"""Those whose width audiocraft knows (`T5Conditioner` in its `modules/conditioners.py`)."""

FAMILIES = {"audiogen": "an AudioGen", "jasco": "a JASCO", "compression": "a codec"}


def look(name: str, file: Path) -> Found:
    """Return what a file is that goes by the name of a language model's or a codec's."""
    try:
        package = unpack(file)
        return _codec(package) if name == CODEC else _language_model(package)
    except UnusableFile as problem:
        return Found(wrong=str(problem))
    except (zipfile.BadZipFile, OSError):
        return Found(damaged=True)


def _language_model(package: Mapping[Any, Any]) -> Found:
    names = _names(package)
    settings = _settings(package)
    _check_family(settings)
    encoder = _conditions(settings)
    seconds = _chosen(settings, "dataset.segment_duration")
    if not isinstance(seconds, int | float) or not 1 <= seconds <= 3600:
        raise UnusableFile("does not say how long its training clips were")
    _check_names(names, settings)
    return Found(text_encoder=encoder, breadth=_breadth(settings))


def _breadth(settings: DictConfig) -> int:
    """Return the width of all layers together, 0 where that is not told."""
    sizes = [_chosen(settings, f"transformer_lm.{key}") for key in ("dim", "num_layers")]
    known = all(isinstance(size, int) and 0 < size <= LARGEST_SIZE for size in sizes)
    return sizes[0] * sizes[1] if known else 0


def _codec(package: Mapping[Any, Any]) -> Found:
    reference = package.get("pretrained")
    if isinstance(reference, str):
        return Found(reference=_reference(reference))
    names, settings = _names(package), _settings(package)
    if "emb.0.weight" in names or _chosen(settings, "lm_model"):
        raise UnusableFile(f"is a language model, not a codec: {A_CODEC}")
    kind = _chosen(settings, "compression_model")
    if kind != "encodec" or not any(name.startswith("decoder.") for name in names):
        raise UnusableFile(f"is not an EnCodec, the only supported codec: {A_CODEC}")
    return Found()


def _reference(name: str) -> str:
    if name.startswith("dac_"):
        raise UnusableFile(f"refers to {name}, but EnCodec is the only supported codec")
    if not REPOSITORY.fullmatch(name) or ".." in name:
        raise UnusableFile(
            f"refers to the codec {_told(name)}, which is not a repository on the hub: copy that "
            "codec's file there instead"
        )
    return name


def _names(package: Mapping[Any, Any]) -> list[str]:
    """Return the names of the weights."""
    state = package.get("best_state")
    trained = isinstance(state, dict) and isinstance(state.get("model"), dict)
    if trained or package.get("fsdp_best_state"):
        raise UnusableFile(f"is a training checkpoint, with more than the weights: {EXPORT}")
    if isinstance(state, Placeholder):
        raise UnusableFile(CODE)
    if not isinstance(state, dict) or not state:
        if any(isinstance(each, TensorPlaceholder) for each in package.values()):
            raise UnusableFile(f"holds weights without their settings (xp.cfg): {EXPORT}")
        raise UnusableFile("is not an audiocraft checkpoint: it has no weights (best_state)")
    return [name for name in state if isinstance(name, str)]


def _settings(package: Mapping[Any, Any]) -> DictConfig:
    """Return the settings, a text or, in early releases, OmegaConf's own objects."""
    found = package.get("xp.cfg")
    if found is None:
        raise UnusableFile(f"has no settings (xp.cfg): {EXPORT}")
    try:
        if isinstance(found, str):
            _check_limits(found)
        else:
            found = _plain(found, DEEPEST_SETTINGS)
        settings = OmegaConf.create(found)
        if not isinstance(settings, DictConfig):
            raise TypeError("the settings are no mapping")
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError) as error:
        raise UnusableFile("has settings (xp.cfg) that cannot be read") from error
    return settings


def _check_limits(text: str) -> None:
    """Raise ValueError or YAMLError for what could take its reader's time, memory or stack."""
    if len(text) > MOST_SETTINGS:
        raise ValueError("the settings are too long")
    depth = aliases = 0
    for event in yaml.parse(text):  # one at a time, and before anything is made of them
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > DEEPEST_SETTINGS or aliases > MOST_ALIASES:
            raise ValueError("the settings are too deep, or refer to themselves too often")


def _plain(node: object, depth: int) -> Any:  # noqa: ANN401
    """Return what a pickled node of OmegaConf holds; raise ValueError for one too deep."""
    if not depth:
        raise ValueError("the settings are too deep")
    if isinstance(node, Placeholder):
        state = node.state if isinstance(node.state, dict) else {}
        return _plain(state.get("_content", state.get("_val")), depth - 1)
    if isinstance(node, dict):
        return {key: _plain(value, depth - 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, depth - 1) for value in node]
    return node


def _chosen(settings: DictConfig, key: str) -> Any:  # noqa: ANN401
    """Return what stands under a key, with all that it refers to; None where nothing does."""
    try:
        found = OmegaConf.select(settings, key)
        if isinstance(found, DictConfig | ListConfig):
            return OmegaConf.to_container(found, resolve=True)
    except (OmegaConfBaseException, RecursionError) as error:
        raise UnusableFile(f"has settings that refer to something missing ({key})") from error
    return found


def _check_family(settings: DictConfig) -> None:
    kind, solver = _chosen(settings, "lm_model"), _chosen(settings, "solver")
    if not kind and _chosen(settings, "compression_model"):
        raise UnusableFile("is a codec, not a language model")
    if "magnet" in f"{kind} {solver}":
        raise UnusableFile("belongs to a MAGNeT, and only MusicGen is supported")
    if solver not in (None, "musicgen"):
        family = FAMILIES.get(str(solver), f"a {_told(solver)}")
        raise UnusableFile(f"belongs to {family}, and only MusicGen is supported")


def _conditions(settings: DictConfig) -> str | None:
    """Return the text encoder's name; raise UnusableFile for what needs more."""
    found = _chosen(settings, "conditioners")
    conditions = {str(name): how for name, how in (found or {}).items() if name != "args"}
    kinds = {name: how.get("model") for name, how in conditions.items() if isinstance(how, dict)}
    if "style" in kinds.values():
        raise UnusableFile(
            "belongs to a MusicGen-Style: it needs a style besides the text, which is not supported"
        )
    if others := sorted(conditions.keys() - {"description", "self_wav"}):
        listed = ", ".join(map(_told, others))
        raise UnusableFile(f"needs {listed} besides the text, which is not supported")
    if kinds.get("description") != "t5" or kinds.get("self_wav", "chroma_stem") != "chroma_stem":
        raise UnusableFile("is not conditioned on text through a T5, the only way supported")
    reads = conditions["description"].get("t5") or {}
    if reads.get("normalize_text"):
        raise UnusableFile(
            "needs its text normalised (normalize_text), for which spaCy would download a model of "
            "its own: that is not supported"
        )
    name = reads.get("name")
    if name not in TEXT_ENCODERS:
        raise UnusableFile(f"needs the text encoder {_told(name)}, which audiocraft does not know")
    return str(name)


def _check_names(names: Iterable[str], settings: DictConfig) -> None:
    known = set(names)
    if adapters := sorted(name for name in known if "lora" in name.lower()):
        raise UnusableFile(
            f"holds adapters beside the weights ({_told(adapters[0])}): merge them first"
        )
    first = "emb.0.weight"
    if first not in known:
        prefixed = [name.removesuffix(first) for name in known if name.endswith(f".{first}")]
        if prefixed:
            raise UnusableFile(
                f"has weights whose names begin with {_told(prefixed[0])}: save it without that"
            )
    if lacking := [name for name in _expected(settings) if name not in known]:
        listed = ", ".join(lacking[:3]) + (" and more" if len(lacking) > 3 else "")
        raise UnusableFile(f"lacks weights that its settings call for: {listed}")


def _expected(settings: DictConfig) -> list[str]:
    """Return the names of the weights at both ends of every stack."""
    books, layers = (_chosen(settings, f"transformer_lm.{key}") for key in ("n_q", "num_layers"))
    if not all(isinstance(number, int) and 1 <= number <= 1000 for number in (books, layers)):
        raise UnusableFile("does not say how many codebooks and layers it has")
    expected = [f"{part}.{book}.weight" for part in ("emb", "linears") for book in range(books)]
    expected += [f"transformer.layers.{layer}.linear1.weight" for layer in range(layers)]
    if _chosen(settings, "transformer_lm.norm_first"):
        expected.append("out_norm.weight")
    return expected


def _told(name: object) -> str:
    """Return a name that a file gives, short and harmless."""
    return "".join(letter for letter in str(name)[:60] if letter.isprintable())


def main(arguments: list[str]) -> None:
    """Write what a file is, as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (READING_MEMORY, READING_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (READING_SECONDS, READING_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a file that crashes its reader is expected
    name, file = arguments
    sys.stdout.buffer.write(msgspec.json.encode(look(name, Path(file))))


if __name__ == "__main__":
    main(sys.argv[1:])
