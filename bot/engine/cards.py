"""What is known about each model without loading it, by the name that members use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from bot.engine import names
from bot.engine.licences import CC_BY_NC, NO_WEIGHTS, UNKNOWN_LICENCE, Licence, Sale, licence
from bot.engine.names import Family, family_of


class EngineName(StrEnum):
    """The engines that can render: that of all real models, and the one that stands in for them."""

    MUSICGEN = "musicgen"
    SKETCH = "sketch"


class Ability(StrEnum):
    """What a model can do besides a piece from words.

    It makes several takes of a request, goes on from a piece, lets its beginning be heard while the
    rest is made, ends early with what is made so far, and sings.
    """

    TAKES = "takes"
    EXTEND = "extend"
    PREVIEW = "preview"
    STOP_EARLY = "stop_early"
    LYRICS = "lyrics"


LONGEST_PIECE = 120
"""Seconds of the longest piece that any studio offers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionBounds:
    """The least and the most that an option may be, `whole` or with decimals; and its default."""

    least: float
    most: float
    default: float
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known about a model without loading it.

    Members choose it by `name` and read its `label` under the music. It plays `shortest` to
    `longest` seconds; a shorter piece is cut from one. The `sample_rate`, in Hz, and the `channels`
    are None where only loading tells. `options` are those that members can set. One that only
    `stands_in` for others, to try the bot, has no weights, and every tier includes it.

    One that denoises makes all of a piece at once, with what it extends, and takes one after
    another: `denoising` is the part of its usual work that its steps are, the rest is decoding.
    """

    name: str
    label: str
    family: Family
    options: Mapping[str, OptionBounds]
    abilities: frozenset[Ability]
    licence: Licence = UNKNOWN_LICENCE
    sample_rate: int | None = None
    channels: int | None = None
    shortest: int = 1
    longest: int = LONGEST_PIECE
    stands_in: bool = False
    denoising: float | None = None

    @property
    def sings(self) -> bool:
        """Whether it can be given lyrics."""
        return Ability.LYRICS in self.abilities

    @property
    def personal(self) -> bool:
        """Whether what it plays may not be sold."""
        return self.licence.sale is Sale.NO

    def complete(self, options: Mapping[str, float]) -> dict[str, float]:
        """Return the value of every option of this model: as given, or as usual."""
        return {name: options.get(name, known.default) for name, known in self.options.items()}

    def effort(self, seconds: float, before: float, options: Mapping[str, float]) -> float:
        """Return how many seconds of music cost as much as a take does, at the usual options.

        The take is of so many `seconds`, after those that it extends.
        """
        if self.denoising is None:
            return seconds
        # Guidance takes a second look at each step: with the words, and without.
        asked, usual = (
            each["steps"] * (1 + (each["guidance"] > 1))
            for each in (self.complete(options), self.complete({}))
        )
        of_usual = 1 - self.denoising + self.denoising * asked / usual
        return max(self.shortest, before + seconds) * of_usual

    def unusual(self, options: Mapping[str, float]) -> dict[str, float]:
        """Return those options that are not as usual."""
        usual = self.complete({})
        return {name: value for name, value in options.items() if value != usual.get(name)}

    def differences(
        self, sample_rate: int, channels: int, options: Mapping[str, float]
    ) -> list[str]:
        """Say in what a loaded model differs from this card, by its options' default values too."""
        compared: list[tuple[str, float | None, float | None]] = [
            ("sample rate", sample_rate, self.sample_rate or sample_rate),
            ("channels", channels, self.channels or channels),
        ]
        usual = self.complete({})
        compared += [(name, options.get(name), usual.get(name)) for name in usual | dict(options)]
        return [
            f"{name} {_or_none(found)}, not {_or_none(known)}"
            for name, found, known in compared
            if found != known
        ]


MUSICGEN_OPTIONS = {
    "guidance": OptionBounds(least=1, most=10, default=3),
    "temperature": OptionBounds(least=0.1, most=2, default=1),
    # No released checkpoint has more than 2048 tokens to draw from.
    "top_k": OptionBounds(least=1, most=2048, default=250, whole=True),
}

