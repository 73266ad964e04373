"""Samples and codes to files that appear whole or not at all."""

import io
import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from bot.engine.files.tags import Tags, tag
from bot.errors import JobError

Samples = NDArray[np.float32]
"""Sound as a model makes it, [channels, length]."""

PARTIAL_SUFFIX = ".part"
"""The suffix of a file while it is being written."""

LOUDEST_SAMPLE = 10 ** (-1 / 20)
"""The loudest sample a file may hold, as a share of full scale (-1 dBFS)."""


def pcm(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Return samples in -1…1 in 16 bits; louder ones are turned down as a whole, so none clips."""
    peak = float(np.abs(samples).max(initial=0.0))
    scale = 32767 * min(1.0, LOUDEST_SAMPLE / peak if peak else 1.0)
    whole: NDArray[np.int16] = np.round(samples.astype(np.float64) * scale).astype(np.int16)
    return whole


def write_pcm(
    path: Path, samples: NDArray[np.int16], sample_rate: int, tags: Tags | None = None
) -> None:
    """Write samples [channels, length] of 16 bits; raise OSError where that cannot be done."""
    written = io.BytesIO()
    with wave.open(written, "wb") as out:
        out.setnchannels(samples.shape[0])
        out.setsampwidth(2)
        out.setframerate(sample_rate)
        out.writeframes(samples.T.astype("<i2").tobytes())
    if tags:
        tag(written, "wav", tags)
    replace(path, lambda file: file.write(written.getbuffer()))


def write_codes(path: Path, codes: NDArray[np.number]) -> None:
    """Write what a take can be gone on from, as a NumPy array in 16 bits.

    That is codes [codebooks, frames] of whole numbers, or latents [frames, channels] of others.
    """
    kept = np.float16 if np.issubdtype(codes.dtype, np.floating) else np.int16
    replace(path, lambda file: np.save(file, codes.astype(kept)))


def read_prefix(
    path: str, kept: type[np.number], fits: Callable[[NDArray[Any]], bool]
) -> NDArray[Any]:
    """Return the codes or latents that a take goes on from, in two dimensions.

    Raises JobError for a file that is missing, or holds what is not `kept` so or does not fit.
    """
    try:
        found: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        found = None
    known = isinstance(found, np.ndarray) and (found.dtype, found.ndim) == (kept, 2)
    if not known or not found.size or not fits(found):
        raise JobError("The music to extend is missing, or was made by another model.")
    return cast("NDArray[Any]", found)


def seconds(file: BinaryIO) -> float:
    """Return a WAV's length in seconds; raise OSError, EOFError or wave.Error if it is none."""
    with wave.open(file, "rb") as sound:
        frames, rate = sound.getnframes(), sound.getframerate()
        size = frames * sound.getnchannels() * sound.getsampwidth()
    if rate <= 0 or size > file.seek(0, os.SEEK_END):
        raise wave.Error("its header is wrong")
    return float(frames / rate)


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file whole or not at all; raise OSError where that cannot be done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        with temporary.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # or after a power cut the name might stand for an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
