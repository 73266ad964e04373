"""What the words of a prompt decide: key, tempo, metre and instruments."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bot.engine.sketch.instruments import (
    BELL,
    BRASS,
    CLARINET,
    FLUTE,
    GUITAR,
    HARPSICHORD,
    ORGAN,
    PAD,
    PIANO,
    STRINGS,
    SYNTH,
    Instrument,
)

Scale = tuple[int, ...]

MAJOR: Scale = (0, 2, 4, 5, 7, 9, 11)
MINOR: Scale = (0, 2, 3, 5, 7, 8, 10)
DORIAN: Scale = (0, 2, 3, 5, 7, 9, 10)

# B is called H in German, as Bach's own name is spelt.
NOTE_NAMES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11, "h": 11}
SLOWEST_TEMPO, FASTEST_TEMPO = 40.0, 240.0
"""The tempos that a prompt may name, in beats a minute."""

ACCIDENTALS = {"sharp": 1, "#": 1, "flat": -1, "b": -1, None: 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What the words of a prompt decide.

    `tonic` is in semitones from C, `tempo` in beats a minute; a bar has `beats` beats. `figure` is
    how the chords are broken, `wet` how much of the room is heard.
    """

    scale: Scale
    tonic: int
    tempo: float
    lead: Instrument
    beats: int = 4
    chords: Instrument = PIANO
    figure: str = "arpeggio"
    drums: str = ""
    wet: float = 0.22


GENRES: dict[str, dict[str, Any]] = {
    "mozart classical sonata minuet haydn": {"figure": "alberti", "tempo": 126.0},
    "bach baroque fugue harpsichord": {
        "lead": HARPSICHORD,
        "chords": HARPSICHORD,
        "figure": "arpeggio",
        "tempo": 108.0,
    },
    "orchestra orchestral symphony cinematic epic film": {
        "lead": BRASS,
        "chords": STRINGS,
        "figure": "block",
        "wet": 0.4,
    },
    "strings violin cello quartet": {"lead": STRINGS, "chords": STRINGS},
    "flute pastoral": {"lead": FLUTE, "chords": STRINGS, "figure": "arpeggio"},
    "clarinet klezmer": {"lead": CLARINET, "figure": "offbeat"},
    "organ church choir hymn": {
        "lead": ORGAN,
        "chords": ORGAN,
        "figure": "block",
        "tempo": 84.0,
        "wet": 0.5,
    },
    "guitar folk acoustic country": {"lead": GUITAR, "chords": GUITAR},
    "bell bells musicbox christmas glockenspiel": {"lead": BELL, "wet": 0.35},
    "ambient drone calm dream dreamy space meditation": {
        "lead": BELL,
        "chords": PAD,
        "figure": "block",
        "tempo": 66.0,
        "wet": 0.5,
    },
    "jazz swing blues": {"scale": DORIAN, "lead": CLARINET, "drums": "swing"},
    "lofi lo-fi chill chillhop hiphop": {"scale": DORIAN, "tempo": 78.0, "drums": "rock"},
    "rock metal punk": {
        "lead": SYNTH,
        "chords": GUITAR,
        "figure": "offbeat",
        "drums": "rock",
        "tempo": 132.0,
    },
    "techno house dance edm trance disco": {
        "lead": SYNTH,
        "chords": SYNTH,
        "drums": "four",
        "figure": "offbeat",
        "tempo": 126.0,
    },
    "synth synthwave 80s retro chiptune electronic": {
        "lead": SYNTH,
        "chords": PAD,
        "drums": "rock",
        "tempo": 112.0,
    },
    "drums drum percussion beat": {"drums": "rock"},
    "piano": {"lead": PIANO, "chords": PIANO},
    "waltz ballroom": {"beats": 3, "figure": "offbeat", "tempo": 150.0},
    "march": {"tempo": 116.0, "drums": "rock", "lead": BRASS},
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
        lead=(PIANO, FLUTE, CLARINET, BELL)[int(random.integers(4))],
    )
    for names, changes in GENRES.items():
        if set(names.split()) & set(words):
            drawn = replace(drawn, **changes)
    return replace(drawn, **_key(prompt), **_tempo(prompt))


def _key(prompt: str) -> dict[str, Any]:
    found = re.search(
        r"\b([a-h])(?:[ -]?(sharp|flat|#|b))? (major|minor|dorian)\b", prompt.casefold()
    )
    if not found:
        return {}
    name, accidental, mode = found.groups()
    scale = {"major": MAJOR, "minor": MINOR, "dorian": DORIAN}[mode]
    return {"tonic": (NOTE_NAMES[name] + ACCIDENTALS[accidental]) % 12, "scale": scale}


def _tempo(prompt: str) -> dict[str, Any]:
    found = re.search(r"\b([0-9]{2,3}) ?bpm\b", prompt.casefold())
    return {"tempo": min(max(float(found[1]), SLOWEST_TEMPO), FASTEST_TEMPO)} if found else {}
