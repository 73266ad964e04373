"""The sketch engine's instruments: short additive tones, drums of noise, and a room."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bot.engine.files.mastering import faded

RATE = 32_000
"""Samples per second of everything here."""

Signal = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A tone by its partials. Times are in seconds; `decay` is the fundamental's time to 1/e.

    `slope` is how fast the partials' amplitudes fall with their number, `stretch` how much sharper
    than harmonic they are, as in a stiff string, and `damping` how much faster the high ones decay.
    """

    partials: int
    slope: float
    attack: float
    decay: float
    release: float
    odd: bool = False
    stretch: float = 0.0
    damping: float = 0.5
    vibrato: float = 0.0
    detune: float = 0.0
    gain: float = 1.0


PIANO = Instrument(
    partials=9, slope=1.4, attack=0.004, decay=1.1, release=0.12, stretch=4e-4, damping=0.35
)
HARPSICHORD = Instrument(
    partials=12, slope=0.8, attack=0.002, decay=0.7, release=0.06, damping=0.2, gain=0.7
)
STRINGS = Instrument(
    partials=9, slope=1.25, attack=0.12, decay=9, release=0.22, vibrato=0.004, detune=0.0025
)
FLUTE = Instrument(partials=4, slope=2.2, attack=0.05, decay=9, release=0.1, vibrato=0.005)
CLARINET = Instrument(partials=9, slope=1.2, attack=0.04, decay=9, release=0.09, odd=True, gain=0.8)
BRASS = Instrument(partials=10, slope=0.95, attack=0.06, decay=6, release=0.1, gain=0.7)
ORGAN = Instrument(partials=6, slope=0.9, attack=0.015, decay=99, release=0.05, damping=0, gain=0.6)
GUITAR = Instrument(partials=9, slope=1.1, attack=0.003, decay=0.8, release=0.1, damping=0.6)
BELL = Instrument(partials=6, slope=1.0, attack=0.002, decay=1.6, release=0.5, stretch=0.03)
SYNTH = Instrument(partials=14, slope=1.0, attack=0.01, decay=2.5, release=0.08, detune=0.004)
PAD = Instrument(partials=7, slope=1.5, attack=0.35, decay=99, release=0.5, detune=0.004)
BASS = Instrument(partials=6, slope=1.3, attack=0.008, decay=1.6, release=0.08, gain=1.2)


@lru_cache(maxsize=512)
def tone(instrument: Instrument, pitch: int, seconds: float) -> Signal:
    """Return one note [length] of a MIDI pitch at full velocity, its release included."""
    time = np.arange(int((seconds + instrument.release) * RATE)) / RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    sound = np.zeros_like(time)
    for voice in (-1, 1) if instrument.detune else (0,):
        phase = _phase(instrument, frequency * (1 + voice * instrument.detune / 2), time)
        sound += _partials(instrument, frequency, phase, time)
    # Low notes carry less loudness for the same amplitude.
    sound *= instrument.gain * (440 / frequency) ** 0.25
    return sound * _envelope(instrument, seconds, time)


def _phase(instrument: Instrument, frequency: float, time: Signal) -> Signal:
    phase = 2 * np.pi * frequency * time
    if instrument.vibrato:  # 5.5 Hz, and as players do, not from the first moment
        depth = instrument.vibrato * frequency / 5.5 * np.minimum(1, time / 0.4)
        phase += depth * np.sin(2 * np.pi * 5.5 * time)
    return phase


def _partials(instrument: Instrument, frequency: float, phase: Signal, time: Signal) -> Signal:
    sound, total = np.zeros_like(time), 0.0
    for number in range(1, instrument.partials + 1):
        order = 2 * number - 1 if instrument.odd else number
        ratio = order * np.sqrt(1 + instrument.stretch * order**2)
        if frequency * ratio > 0.45 * RATE:  # above half the rate it would alias
            break
        amplitude = order**-instrument.slope
        fade = np.exp(-time * (1 + instrument.damping * (order - 1)) / instrument.decay)
        sound += amplitude * fade * np.sin(ratio * phase)
        total += amplitude
    return sound / max(total, 1.0)


def _envelope(instrument: Instrument, seconds: float, time: Signal) -> Signal:
    rise = np.minimum(1, time / instrument.attack)
    fall = np.clip((seconds + instrument.release - time) / instrument.release, 0, 1)
    envelope: Signal = rise * fall**2
    return envelope


@lru_cache(maxsize=8)
def drum(name: str) -> Signal:
    """Return a hit [length] of the kick, the snare or the hat."""
    seconds, decay = {"kick": (0.28, 14), "snare": (0.18, 24), "hat": (0.06, 70)}[name]
    time = np.arange(int(seconds * RATE)) / RATE
    if name == "kick":
        sweep = 50 * time + 90 * (1 - np.exp(-time * 35)) / 35
        sound = np.sin(2 * np.pi * sweep)
    else:
        noise = np.random.Generator(np.random.PCG64(7)).standard_normal(time.size + 1)
        body = np.sin(2 * np.pi * 190 * time) if name == "snare" else 0
        sound = 0.25 * np.diff(noise) + 0.5 * body
    hit: Signal = sound * np.exp(-time * decay)
    return hit


def room(dry: Signal, wet: float) -> Signal:
    """Return the sound [length] as in a room: 0.9 s of decaying noise, mixed in by `wet`."""
    time = np.arange(int(0.9 * RATE)) / RATE
    noise = np.random.Generator(np.random.PCG64(11)).standard_normal(time.size)
    noise[: int(0.012 * RATE)] = 0
    echo = noise * np.exp(-time * 6)
    # Walls swallow high notes first: a running mean dulls the echo.
    echo = np.convolve(echo, np.ones(6) / 6, "same")
    echo /= np.sqrt(np.sum(echo**2))
    size = 1 << (dry.size + echo.size - 1).bit_length()
    reverberant = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(echo, size), size)
    return dry + wet * reverberant[: dry.size]


def mastered(sound: Signal, fade_out: float) -> Signal:
    """Return the sound [length] without offset, evened out, at a peak of 0.7, with soft ends."""
    sound = sound - sound.mean()
    level = np.sqrt(np.mean(sound**2)) or 1.0
    sound = np.tanh(sound / (5 * level))
    sound = faded((sound - sound.mean())[None], RATE, 0.005, fade_out)[0]
    return 0.7 * sound / (np.abs(sound).max() or 1.0)
