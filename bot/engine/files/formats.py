"""A take in the formats that people keep music in, by libsndfile."""

from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import msgspec

from bot.engine.files.tags import Tags, tag
from bot.engine.files.wav import replace


class Format(StrEnum):
    """The formats of music; each is a file's extension."""

    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"
    OGG = "ogg"


ENCODINGS = {
    Format.FLAC: ("PCM_16", 0.6),
    Format.MP3: ("MPEG_LAYER_III", 0.1),
    Format.OGG: ("VORBIS", 0.2),
}
"""libsndfile's subtype and its compression level, 0 is the largest file and 1 the smallest."""

BLOCK_FRAMES = 16384
"""Frames written at a time."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of its own is asked to `convert`, by the names of the files."""

    source: str
    target: str
    kind: Format
    tags: Tags
    part: tuple[int, int]


def convert(
    source: Path, target: Path, kind: Format, tags: Tags, part: tuple[int, int] = (1, 1)
) -> None:
    """Write a WAV's music in another format, with tags; raise OSError where that cannot be done.

    Sample rate, channels and length stay; MP3 and Ogg Vorbis lose what the ear does not miss.
    Of `part`, such as (2, 4), only that much of it is written: here the second quarter.
    """
    import soundfile

    subtype, compression = ENCODINGS[kind]

    def write(file: BinaryIO) -> None:
        with (
            soundfile.SoundFile(source) as music,
            soundfile.SoundFile(
                file,
                "w",
                samplerate=music.samplerate,
                channels=music.channels,
                format=kind.upper(),
                subtype=subtype,
                compression_level=compression,
            ) as out,
        ):
            # Not int16: libsndfile 1.2.2 spoils stereo MP3s that are written so.
            number, of = part
            start, end = (music.frames * edge // of for edge in (number - 1, number))
            music.seek(start)
            for block in music.blocks(BLOCK_FRAMES, frames=end - start, dtype="float32"):
                out.write(block)
        tag(file, kind, tags)

    try:
        replace(target, write)
    except soundfile.LibsndfileError as error:
        raise OSError(f"the music cannot be written as {kind}: {error}") from error
