"""The slot decoder against audiocraft's own loop, token for token."""

from itertools import product
from typing import Any

import pytest
import torch

from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.transformer import unknown
from tests.support.decoding import (
    GREEDY,
    POSITIONS,
    SAMPLINGS,
    WISHES,
    alone,
    begin,
    decoder,
    finish,
    own,
)
from tests.support.dispatch import Dispatch
from tests.support.operators import operators, operators_of_audiocraft
from tests.support.random_lm import MONO, STEREO, language_model


@pytest.fixture(scope="module", params=[MONO, STEREO], ids=["mono", "stereo"])
def model(request: pytest.FixtureRequest) -> Any:
    return language_model(delays=request.param)


@pytest.fixture(scope="module")
def mono() -> Any:
    return language_model()


@pytest.mark.parametrize(("sampling", "given"), list(product(SAMPLINGS, (0, 50, 600))))
def test_tokens_equal_audiocrafts(model: Any, sampling: Sampling, given: int) -> None:
    prompt = torch.randint(0, 512, (model.n_q, given), generator=torch.Generator().manual_seed(1))
    expected = own(model, sampling, given + 20, prompt)
    codes = alone(model, frames=given + 20, prompt=prompt, sampling=sampling)
    assert torch.equal(codes, expected)
    assert torch.equal(codes[:, :given], prompt)


def test_a_take_is_the_same_whoever_is_beside_it(model: Any) -> None:
    expected = {text: alone(model, text=text, seed=3) for text in WISHES}
    shared = decoder(model, 3)
    slots = {text: begin(shared, model, text=text, seed=3) for text in WISHES}
    for text, slot in slots.items():
        assert torch.equal(finish(shared, slot), expected[text])


def test_a_take_joins_in_the_middle_and_follows_a_cancelled_tenant(mono: Any) -> None:
    expected = [alone(mono, text=text, seed=5) for text in WISHES]
    shared = decoder(mono, 2)
    first = begin(shared, mono, text=WISHES[0], seed=5)
    tenant = begin(shared, mono, text=WISHES[2], seed=9, sampling=GREEDY)
    for _ in range(11):
        shared.step()
    shared.release(tenant)
    second = begin(shared, mono, text=WISHES[1], seed=5)
    assert second.row == tenant.row
    assert torch.equal(finish(shared, first), expected[0])
    third = begin(shared, mono, text=WISHES[2], seed=5)
    assert torch.equal(finish(shared, second), expected[1])
    assert torch.equal(finish(shared, third), expected[2])


def test_different_samplings_side_by_side_do_not_mix(mono: Any) -> None:
    expected = [alone(mono, sampling=sampling) for sampling in SAMPLINGS]
    shared = decoder(mono, len(SAMPLINGS))
    slots = [begin(shared, mono, sampling=sampling) for sampling in SAMPLINGS]
    for slot, codes in zip(slots, expected, strict=True):
        assert torch.equal(finish(shared, slot), codes)


@pytest.mark.parametrize("given", [0, 50, 600])
def test_steps_of_unchanging_shape_draw_the_same_tokens(model: Any, given: int) -> None:
    """What a CUDA graph replays, computed here without one."""
    prompt = torch.randint(0, 512, (model.n_q, given), generator=torch.Generator().manual_seed(1))
    takes = list(zip(WISHES, SAMPLINGS[1:], (given, given, 0), (20, 9, 13), strict=True))
    shared = Decoder(model, slots=4, positions=POSITIONS, precision=Precision.FLOAT64, graphs=True)
    begin(shared, model, frames=2, text="x" * 70)  # longer than USUAL_TEXT: two steps by Each
    slots = [
        begin(shared, model, text=t, sampling=s, frames=before + new, prompt=prompt[:, :before])
        for t, s, before, new in takes
    ]
    finish(shared, shared.slots[0])
    for slot, (t, s, before, new) in zip(slots, takes, strict=True):
        expected = alone(model, text=t, sampling=s, frames=before + new, prompt=prompt[:, :before])
        assert torch.equal(finish(shared, slot), expected)


def test_tokens_equal_audiocrafts_in_the_small_models_geometry() -> None:
    model = language_model(dim=1024, layers=24, card=2048)
    expected = [own(model, Sampling(), 4, torch.zeros(4, 0).long(), text) for text in WISHES[:2]]
    shared = Decoder(model, slots=2, positions=16, precision=Precision.FLOAT64)
    slots = [begin(shared, model, text=text, frames=4) for text in WISHES[:2]]
    for slot, codes in zip(slots, expected, strict=True):
        assert torch.equal(finish(shared, slot), codes)


def test_stopping_early_gives_the_frames_that_are_complete(mono: Any) -> None:
    whole = alone(mono, frames=30)
    early = decoder(mono)
    slot = begin(early, mono, frames=30)
    assert early.codes(slot).shape == (4, 0)
    for _ in range(17):
        early.step()
    codes = early.codes(slot)
    assert codes.shape == (4, 14)
    assert torch.equal(codes, whole[:, :14])


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16, Precision.INT8])
def test_a_step_takes_at_most_half_of_audiocrafts_operators_and_none_that_waits(
    precision: Precision,
) -> None:
    model = language_model(layers=8, dtype=torch.float32)
    single = decoder(model, 1, precision)
    begin(single, model, frames=30)
    ours, theirs = operators(single), operators_of_audiocraft(model, WISHES[0])
    assert ours.total() <= theirs.total() / 2, (ours, theirs)
    assert not {"item.default", "_local_scalar_dense.default", "nonzero.default"} & ours.keys()


class Norms(Dispatch):
    """Sees whether the rows that norms get lie one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.contiguous: list[bool] = []

    def run(self, operator: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if operator is torch.ops.aten.layer_norm.default:
            self.contiguous.append(args[0].is_contiguous())
        return super().run(operator, args, options)


@pytest.mark.parametrize("graphs", [False, True])
def test_no_norm_of_a_step_has_to_copy_its_rows(mono: Any, graphs: bool) -> None:
    shared = Decoder(mono, slots=2, positions=64, precision=Precision.FLOAT64, graphs=graphs)
    for text in WISHES[:2]:
        begin(shared, mono, text=text)
    with Norms() as norms:
        shared.step()
    assert norms.contiguous == [True] * (2 * 3 + 1)


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ({"norm_first": False}, "norms"),
        ({"bias_ff": True}, "biases"),
        ({"activation": "relu"}, "activation"),
        ({"layer_scale": 0.1}, "layer scales"),
        ({"positional_embedding": "rope"}, "positions"),
        ({"kv_repeat": 2}, "attention"),
    ],
)
def test_what_it_does_not_know_it_says(flags: dict[str, Any], what: str) -> None:
    assert what in str(unknown(language_model(**flags)))


def test_the_released_layout_is_known(model: Any) -> None:
    assert unknown(model) is None
