"""The sketch engine: pieces by the procedural composer, played bar by bar."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.engine.cards import SKETCH
from bot.engine.contract import Rendering
from bot.engine.files import wav
from bot.engine.files.results import Results
from bot.engine.messages import Confirmation, Previewed, Progress, Ready, Render
from bot.engine.sketch import instruments
from bot.engine.sketch.composer import Composer, Note
from bot.engine.sketch.instruments import RATE, Signal
from bot.engine.sketch.style import style

HEADER_WORDS = 4
MIX_SCALE = 4096.0
"""What a mix is multiplied by to be kept; its notes sum to about 4."""

SLEEP_SECONDS = 0.05
"""How long it sleeps at a time while it pretends to work, in seconds."""


class Sketch:
    """Composes and plays; the same prompt, length and seed give the same samples."""

    def __init__(self, pace: float = 0.0, *, finishes: bool = True) -> None:
        """Pretend to need `pace` seconds of work per second of music."""
        self._pace, self._finishes = pace, finishes

    def ready(self) -> Ready:
        """Return what this engine is."""
        pace = self._pace + 0.05  # with what it really takes
        return Ready(
            models=(SKETCH.name,),
            device="cpu",
            precision="float64",
            slots=1,
            pace=pace,
            confirms=Confirmation(sample_rate=RATE, channels=1, options=SKETCH.complete({})),
        )

    def slots(self, _: str) -> int:
        """Return how many takes are played side by side."""
        return 1

    def expected(self) -> float:
        """Return how long a step takes."""
        return 0.0

    def step(self) -> None:
        """Do nothing: a render makes its own steps."""

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        """Compose and play each take bar by bar; see contract.Engine."""
        results, before = Results(order, RATE, finishes=self._finishes), _before(order)
        pieces = [Piece(order.prompt, order.seconds, part.seed, before) for part in order.parts]
        total, done = sum(piece.bars for piece in pieces), 0
        playing = [piece.play() for piece in pieces]
        while done < total and not (finishing() and any(piece.new >= 1 for piece in pieces)):
            for piece, bars in zip(pieces, playing, strict=True):
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
        for part, piece in zip(order.parts, pieces, strict=True):
            if piece.new >= 1:
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
    codes = wav.read_prefix(
        order.prefix, np.int16, lambda found: len(found) == 1 and found.size >= HEADER_WORDS
    )
    seed, length = (int(number) for number in codes[0, :HEADER_WORDS].view("<u4"))
    mix = codes[0, HEADER_WORDS:].astype(np.float64) / MIX_SCALE
    return Before(seed=seed, seconds=length / RATE, mix=mix)


class Piece:
    """One composition of `bars` bars that fills its seconds and lets the last chord ring.

    It may follow another: then the notes of that come first, and it is in its style.
    """

    def __init__(self, prompt: str, seconds: int, seed: int, before: Before | None = None) -> None:
        self._before = before.seconds if before else 0.0
        self._seed = before.seed if before else seed
        self._style = style(prompt, _random(self._seed, prompt))
        self._random = _random(seed, prompt)
        ring = min(1.2, seconds / 6)
        bar = self._style.beats * 60 / self._style.tempo
        self.bars = max(1, round((seconds - ring) / bar))
        self._beat = (seconds - ring) / self.bars / self._style.beats
        self._start = round(self._before * RATE)
        self._mix = np.zeros(self._start + (seconds + 4) * RATE)
        if before:
            self._mix[: before.mix.size] = before.mix[: self._mix.size]
        self._whole = self._before + seconds
        self.played = self._before

    def play(self) -> Iterator[int]:
        """Play one bar at each step, and return its number from 0."""
        for bar, notes in enumerate(Composer(self._style, self.bars, self._random).bars()):
            for note in notes:
                self._add(note, bar)
            last = bar + 1 == self.bars
            bars = (bar + 1) * self._style.beats * self._beat
            self.played = self._whole if last else self._before + bars
            yield bar

    @property
    def new(self) -> float:
        """Seconds of music that were played here."""
        return self.played - self._before

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


def _random(seed: int, prompt: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed} {prompt.casefold()}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16])))
