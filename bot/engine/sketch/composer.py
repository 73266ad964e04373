"""A small procedural composer, for trying the bot without weights.

The prompt's words choose key, tempo, metre and instruments, the seed everything else: phrases of
four bars over common progressions, a motif that returns varied, a cadence at the end.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.engine.cards import SKETCH
from bot.engine.contract import Rendering
from bot.engine.files import wav
from bot.engine.files.results import Results
from bot.engine.messages import Previewed, Progress, Ready, Render
from bot.engine.sketch import instruments
from bot.engine.sketch.instruments import RATE, Instrument, Signal
from bot.errors import JobError

HEADER_WORDS = 4
MIX_SCALE = 4096.0
"""What a mix is multiplied by to be kept; its notes sum to about 4."""

SLEEP_SECONDS = 0.05
"""How long it sleeps at a time while it pretends to work, in seconds."""

Scale = tuple[int, ...]

MAJOR: Scale = (0, 2, 4, 5, 7, 9, 11)
MINOR: Scale = (0, 2, 3, 5, 7, 8, 10)
DORIAN: Scale = (0, 2, 3, 5, 7, 9, 10)

NOTE_NAMES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11, "h": 11}
ACCIDENTALS = {"sharp": 1, "#": 1, "flat": -1, "b": -1, None: 0}

# Degrees of the scale, from 0, one chord a bar.
PROGRESSIONS: dict[Scale, tuple[Scale, ...]] = {
    MAJOR: ((0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 1, 4), (0, 2, 3, 4), (0, 3, 0, 4)),
    MINOR: ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 6, 2), (0, 5, 3, 4)),
    DORIAN: ((0, 3, 0, 3), (0, 3, 6, 0), (0, 1, 3, 0), (0, 6, 3, 0)),
}

# Where the notes of a bar's motif begin, as shares of the bar.
RHYTHMS = (
    (0, 1 / 4, 1 / 2, 3 / 4),
    (0, 3 / 8, 1 / 2, 3 / 4),
    (0, 1 / 4, 3 / 8, 1 / 2, 3 / 4),
    (0, 1 / 8, 1 / 4, 1 / 2, 5 / 8, 3 / 4),
    (0, 1 / 2, 3 / 4, 7 / 8),
    (0, 1 / 4, 3 / 4),
)


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


DRUMS = {
    "rock": {"kick": (0.0, 2.0), "snare": (1.0, 3.0), "hat": (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)},
    "four": {"kick": (0.0, 1.0, 2.0, 3.0), "snare": (1.0, 3.0), "hat": (0.5, 1.5, 2.5, 3.5)},
    "swing": {"kick": (0.0,), "snare": (2.67,), "hat": (0.0, 1.0, 1.67, 2.0, 3.0, 3.67)},
}
LOUDNESS = {"kick": 0.7, "snare": 0.35, "hat": 0.16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sound that begins `at` and lasts `beats`, both in beats; a drum has a name for a pitch."""

    at: float
    beats: float
    pitch: int | str
    velocity: float
    instrument: Instrument = instruments.PIANO


class Sketch:
    """Composes and plays; the same prompt, length and seed give the same samples."""

    def __init__(self, pace: float = 0.0, *, finishes: bool = True) -> None:
        """Pretend to need `pace` seconds of work per second of music."""
        self._pace, self._finishes = pace, finishes

    def ready(self) -> Ready:
        """Return what this engine is."""
        return Ready(
            models=(SKETCH.name,),
            device="cpu",
            precision="float64",
            slots=1,
            pace=max(self._pace, 0.05),
        )

    def step(self) -> None:
        """Do nothing: a render makes its own steps."""

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        """Compose and play each take bar by bar; see contract.Engine."""
        results, before = Results(order, RATE, finishes=self._finishes), _before(order)
        pieces = [Piece(order.prompt, order.seconds, part.seed, before) for part in order.parts]
        total, done = sum(piece.bars for piece in pieces), 0
        playing = [piece.play() for piece in pieces]
        while not (finishing() and any(piece.played - piece.before >= 1 for piece in pieces)):
            for piece, bars in zip(pieces, list(playing), strict=False):
                if next(bars, None) is None:
                    continue
                done += 1
                for _ in self._pretend(order.seconds / piece.bars):
                    yield Progress(id=order.id, done=done - 1, total=total)
                yield Progress(id=order.id, done=done, total=total)
            if results.previews_due(min(piece.played for piece in pieces)):
                for part, piece in zip(order.parts, pieces, strict=True):
                    results.previewed(part, piece.sound(piece.played)[None])
                yield Previewed(id=order.id)
            if done == total:
                break
        for part, piece in zip(order.parts, pieces, strict=True):
            if piece.played - piece.before >= 1:
                yield results.took(part, piece.sound(piece.played)[None], piece.codes())
        results.drawn()

    def _pretend(self, seconds: float) -> Iterator[None]:
        until = time.monotonic() + self._pace * seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(SLEEP_SECONDS, left))
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """A piece that another extends: the seed of its style, and its notes as they sound."""

    seed: int
    seconds: float
    mix: Signal


