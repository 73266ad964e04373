"""The finished sound, measured by ffmpeg where it is there, and by the same standard where not."""

import json
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from bot.engine.files import mastering
from bot.engine.files.wav import write_pcm
from bot.engine.messages import Part, Render
from bot.engine.sketch.engine import Sketch

RATE = 32000
FFMPEG = shutil.which("ffmpeg")


def noise(seconds: float, channels: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, int(seconds * RATE))) * 0.1


def music(seconds: float) -> np.ndarray:
    """A beat with high peaks over a quiet chord, which a gain alone could not make loud."""
    time = np.arange(int(seconds * RATE)) / RATE
    notes = np.array([[220], [277.18], [329.63]])
    chord = np.sin(2 * np.pi * notes * time).sum(axis=0) * 0.02
    beat = np.sin(2 * np.pi * 900 * time) * np.exp(-60 * (time % 0.5)) * 0.9
    both: np.ndarray = chord + beat
    return both[None]


SOUNDS = {
    "noise": noise(5),
    "stereo": noise(5, 2) * np.array([[1.0], [0.2]]),
    "too loud": noise(5) * 30,
    "quiet": noise(5) * 0.05,
    "a beat": music(8),
    "short": noise(1),
    "square": np.sign(noise(3)) * 0.99,
}


@pytest.mark.parametrize("name", SOUNDS)
def test_every_piece_has_one_loudness_and_no_peak_above_the_ceiling(name: str) -> None:
    result = mastering.finished(SOUNDS[name], RATE)
    assert result.shape == SOUNDS[name].shape
    assert mastering.true_peak(result) <= mastering.CEILING + 1e-6
    assert mastering.loudness(result, RATE) == pytest.approx(mastering.TARGET_LOUDNESS, abs=0.5)


@pytest.mark.skipif(not FFMPEG, reason="ffmpeg is not installed")
@pytest.mark.parametrize("name", SOUNDS)
def test_ffmpeg_measures_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    write_pcm(path, mastering.pcm(SOUNDS[name], RATE, seed=1), RATE)
    command = [str(FFMPEG), "-hide_banner", "-i", str(path)]
    measure = ["-af", "loudnorm=print_format=json", "-f", "null", "-"]
    done = subprocess.run([*command, *measure], capture_output=True, text=True, check=True)
    found = json.loads(done.stderr[done.stderr.rindex("{") : done.stderr.rindex("}") + 1])
    assert float(found["input_i"]) == pytest.approx(mastering.TARGET_LOUDNESS, abs=0.6)
    assert float(found["input_tp"]) <= mastering.CEILING + 0.05


def test_silence_stays_silent() -> None:
    silence = np.zeros((2, RATE))
    assert not mastering.finished(silence, RATE).any()
    assert not mastering.dithered(silence, 1).any()
    hum = noise(2) * 1e-5
    assert np.abs(mastering.finished(hum, RATE)).max() <= np.abs(hum).max()


def test_the_ends_do_not_click_and_the_middle_is_not_touched() -> None:
    sound = mastering.faded(np.ones((2, RATE)), RATE)
    assert np.abs(sound[:, [0, -1]]).max() < 1e-9
    assert np.abs(np.diff(sound)).max() < 0.02
    assert (sound[:, 1000:-1000] == 1).all()
    assert mastering.finished(noise(0.001), RATE).shape == (1, 32)


def test_what_needs_no_limit_only_gets_a_gain() -> None:
    sound = noise(3) * 0.5
    result = mastering.finished(sound, RATE)
    middle = slice(2000, -2000)
    gain = result[0, middle] / sound[0, middle]
    assert gain.std() / gain.mean() < 1e-9


def test_dither_depends_on_the_seed_alone_and_never_wraps() -> None:
    sound = noise(1)
    first, again, other = (mastering.dithered(sound, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert np.abs(first - sound * 32767).max() <= 1.5
    assert mastering.dithered(np.ones((1, 9)), 1).min() >= 32766


@pytest.mark.parametrize("finishes", [True, False])
def test_an_engine_finishes_unless_it_is_told_not_to(tmp_path: Path, finishes: bool) -> None:
    part = Part(number=1, seed=3, audio=str(tmp_path / "a.wav"), codes=str(tmp_path / "a.npy"))
    order = Render(
        id=1,
        prompt="mozart fantasia",
        seconds=8,
        model="sketch",
        parts=(part,),
        options={},
    )
    list(Sketch(finishes=finishes).render(order, lambda: False))
    with wave.open(part.audio) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")[None] / 32768
    level = mastering.loudness(sound, RATE)
    assert (level == pytest.approx(mastering.TARGET_LOUDNESS, abs=0.5)) is finishes
