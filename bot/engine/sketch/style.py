"""What the words of a prompt decide: key, tempo, metre and instruments."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bot.engine.sketch import instruments
from bot.engine.sketch.instruments import Instrument

Scale = tuple[int, ...]

MAJOR: Scale = (0, 2, 4, 5, 7, 9, 11)
MINOR: Scale = (0, 2, 3, 5, 7, 8, 10)
DORIAN: Scale = (0, 2, 3, 5, 7, 9, 10)
NOTE_NAMES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11, "h": 11}
ACCIDENTALS = {"sharp": 1, "#": 1, "flat": -1, "b": -1, None: 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the words of a prompt decide."""

    scale: Scale = MAJOR
    tonic: int = 0
    tempo: float = 104.0
    beats: int = 4
    lead: Instrument = instruments.PIANO
    chords: Instrument = instruments.PIANO
    figure: str = "arpeggio"
    drums: str = ""
    wet: float = 0.22


GENRES: dict[str, dict[str, Any]] = {
    "mozart classical sonata minuet haydn": {"figure": "alberti", "tempo": 126.0},
    "bach baroque fugue harpsichord": {
        "lead": instruments.HARPSICHORD,
        "chords": instruments.HARPSICHORD,
        "figure": "arpeggio",
        "tempo": 108.0,
    },
    "orchestra orchestral symphony cinematic epic film": {
        "lead": instruments.BRASS,
        "chords": instruments.STRINGS,
        "figure": "block",
        "wet": 0.4,
    },
    "strings violin cello quartet": {"lead": instruments.STRINGS, "chords": instruments.STRINGS},
    "flute pastoral": {
        "lead": instruments.FLUTE,
        "chords": instruments.STRINGS,
        "figure": "arpeggio",
    },
    "clarinet klezmer": {"lead": instruments.CLARINET, "figure": "offbeat"},
    "organ church choir hymn": {
        "lead": instruments.ORGAN,
        "chords": instruments.ORGAN,
        "figure": "block",
        "tempo": 84.0,
        "wet": 0.5,
    },
    "guitar folk acoustic country": {"lead": instruments.GUITAR, "chords": instruments.GUITAR},
    "bell bells musicbox christmas glockenspiel": {"lead": instruments.BELL, "wet": 0.35},
    "ambient drone calm dream dreamy space meditation": {
        "lead": instruments.BELL,
        "chords": instruments.PAD,
        "figure": "block",
        "tempo": 66.0,
        "wet": 0.5,
    },
    "jazz swing blues": {"scale": DORIAN, "lead": instruments.CLARINET, "drums": "swing"},
    "lofi lo-fi chill chillhop hiphop": {"scale": DORIAN, "tempo": 78.0, "drums": "rock"},
    "rock metal punk": {
        "lead": instruments.SYNTH,
        "chords": instruments.GUITAR,
        "figure": "offbeat",
        "drums": "rock",
        "tempo": 132.0,
    },
    "techno house dance edm trance disco": {
        "lead": instruments.SYNTH,
        "chords": instruments.SYNTH,
        "drums": "four",
        "figure": "offbeat",
        "tempo": 126.0,
    },
    "synth synthwave 80s retro chiptune electronic": {
        "lead": instruments.SYNTH,
        "chords": instruments.PAD,
        "drums": "rock",
        "tempo": 112.0,
    },
    "drums drum percussion beat": {"drums": "rock"},
    "piano": {"lead": instruments.PIANO, "chords": instruments.PIANO},
    "waltz ballroom": {"beats": 3, "figure": "offbeat", "tempo": 150.0},
    "march": {"tempo": 116.0, "drums": "rock", "lead": instruments.BRASS},
    "sad dark melancholy melancholic lonely tragic minor requiem night gloomy": {"scale": MINOR},
    "happy joyful bright cheerful major sunny playful": {"scale": MAJOR},
    "dorian medieval celtic": {"scale": DORIAN},
    "slow adagio largo lullaby ballad": {"tempo": 69.0},
    "fast allegro presto energetic upbeat": {"tempo": 152.0},
}


def style(prompt: str, random: np.random.Generator) -> Style:
    """Return what the words ask for; the rest is drawn."""
    words = re.findall(r"[a-z0-9#-]+", prompt.casefold())
    drawn = Style(
        scale=(MAJOR, MINOR)[int(random.random() < 0.35)],
        tonic=int(random.integers(12)),
        tempo=float(random.integers(84, 132)),
        lead=(instruments.PIANO, instruments.FLUTE, instruments.CLARINET, instruments.BELL)[
            int(random.integers(4))
        ],
    )
    for names, changes in GENRES.items():
        if set(names.split()) & set(words):
            drawn = replace(drawn, **changes)
    return replace(drawn, **_key(prompt))


def _key(prompt: str) -> dict[str, Any]:
    found = re.search(
        r"\b([a-h])(?:[ -]?(sharp|flat|#|b))? (major|minor|dorian)\b", prompt.casefold()
    )
    if not found:
        return {}
    name, accidental, mode = found.groups()
    scale = {"major": MAJOR, "minor": MINOR, "dorian": DORIAN}[mode]
    return {"tonic": (NOTE_NAMES[name] + ACCIDENTALS[accidental]) % 12, "scale": scale}