def _before(order: Render) -> Before | None:
    """Read what an order extends; raise JobError if that is missing.

    The codes of this engine are its mix in 16 bits, after four words that hold the seed of the
    style and the length in samples.
    """
    if order.prefix is None:
        return None
    codes = wav.read_codes(Path(order.prefix))
    if codes is None or len(codes) != 1 or codes.size < HEADER_WORDS:
        raise JobError("The music to extend is missing, or was made by another model.")
    seed, length = (int(number) for number in codes[0, :HEADER_WORDS].view("<u4"))
    mix = codes[0, HEADER_WORDS:].astype(np.float64) / MIX_SCALE
    return Before(seed=seed, seconds=length / RATE, mix=mix)


class Piece:
    """One composition of `bars` bars that fills its seconds and lets the last chord ring.

    It may follow another: then the notes of that come first, and it is in its style.
    """

    def __init__(self, prompt: str, seconds: int, seed: int, before: Before | None = None) -> None:
        self.before = before.seconds if before else 0.0
        self._seed = before.seed if before else seed
        self._style = style(prompt, _random(self._seed, prompt))
        self._random = _random(seed, prompt)
        ring = min(1.2, seconds / 6)
        bar = self._style.beats * 60 / self._style.tempo
        self.bars = max(1, round((seconds - ring) / bar))
        self._beat = (seconds - ring) / self.bars / self._style.beats
        self._start = round(self.before * RATE)
        self._mix = np.zeros(self._start + (seconds + 4) * RATE)
        if before:
            self._mix[: before.mix.size] = before.mix[: self._mix.size]
        self._whole = self.before + seconds
        self.played = self.before

    def play(self) -> Iterator[int]:
        """Play one bar at each step, and return its number from 0."""
        for bar, notes in enumerate(Composer(self._style, self.bars, self._random).bars()):
            for note in notes:
                self._add(note, bar)
            last = bar + 1 == self.bars
            bars = (bar + 1) * self._style.beats * self._beat
            self.played = self._whole if last else self.before + bars
            yield bar

    def sound(self, seconds: float) -> Signal:
        """Return the first seconds of what was played [length]."""
        cut = self._mix[: round(seconds * RATE)]
        ring = 0.03 if seconds < self._whole else 0.25
        return instruments.mastered(
            instruments.room(cut, self._style.wet), fade_out=min(ring, seconds / 4)
        )

    def codes(self) -> NDArray[np.int16]:
        """Return what another piece needs to follow this one; see `_before`."""
        length = round(self.played * RATE)
        words = np.array([self._seed, length], dtype="<u4").view(np.int16)
        mix = np.clip(np.round(self._mix * MIX_SCALE), -32768, 32767).astype(np.int16)
        return np.concatenate([words, mix])[None]

    def _add(self, note: Note, bar: int) -> None:
        if isinstance(note.pitch, str):
            sound = instruments.drum(note.pitch)
        else:
            sound = instruments.tone(note.instrument, note.pitch, round(note.beats * self._beat, 3))
        at = (bar * self._style.beats + note.at) * self._beat
        start = self._start + round(at * RATE)
        room = self._mix[start : start + sound.size]
        room += note.velocity * sound[: room.size]


