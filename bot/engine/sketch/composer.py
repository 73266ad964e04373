"""A small procedural composer, for trying the bot without weights.

The prompt's words choose key, tempo, metre and instruments, the seed everything else: phrases of
four bars over common progressions, a motif that returns varied, a cadence at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bot.engine.sketch import instruments
from bot.engine.sketch.instruments import Instrument
from bot.engine.sketch.style import DORIAN, MAJOR, MINOR, Scale, Style

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
        self._voices = (53, 57, 62)
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
        pitch, lead = self._pitch(step, 60), self._style.lead
        return Note(at=at, beats=beats, pitch=pitch, velocity=0.55 * velocity, instrument=lead)

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
        self._voices = min(
            inversions, key=lambda v: sum(abs(a - b) for a, b in zip(v, self._voices, strict=True))
        )
        return self._voices

    def _accompany(self, at: float, beats: float, pitch: int, velocity: float) -> Note:
        chords = self._style.chords
        return Note(at=at, beats=beats, pitch=pitch, velocity=velocity, instrument=chords)

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
        if not self._style.drums:
            return []
        hits: dict[str, tuple[float, ...]] = {"kick": (0.0,)} if last else DRUMS[self._style.drums]
        if bar % 4 == 3 and not last:
            hits = hits | {"snare": (3.0, 3.5, 3.75)}
        return [
            Note(at=at, beats=0, pitch=drum, velocity=LOUDNESS[drum])
            for drum, places in hits.items()
            for at in places
            if at < self._style.beats
        ]
