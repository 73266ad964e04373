"""What a music file says of itself, in the way of its format.

WAV and MP3 hold ID3 frames (id3.org, ID3v2.4.0), FLAC and Ogg Vorbis comments (xiph.org, Ogg
Vorbis I comment field specification).
"""

from dataclasses import dataclass
from typing import IO, Self

from bot.engine.messages import Part, Render

ARTIST = "Fantasia"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The title from the prompt, what made the music, and the piece's number and take.

    `lyrics` are what is sung in it.
    """

    title: str
    model: str
    seed: int
    piece: int
    take: int = 1
    lyrics: str | None = None

    @classmethod
    def of(cls, order: Render, part: Part) -> Self:
        """Return those of a take."""
        return cls(
            title=order.prompt,
            model=order.model,
            seed=part.seed,
            piece=order.id,
            take=part.number,
            lyrics=order.lyrics,
        )

    def custom(self) -> dict[str, str]:
        """Return what has no frame of its own."""
        return {"MODEL": self.model, "SEED": str(self.seed), "PIECE": str(self.piece)}


def tag(file: IO[bytes], kind: str, tags: Tags) -> None:
    """Put tags into an open "wav", "mp3", "flac" or "ogg" file that has none."""
    file.seek(0)
    if kind in ("wav", "mp3"):
        _id3(file, kind, tags)
    else:
        _comments(file, kind, tags)


def _id3(file: IO[bytes], kind: str, tags: Tags) -> None:
    from mutagen.id3 import ID3, TIT2, TPE1, TRCK, TXXX, USLT
    from mutagen.wave import WAVE

    frames = [TIT2(text=tags.title), TPE1(text=ARTIST), TRCK(text=str(tags.take))]
    frames += [TXXX(desc=name, text=value) for name, value in tags.custom().items()]
    frames += [USLT(text=tags.lyrics)] if tags.lyrics else []
    audio = ID3() if kind == "mp3" else WAVE(file)  # a WAV has a chunk for them, an MP3 its front
    if kind == "wav":
        audio.add_tags()
    for frame in frames:
        (audio if kind == "mp3" else audio.tags).add(frame)
    file.seek(0)
    audio.save(file)


def _comments(file: IO[bytes], kind: str, tags: Tags) -> None:
    from mutagen.flac import FLAC
    from mutagen.oggvorbis import OggVorbis

    audio = FLAC(file) if kind == "flac" else OggVorbis(file)
    audio["TITLE"], audio["ARTIST"], audio["TRACKNUMBER"] = tags.title, ARTIST, str(tags.take)
    for name, value in tags.custom().items():
        audio[name] = value
    if tags.lyrics:
        audio["LYRICS"] = tags.lyrics
    file.seek(0)
    audio.save(file)