ACESTEP_TURBO_OPTIONS = {
    "steps": OptionBounds(least=1, most=60, default=8, whole=True),
    # A turbo model is distilled with its guidance in it: there is no other to choose.
    "guidance": OptionBounds(least=1, most=1, default=1),
}

ACESTEP_OPTIONS = {
    "steps": OptionBounds(least=1, most=60, default=30, whole=True),
    "guidance": OptionBounds(least=1, most=15, default=7),
}

KNOWN_OPTIONS = {**MUSICGEN_OPTIONS, **ACESTEP_OPTIONS}
"""Every option that some model has; its bounds depend on the model."""

OPTION_TEXTS = {
    "guidance": "How closely the music follows the prompt",
    "temperature": "How adventurous the music is",
    "top_k": "How many candidates each step chooses from",
    "steps": "How many steps the music is refined in",
}
"""What each of them does."""

SKETCH = ModelCard(
    name=Family.SKETCH,
    label="Sketch engine (not MusicGen)",
    family=Family.SKETCH,
    options=MUSICGEN_OPTIONS,
    abilities=frozenset(Ability) - {Ability.LYRICS},
    licence=NO_WEIGHTS,
    sample_rate=32_000,
    channels=1,
    stands_in=True,
)


@lru_cache(maxsize=100)  # of each piece that is shown it is asked, and names may be anybody's
def card(name: str) -> ModelCard:
    """Return the card of a model, loaded here or not, by the name that members use.

    It lacks what only its repository tells, such as the licence.
    """
    return CARDS[family_of(name)](name)


def configured(engine: EngineName, models: Sequence[str]) -> tuple[ModelCard, ...]:
    """Return the cards of an engine's models; `models` are repositories or folders."""
    return (SKETCH,) if engine is EngineName.SKETCH else tuple(map(_from_its_place, models))


def offered(cards: Sequence[ModelCard]) -> dict[str, list[OptionBounds]]:
    """Return the options that some of these models let one choose, with the bounds of each."""
    found = {
        option: [each.options[option] for each in cards if option in each.options]
        for option in KNOWN_OPTIONS
    }
    choices = {
        option: [each for each in bounds if each.least < each.most]
        for option, bounds in found.items()
    }
    return {option: bounds for option, bounds in choices.items() if bounds}


def _from_its_place(model: str) -> ModelCard:
    known = replace(card(names.name(model)), licence=licence(model))
    if known.licence is not CC_BY_NC:
        return known
    channels = 2 if known.name.startswith("stereo-") else 1
    return replace(known, sample_rate=32_000, channels=channels)


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _musicgen(name: str) -> ModelCard:
    return ModelCard(
        name=name,
        label=f"MusicGen {name}",
        family=Family.MUSICGEN,
        options=MUSICGEN_OPTIONS,
        abilities=frozenset(Ability) - {Ability.LYRICS},
    )


def _acestep(name: str) -> ModelCard:
    _, *variant = name.split("-")
    turbo = names.is_turbo(name)
    return ModelCard(
        name=name,
        label=" ".join(["ACE-Step 1.5", *variant]),
        family=Family.ACESTEP,
        options=ACESTEP_TURBO_OPTIONS if turbo else ACESTEP_OPTIONS,
        # A denoising step changes all of a piece: before the last there is nothing to be heard or
        # kept of it.
        abilities=frozenset({Ability.TAKES, Ability.EXTEND, Ability.LYRICS}),
        sample_rate=48_000,
        channels=2,
        shortest=10,
        longest=600,
        # Computed of the 2B model's operations: decoding is about as much as three steps.
        denoising=0.71 if turbo else 0.95,
    )


CARDS: Mapping[Family, Callable[[str], ModelCard]] = {
    Family.MUSICGEN: _musicgen,
    Family.ACESTEP: _acestep,
    Family.SKETCH: lambda _: SKETCH,
}
"""How a family's cards are written, from the name that members use."""
