"""The picture under a result."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bot.engine.files import waveform

RATE = 32000


def tone(hertz: float, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)[None] * 0.5


def drawn(folder: Path, *takes: np.ndarray, prompt: str = "mozart fantasia") -> NDArray[np.int64]:
    path = folder / "picture.png"
    waveform.write(path, prompt, [waveform.strip(take, RATE) for take in takes])
    with Image.open(path) as image:
        pixels: NDArray[np.int64] = np.asarray(image.convert("RGB")).astype(np.int64)
        return pixels


def painted(pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where bars are: what is colourful."""
    bars: NDArray[np.bool_] = (pixels.max(axis=-1) - pixels.min(axis=-1)) > 60
    return bars


def test_it_fits_a_phone_and_five_takes_fit_a_screen(tmp_path: Path) -> None:
    one = drawn(tmp_path, tone(440))
    five = drawn(tmp_path, *[tone(440)] * 5)
    assert one.shape[1] == five.shape[1] == 960
    assert one.shape[0] < five.shape[0] <= 680
    assert (tmp_path / "picture.png").stat().st_size < 60_000


def test_what_is_louder_is_taller(tmp_path: Path) -> None:
    pixels = painted(drawn(tmp_path, tone(440) * np.linspace(0, 1, 2 * RATE)))
    quiet, loud = pixels[:, 100:200].any(axis=1).sum(), pixels[:, 700:860].any(axis=1).sum()
    assert loud > 2 * quiet > 0


def test_what_is_brighter_has_another_colour(tmp_path: Path) -> None:
    pixels = drawn(tmp_path, np.concatenate([tone(110), tone(5000)], axis=1))
    low, high = (
        pixels[:, half][painted(pixels[:, half])] for half in (slice(480), slice(480, 960))
    )
    assert low[:, 2].mean() > low[:, 0].mean() + 50
    assert high[:, 0].mean() > high[:, 2].mean() + 50


def test_takes_share_one_time_axis(tmp_path: Path) -> None:
    pixels = painted(drawn(tmp_path, tone(440, 4), tone(440, 2), prompt=""))
    half = len(pixels) // 2
    ends = [np.flatnonzero(strip.any(axis=0)).max() for strip in (pixels[:half], pixels[half:])]
    assert ends[0] > 900
    assert 450 < ends[1] < 510


def test_a_takes_number_stands_beside_its_bars(tmp_path: Path) -> None:
    flat = np.ones((1, 2 * RATE)) * 0.5
    several, one = drawn(tmp_path, flat, flat, prompt=""), drawn(tmp_path, flat, prompt="")
    margin = waveform.PICTURE_MARGIN
    assert (several[:, :margin] > 150).any()
    assert not (one[:, :margin] > 150).any()
    first = painted(several)[:, margin : margin + waveform.BAR_WIDTH]
    assert first.any(axis=1).sum() > 2 * 60, "nothing covers the first bar"


@pytest.mark.parametrize("samples", [np.zeros((2, RATE)), np.zeros((1, 1)), np.ones((1, 3))])
def test_silence_and_next_to_nothing_are_drawn(tmp_path: Path, samples: np.ndarray) -> None:
    assert drawn(tmp_path, samples).shape[1] == 960


@pytest.mark.parametrize("prompt", ["", "🎵🎵🎵", "雨の音", "قلب", "a\n\x00b", "long " * 100, "é"])
def test_any_prompt_is_drawn(tmp_path: Path, prompt: str) -> None:
    assert painted(drawn(tmp_path, tone(440), prompt=prompt)).any()


@pytest.mark.parametrize(
    ("prompt", "shown"), [("mozart 🎵 fantasia", "mozart fantasia"), ("雨の音 rain", "")]
)
def test_letters_that_the_font_lacks_are_left_out(tmp_path: Path, prompt: str, shown: str) -> None:
    pictures = []
    for words in (prompt, shown, "something else"):
        drawn(tmp_path, tone(440), prompt=words)
        pictures.append((tmp_path / "picture.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_the_same_music_gives_the_same_bytes(tmp_path: Path) -> None:
    drawn(tmp_path, tone(440))
    first = (tmp_path / "picture.png").read_bytes()
    drawn(tmp_path, tone(440))
    assert (tmp_path / "picture.png").read_bytes() == first


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "picture.png").mkdir()
    with pytest.raises(OSError, match="picture"):
        drawn(tmp_path, tone(440))
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
