"""What is known about each model without loading it, by the name that members use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path


class EngineName(StrEnum):
    """The engines that can render, each with a family of models."""

    MUSICGEN = "musicgen"
    SKETCH = "sketch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known about a model without loading it.

    Members choose it by `name` and read its `label` under the music. A piece has at most
    `longest` seconds; `options` are the sampling options that members can set, with the least
    and the most of each. The `licence` is that of its weights, None if unknown, which
    may rule out `commercial` use. One that only `stands_in` for others, to try the bot, has no
    weights, and every tier includes it.
    """

    name: str
    label: str
    longest: int
    options: Mapping[str, tuple[float, float]]
    licence: str | None = None
    commercial: bool = True
    stands_in: bool = False


NON_COMMERCIAL = "CC-BY-NC 4.0 (no commercial use)"

LONGEST_PIECE = 120
"""Seconds of the longest piece that any model plays."""

GUIDANCE = (1.0, 10.0)
TEMPERATURE = (0.1, 2.0)
TOP_K = (1, 2048)
"""The bounds of sampling; no released checkpoint has more than 2048 tokens to draw from."""

SAMPLING_BOUNDS = {"guidance": GUIDANCE, "temperature": TEMPERATURE, "top_k": TOP_K}
"""Every option that some model has, with its least and greatest value."""

SKETCH = ModelCard(
    name="sketch",
    label="Sketch engine (not MusicGen)",
    longest=LONGEST_PIECE,
    options=SAMPLING_BOUNDS,
    stands_in=True,
)

CARDS = {EngineName.SKETCH: (SKETCH,)}
"""Models with fixed names, by engine; a MusicGen is named after its repository or folder."""

NAMED = {card.name: card for cards in CARDS.values() for card in cards}


def card(name: str) -> ModelCard:
    """Return the card of a model, loaded here or not, without what its owner alone decides."""
    return NAMED.get(name) or ModelCard(
        name=name, label=f"MusicGen {name}", longest=LONGEST_PIECE, options=SAMPLING_BOUNDS
    )


def configured(engine: EngineName, models: Sequence[str]) -> tuple[ModelCard, ...]:
    """Return the cards of an engine's models; `models` are MusicGen's repositories or folders."""
    return CARDS.get(engine) or tuple(map(_musicgen, models))


def name(model: str) -> str:
    """Return a model's short name, such as stereo-large for facebook/musicgen-stereo-large."""
    last = Path(model).resolve().name if Path(model).is_dir() else model.rpartition("/")[2]
    return "-".join(last.casefold().removeprefix("musicgen-").split()) or "model"


def licence(model: str) -> str | None:
    """Return the licence of a model's weights, None where it is not known to this program.

    Source: the model cards of facebook/musicgen-*.
    """
    return NON_COMMERCIAL if model.casefold().startswith("facebook/musicgen-") else None


def _musicgen(model: str) -> ModelCard:
    known = licence(model)
    return replace(card(name(model)), licence=known, commercial=known != NON_COMMERCIAL)