class Composer:
    """Writes the bars: melody over chords over a bass, with drums where the style has them."""

    def __init__(self, style: Style, bars: int, random: np.random.Generator) -> None:
        self._style = style
        self._bars = bars
        self._random = random
        choices = PROGRESSIONS[style.scale]
        order = random.permutation(len(choices))
        self._phrases: tuple[Scale, Scale] = (choices[order[0]], choices[order[1]])
        self._rhythms = [RHYTHMS[i] for i in random.permutation(len(RHYTHMS))[:2]]
        self._contour = random.integers(-2, 3, size=8)
        self._melody = 7
        self._voices: tuple[int, int, int] | None = None
        self._dominant = False

    def bars(self) -> Iterator[list[Note]]:
        """Write one bar after the other."""
        for bar in range(self._bars):
            degree = self._degree(bar)
            self._dominant = degree == 4
            last = bar + 1 == self._bars
            notes = self._lead(bar, degree, last=last) + self._chords(degree, last=last)
            yield notes + self._bass(degree, last=last) + self._drums(bar, last=last)

    def _degree(self, bar: int) -> int:
        if bar + 1 == self._bars:
            return 0
        if bar + 2 == self._bars:
            return 4
        # Two phrases in the form A A B A.
        return self._phrases[(bar // 4) % 4 == 2][bar % 4]

    def _pitch(self, step: int, low: int) -> int:
        octave, degree = divmod(step, len(self._style.scale))
        # Tonics from G upwards lie below the middle of the keyboard, the others above it.
        tonic = self._style.tonic - 12 * (self._style.tonic > 6)
        leading = degree == 6 and self._dominant and self._style.scale is MINOR
        return low + tonic + 12 * octave + self._style.scale[degree] + leading

    def _lead(self, bar: int, degree: int, *, last: bool) -> list[Note]:
        if last:
            home = 7 if self._melody > 3 else 0
            return [self._sing(0, self._style.beats + 2, home, 0.9)]
        rhythm = self._rhythms[(bar // 2 + bar // 8) % 2]
        ends = [*rhythm[1:], 1]
        notes = []
        for index, (start, end) in enumerate(zip(rhythm, ends, strict=True)):
            self._melody = self._next(bar, index, degree, strong=start in (0, 1 / 2))
            at, length = start * self._style.beats, (end - start) * self._style.beats
            notes.append(self._sing(at, 0.95 * length, self._melody, 0.75 + 0.2 * (start == 0)))
        return notes

    def _next(self, bar: int, index: int, degree: int, *, strong: bool) -> int:
        """Follow the motif's contour, and be a note of the chord where the bar is strong."""
        move = int(self._contour[(index + 3 * (bar % 2)) % len(self._contour)])
        if self._random.random() < 0.15:
            move = -move
        target = int(np.clip(self._melody + move, 2, 13))
        if not strong:
            return target
        chord = {degree, (degree + 2) % 7, (degree + 4) % 7}
        return min(range(1, 15), key=lambda step: (step % 7 not in chord, abs(step - target)))

    def _sing(self, at: float, beats: float, step: int, velocity: float) -> Note:
        return Note(
            at=at,
            beats=beats,
            pitch=self._pitch(step, 60),
            velocity=0.55 * velocity,
            instrument=self._style.lead,
        )

    def _chords(self, degree: int, *, last: bool) -> list[Note]:
        low, middle, high = whole = self._voiced(degree)
        beats, figure = self._style.beats, self._style.figure
        if last or figure == "block":
            return [self._accompany(0, beats + 2 * last, pitch, 0.24) for pitch in whole]
        if figure == "offbeat":
            hits = [(beat, pitch) for beat in range(1, beats) for pitch in whole]
            return [self._accompany(beat, 0.6, pitch, 0.22) for beat, pitch in hits]
        cycle = (low, high, middle, high) if figure == "alberti" else (low, middle, high, middle)
        eighths = range(2 * beats)
        return [self._accompany(i / 2, 0.8, cycle[i % 4], 0.3) for i in eighths]

    def _voiced(self, degree: int) -> tuple[int, int, int]:
        """Return the chord's three pitches, as near to the last chord's as they can be."""
        inversions = []
        for lowered in range(4):
            steps = [degree + 2 * i - 7 * (i >= 3 - lowered) for i in range(3)]
            low, middle, high = sorted(self._pitch(step, 60) for step in steps)
            inversions.append((low, middle, high))
        centre = self._voices or (53, 57, 62)
        self._voices = min(
            inversions, key=lambda v: sum(abs(a - b) for a, b in zip(v, centre, strict=True))
        )
        return self._voices

    def _accompany(self, at: float, beats: float, pitch: int, velocity: float) -> Note:
        return Note(
            at=at, beats=beats, pitch=pitch, velocity=velocity, instrument=self._style.chords
        )

    def _bass(self, degree: int, *, last: bool) -> list[Note]:
        beats = self._style.beats
        root = self._pitch(degree, 36)
        root -= 12 * (root > 46)
        lines = [(0.0, beats + 2.0, root)] if last else [(0.0, 1.6, root), (2.0, 1.6, root + 7)]
        return [
            Note(at=at, beats=length, pitch=pitch, velocity=0.42, instrument=instruments.BASS)
            for at, length, pitch in lines
        ]

    def _drums(self, bar: int, *, last: bool) -> list[Note]:
        hits = {} if not self._style.drums else DRUMS[self._style.drums]
        if last:
            hits = {"kick": (0.0,)} if hits else {}
        fill = {"snare": (3.0, 3.5, 3.75)} if hits and bar % 4 == 3 and not last else {}
        return [
            Note(at=at, beats=0, pitch=drum, velocity=LOUDNESS[drum])
            for drum, places in (hits | fill).items()
            for at in places
            if at < self._style.beats
        ]


def _random(seed: int, prompt: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed} {prompt.casefold()}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16])))


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
