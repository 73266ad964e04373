"""The finished sound: one loudness for all pieces, no peak above the limit, no click at the ends.

Loudness is that of ITU-R BS.1770-4, as pyloudnorm measures it; the true peak is that of its annex
2, on the signal oversampled four times. Everything stays in floating point until the dither, and is
the same for the same samples and seed.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

Samples64 = NDArray[np.float64]

TARGET_LOUDNESS = -14.0
"""Integrated loudness, in LUFS."""

CEILING = -1.0
"""True peak at most, in dBTP."""

LIMITER_MARGIN = 0.1
"""How far below the ceiling the limiter aims, in dB: its own smoothing moves peaks a little."""

SILENCE = -70.0
"""What is no louder, in LUFS, is silence (the absolute gate of BS.1770) and stays as it is."""

BLOCK_SECONDS = 0.4
"""Seconds that a loudness needs at least."""

MOST_GAIN = 40.0
"""Gain at most, in dB."""

FADE_IN, FADE_OUT = 0.004, 0.03
"""Seconds."""

LOOK_AHEAD = 0.005
"""Seconds that the limiter turns down before a peak, and up after it."""

OVERSAMPLED = 4
PASSES = 8
"""What the limiter takes away is made up for, pass by pass."""


def pcm(samples: NDArray[np.floating], rate: int, seed: int) -> NDArray[np.int16]:
    """Return samples [channels, length] finished, in 16 bits dithered by a seed."""
    return dithered(finished(samples, rate), seed)


def finished(samples: NDArray[np.floating], rate: int) -> Samples64:
    """Return samples [channels, length] at the target's loudness, or as near as can be."""
    sound = faded(samples.astype(np.float64), rate)
    wanted = TARGET_LOUDNESS
    result = sound
    for _ in range(PASSES):
        level = loudness(sound, rate)
        if level <= SILENCE:
            return sound
        gain = min(wanted - level, MOST_GAIN)
        result = limited(sound * 10 ** (gain / 20), rate)
        missing = TARGET_LOUDNESS - loudness(result, rate)
        if abs(missing) < 0.05 or gain == MOST_GAIN:
            break
        wanted += missing
    return result


def loudness(samples: NDArray[np.floating], rate: int) -> float:
    """Return the integrated loudness in LUFS of samples [channels, length], -inf for silence."""
    import pyloudnorm

    short = int(np.ceil(BLOCK_SECONDS * rate)) - samples.shape[-1]
    heard = np.pad(samples, ((0, 0), (0, max(0, short))))
    if not heard.any():
        return -np.inf
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("ignore")
        return float(pyloudnorm.Meter(rate, block_size=BLOCK_SECONDS).integrated_loudness(heard.T))


def true_peak(samples: NDArray[np.floating]) -> float:
    """Return the true peak of samples [channels, length] in dBTP, -inf for silence."""
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(np.abs(_oversampled(samples)).max(initial=0.0)))


def faded(
    samples: Samples64, rate: int, rise: float = FADE_IN, fall: float = FADE_OUT
) -> Samples64:
    """Return samples that rise from silence and fall back to it, within so many seconds.

    Those of a piece that is finished are too few to be heard as a fade.
    """
    sound, length = samples.copy(), samples.shape[-1]
    for edge, seconds in ((slice(None), rise), (slice(None, None, -1), fall)):
        count = min(int(seconds * rate), length)
        sound[:, edge][:, :count] *= np.sin(np.linspace(0, np.pi / 2, count)) ** 2
    return sound


def limited(samples: Samples64, rate: int) -> Samples64:
    """Return samples turned down, smoothly and ahead of time, wherever they pass the ceiling."""
    from scipy.ndimage import minimum_filter1d
    from scipy.signal.windows import hann

    most = 10 ** ((CEILING - LIMITER_MARGIN) / 20)
    peaks = np.abs(_oversampled(samples)).max(axis=0)
    peaks = peaks[: OVERSAMPLED * samples.shape[-1]].reshape(-1, OVERSAMPLED).max(axis=1)
    peaks = np.maximum(peaks, np.abs(samples).max(axis=0))
    if peaks.max(initial=0.0) <= most:
        return samples
    needed = np.minimum(1.0, most / np.maximum(peaks, most))
    width = 2 * int(LOOK_AHEAD * rate) + 1
    held = minimum_filter1d(needed, width + 2, mode="nearest")
    window = hann(width + 2)[1:-1]
    gain = np.convolve(np.pad(held, width // 2, mode="edge"), window / window.sum(), mode="valid")
    sound = samples * gain
    left = 10 ** (true_peak(sound) / 20)
    return sound * min(1.0, 10 ** (CEILING / 20) / left)


def dithered(samples: NDArray[np.floating], seed: int) -> NDArray[np.int16]:
    """Return 16-bit samples with triangular dither of one step; digital silence stays silent."""
    noise = np.random.Generator(np.random.PCG64(seed))
    triangle = noise.random(samples.shape) - noise.random(samples.shape)
    loud = samples != 0
    steps = np.round(samples * 32767 + np.where(loud, triangle, 0.0))
    pcm: NDArray[np.int16] = np.clip(steps, -32768, 32767).astype(np.int16)
    return pcm


def _oversampled(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    from scipy.signal import resample_poly

    if not samples.size:
        return samples
    found: NDArray[np.floating] = resample_poly(samples, OVERSAMPLED, 1, axis=-1)
    return found
