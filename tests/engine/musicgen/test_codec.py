"""The codec in chunks against the codec in one go."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bot.engine.musicgen.codec import Codec, Sound
from tests.support.operators import Counted
from tests.support.random_codec import encodec, encodec_of_transformers

LENGTHS = (1, 2, 3, 4, 5, 49, 50, 51, 107, 503)
HOP = 640


@pytest.fixture(scope="module", params=["reflect", "constant"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return Codec(encodec(pad_mode=request.param))


def codes_of(frames: int, codebooks: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randint(64, (codebooks, frames), generator=generator)


def chunked(codec: Codec, codes: torch.Tensor, chunk: int, come: int) -> tuple[Any, int]:
    """Return what is heard while `come` frames at a time arrive, and in how many chunks."""
    sound, chunks = Sound(codec, chunk), 0
    for frames in [*range(0, codes.shape[-1], come), codes.shape[-1]]:
        while sound.due(frames, ended=frames == codes.shape[-1]):
            sound.hear(codes[:, :frames])
            chunks += 1
    return sound.samples(), chunks


@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("chunk", [50, 500], ids=["1 s", "10 s"])
@pytest.mark.parametrize("come", [1, 7, 10**6], ids=["one by one", "some", "at once"])
def test_chunks_sound_as_the_whole(codec: Codec, frames: int, chunk: int, come: int) -> None:
    codes = codes_of(frames)
    whole = codec.whole(codes).numpy()
    found, chunks = chunked(codec, codes, chunk, come)
    assert found.shape == whole.shape == (1, frames * HOP)
    assert chunks == -(-frames // chunk)
    assert np.abs(found - whole).max() <= 1e-5 * np.abs(whole).max()


def test_music_is_heard_before_the_last_frame_is_there(codec: Codec) -> None:
    sound = Sound(codec, 50)
    assert not sound.due(54, ended=False)
    assert sound.due(55, ended=False)
    sound.hear(codes_of(107)[:, :55])
    assert sound.samples().shape == (1, 50 * HOP)
    assert not sound.due(55, ended=False)


def test_a_stereo_pair_keeps_its_sides_apart() -> None:
    from audiocraft.models.encodec import InterleaveStereoCompressionModel

    single = encodec()
    codec = Codec(InterleaveStereoCompressionModel(single))
    assert codec.layers
    codes = codes_of(120, 8)
    found, _ = chunked(codec, codes, 50, 7)
    left, right = (Codec(single).whole(codes[side::2]).numpy() for side in (0, 1))
    for channel, expected in zip(found, (left, right), strict=True):
        assert np.abs(channel - expected[0]).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("flags", [{"causal": True}, {"kernel_size": 11}, {"lstm": 0}])
def test_a_codec_that_hears_further_is_decoded_in_one_go(flags: dict[str, Any]) -> None:
    codec = Codec(encodec(**flags))
    assert codec.layers is None
    codes = codes_of(120)
    found, chunks = chunked(codec, codes, 50, 7)
    assert chunks == 1
    assert np.array_equal(found, codec.whole(codes).numpy())


@pytest.mark.parametrize("kind", [encodec, encodec_of_transformers])
def test_no_weight_is_made_anew_in_a_call_and_the_sound_is_the_same(
    kind: Callable[[], Any],
) -> None:
    codes, model = codes_of(107), kind()
    with torch.inference_mode(), Counted() as before:
        expected = model.decode(codes[None], None)[0].numpy()
    codec = Codec(model)
    with Counted() as after:
        whole = codec.whole(codes).numpy()
    assert np.array_equal(whole, expected)
    assert expected.any()
    made = [{name for name in counted.seen if "norm" in name} for counted in (before, after)]
    assert made[0]
    assert not made[1]
    found, chunks = chunked(codec, codes, 50, 7)
    assert chunks == 3
    assert np.abs(found - whole).max() <= 1e-5 * np.abs(whole).max()


def test_what_is_kept_of_the_past_does_not_grow(codec: Codec) -> None:
    sound, codes = Sound(codec, 50), codes_of(503)
    sizes = set()
    for frames in range(60, 503, 50):
        sound.hear(codes[:, :frames])
        kept = [each for each in vars(sound).values() if isinstance(each, torch.Tensor)]
        sizes.add(sum(each.shape[-1] for each in kept))
    assert sizes == {4}
