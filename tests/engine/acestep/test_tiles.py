"""The codec in tiles against the codec in one go."""

import numpy as np
import pytest
import torch

from bot.engine.acestep.tiles import Tiles, reach
from bot.engine.files.wav import Samples
from tests.support.memory import Peak
from tests.support.songs import tiny
from tests.support.tiny_acestep import CHANNELS, RATIOS

HOP = 1920


def latents_of(frames: int) -> torch.Tensor:
    return torch.randn(frames, CHANNELS, generator=torch.Generator().manual_seed(frames))


def whole(latents: torch.Tensor) -> Samples:
    with torch.inference_mode():
        sound: Samples = tiny().vae.decode(latents.T[None]).sample[0].numpy()
    return sound


def heard(tiles: Tiles) -> Samples:
    while tiles.left:
        tiles.step()
    return tiles.samples()


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [*((0.04, frames) for frames in (1, 2, 9, 10, 21)), (0.4, 10), (0.4, 49), (5.0, 127)],
)
def test_tiles_sound_as_the_whole(seconds: float, frames: int) -> None:
    latents = latents_of(frames)
    tiles = Tiles(tiny().vae, latents, seconds=seconds)
    assert tiles.left == -(-frames // round(seconds * 25))
    found, expected = heard(tiles), whole(latents)
    assert found.shape == expected.shape == (2, frames * HOP)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_sample_hears_as_far_as_is_said_and_no_further() -> None:
    latents, far = latents_of(40), reach(RATIOS)
    expected = whole(latents)
    for distance, same in ((far, False), (far + 1, True)):
        other = latents.clone()
        other[20 + distance] += 10.0
        found = whole(other)[:, 20 * HOP : 21 * HOP]
        assert np.array_equal(found, expected[:, 20 * HOP : 21 * HOP]) == same


def test_only_what_is_kept_is_decoded_and_what_follows_it_is_heard() -> None:
    latents = latents_of(60)
    found = heard(Tiles(tiny().vae, latents, 31, 0.4))
    assert found.shape == (2, 31 * HOP)
    assert np.abs(found - whole(latents)[:, : 31 * HOP]).max() <= 1e-5


def test_two_minutes_need_no_more_memory_than_forty_seconds() -> None:
    peaks = []
    for seconds in (40, 120):
        tiles = Tiles(tiny().vae, latents_of(25 * seconds))
        with Peak() as peak:
            for _ in range(2):
                tiles.step()
        peaks.append(peak.bytes)
    assert peaks[1] <= 1.2 * peaks[0]
    with Peak() as peak:
        whole(latents_of(25 * 20))
    assert peak.bytes > 2 * peaks[0], "in one go it grows with the length"
