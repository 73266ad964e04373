"""What is known about each model without loading it, by the name that members use."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from bot.engine.contract import ModelCard
from bot.engine.musicgen import checkpoints


class EngineName(StrEnum):
    """The engines that can render, each with a family of models."""

    MUSICGEN = "musicgen"
    SKETCH = "sketch"


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


def _musicgen(model: str) -> ModelCard:
    licence = checkpoints.licence(model)
    return replace(
        card(checkpoints.name(model)),
        licence=licence,
        commercial=licence != checkpoints.NON_COMMERCIAL,
    )
