"""Music in every format: sample rate, channels, length to the sample, and tags."""

import shutil
import subprocess
import wave
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from bot.engine.files import wav
from bot.engine.files.formats import Format, convert
from bot.engine.files.tags import Tags

RATE = 32000
FFPROBE = shutil.which("ffprobe")
TITLE = "möchte “Ω” 雨の音 🎵 | drop\ttable; $(rm)"
LYRICS = "[verse]\nШёл дождь\n雨の音 🎵\n\n[chorus]\nla; la = la"
TAGS = Tags(title=TITLE, model="stereo-small", seed=4294967290, piece=42, take=3, lyrics=LYRICS)


def music(channels: int, length: int) -> np.ndarray:
    time = np.arange(length) / RATE
    return np.stack([np.sin(2 * np.pi * 220 * (side + 1) * time) for side in range(channels)]) * 0.5


def written(folder: Path, kind: Format, channels: int, length: int) -> Path:
    path = folder / "a.wav"
    wav.write_pcm(path, wav.pcm(music(channels, length)), RATE, TAGS)
    if kind is Format.WAV:
        return path
    convert(path, folder / f"a.{kind}", kind, TAGS)
    return folder / f"a.{kind}"


@pytest.mark.parametrize("kind", Format)
@pytest.mark.parametrize(("channels", "length"), [(1, 32000), (2, 41337), (1, 5), (2, 96001)])
def test_rate_channels_and_length_stay(
    kind: Format, channels: int, length: int, tmp_path: Path
) -> None:
    sound, rate = soundfile.read(written(tmp_path, kind, channels, length), always_2d=True)
    assert (rate, sound.shape) == (RATE, (length, channels))
    if length > 1000:
        first = music(channels, length).T * wav.LOUDEST_SAMPLE / max(wav.LOUDEST_SAMPLE, 0.5)
        assert np.corrcoef(sound[1000:, 0], music(channels, length)[0, 1000:])[0, 1] > 0.999
        assert np.abs(sound).max() == pytest.approx(np.abs(first).max(), rel=0.1)


@pytest.mark.parametrize("kind", Format)
def test_every_format_is_tagged(kind: Format, tmp_path: Path) -> None:
    found = mutagen.File(written(tmp_path, kind, 1, 32000))
    if kind in (Format.WAV, Format.MP3):
        told = {frame.FrameID + getattr(frame, "desc", ""): frame for frame in found.tags.values()}
        text = {name: str(frame) for name, frame in told.items()}
        assert text == {
            "TIT2": TITLE,
            "TPE1": "Fantasia",
            "TRCK": "3",
            "TXXXMODEL": "stereo-small",
            "TXXXSEED": "4294967290",
            "TXXXPIECE": "42",
            "USLT": LYRICS,
        }
    else:
        comments = {name.upper(): value for name, value in found.tags.items()}
        comments.pop("ENCODER", None)
        assert comments == {
            "TITLE": [TITLE],
            "ARTIST": ["Fantasia"],
            "TRACKNUMBER": ["3"],
            "MODEL": ["stereo-small"],
            "SEED": ["4294967290"],
            "PIECE": ["42"],
            "LYRICS": [LYRICS],
        }


@pytest.mark.skipif(not FFPROBE, reason="ffmpeg is not installed")
@pytest.mark.parametrize("kind", Format)
def test_other_players_read_the_tags(kind: Format, tmp_path: Path) -> None:
    command = [str(FFPROBE), "-v", "error", "-show_entries", "format_tags:stream_tags"]
    path = written(tmp_path, kind, 2, 32000)
    shown = subprocess.run([*command, path], capture_output=True, text=True, check=True).stdout
    told = shown.casefold()
    assert TITLE.casefold() in told
    assert "seed=4294967290" in told
    assert "шёл дождь" in told


def test_a_tagged_wav_is_still_a_plain_one(tmp_path: Path) -> None:
    path = written(tmp_path, Format.WAV, 2, 4001)
    with wave.open(str(path)) as file:
        assert (file.getnframes(), file.getnchannels(), file.getsampwidth()) == (4001, 2, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert pytest.approx(np.round(music(2, 4001) * 32767)) == pcm.T
    assert path.stat().st_size % 2 == 0


@pytest.mark.parametrize("kind", [Format.FLAC, Format.MP3, Format.OGG])
def test_what_is_no_music_cannot_be_converted(kind: Format, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"this is no music")
    with pytest.raises(OSError, match=f"cannot be written as {kind}"):
        convert(tmp_path / "a.wav", tmp_path / f"a.{kind}", kind, TAGS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
