"""The slot decoder against audiocraft's own loop, token for token."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from bot.engine import linears
from bot.engine.attention import Memory
from bot.engine.compiled import Halves
from bot.engine.decoder import Decoder
from bot.engine.linears import Int8, Kernels, Precision
from bot.engine.sampling import Sampling
from bot.engine.slot import Slot
from bot.engine.transformer import unknown
from tests.support.forced import divergence, error, first_scores, teacher_forced
from tests.support.operators import operators, operators_of_audiocraft
from tests.support.random_lm import MONO, STEREO, language_model, understood, wish

POSITIONS = 760
WISHES = ("mozart fantasia", "a", "slow piano with rain on the window and a distant choir")

GREEDY = Sampling(temperature=0)
SAMPLINGS = (
    GREEDY,
    Sampling(),
    Sampling(guidance=1.0, temperature=0.7, top_k=10),
    Sampling(guidance=4.5, temperature=1.3, top_k=0),
    Sampling(top_k=0, top_p=0.9),
    Sampling(top_k=50, top_p=0.4, temperature=1.2),
)


@pytest.fixture(scope="module", params=[MONO, STEREO], ids=["mono", "stereo"])
def model(request: pytest.FixtureRequest) -> Any:
    return language_model(delays=request.param)


@pytest.fixture(scope="module")
def mono() -> Any:
    return language_model()


def decoder(
    model: Any,
    slots: int = 4,
    precision: Precision = Precision.FLOAT64,
    kernels: Kernels | None = None,
) -> Decoder:
    return Decoder(model, slots=slots, positions=POSITIONS, precision=precision, kernels=kernels)


def native(precision: Precision, *bounds: float) -> Any:
    lacks = precision not in linears.native()
    mark = pytest.mark.skipif(lacks, reason="this processor lacks the instructions")
    return pytest.param(precision, Kernels.NATIVE, *bounds, marks=mark)


def begin(
    decoder: Decoder,
    model: Any,
    text: str = WISHES[0],
    seed: int = 7,
    frames: int = 30,
    prompt: torch.Tensor | None = None,
    sampling: Sampling = SAMPLINGS[1],
) -> Slot:
    if prompt is None:
        prompt = torch.zeros(decoder.codebooks, 0, dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    words = decoder.read(understood(model, text))
    return decoder.admit(words, prompt, frames, sampling, generator)


def finish(decoder: Decoder, slot: Slot) -> torch.Tensor:
    while not slot.done:
        decoder.step()
    codes = decoder.codes(slot)
    decoder.release(slot)
    return codes


def alone(model: Any, precision: Precision = Precision.FLOAT64, **take: Any) -> torch.Tensor:
    single = decoder(model, 1, precision)
    return finish(single, begin(single, model, **take))


def own(
    model: Any,
    sampling: Sampling,
    frames: int,
    prompt: torch.Tensor,
    text: str = WISHES[0],
    seed: int = 7,
) -> torch.Tensor:
    torch.manual_seed(seed)
    codes: torch.Tensor = model.generate(
        prompt[None],
        [wish(text)],
        max_gen_len=frames,
        use_sampling=sampling.temperature > 0,
        temp=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        cfg_coef=sampling.guidance,
    )
    return codes[0]


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


PLAIN = [sampling for sampling in SAMPLINGS if sampling.plain]


@pytest.mark.parametrize("given", [0, 50, 600])
def test_steps_of_unchanging_shape_draw_the_same_tokens(model: Any, given: int) -> None:
    """What a CUDA graph replays, computed here without one."""
    prompt = torch.randint(0, 512, (model.n_q, given), generator=torch.Generator().manual_seed(1))
    takes = list(zip(WISHES, PLAIN, (given, given, 0), (20, 9, 13), strict=True))
    shared = Decoder(model, slots=4, positions=POSITIONS, precision=Precision.FLOAT64, graphs=True)
    begin(shared, model, frames=2, text="x" * 70)  # longer than SHORT: two steps by Each
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
    expected = [own(model, Sampling(), 8, torch.zeros(4, 0).long(), text) for text in WISHES[:2]]
    shared = Decoder(model, slots=2, positions=16, precision=Precision.FLOAT64)
    slots = [begin(shared, model, text=text, frames=8) for text in WISHES[:2]]
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
def test_neighbours_change_no_bit_at_one_row_count(mono: Any, precision: Precision) -> None:
    def run(*others: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
        shared = decoder(mono, 3, precision)
        slot = begin(shared, mono, text=WISHES[0])
        for seed, text in enumerate(others):
            begin(shared, mono, text=text, seed=seed, sampling=SAMPLINGS[seed + 1])
        scores = list(first_scores(shared, 20))
        return shared.codes(slot), scores

    codes, scores = run("one neighbour", "another")
    again, others = run("somebody else altogether", "x")
    assert torch.equal(codes, again)
    assert all(torch.equal(a, b) for a, b in zip(scores, others, strict=True))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("precision", "graphs"),
    [(precision, False) for precision in Precision if precision is not Precision.FLOAT16]
    + [(Precision.FLOAT64, True), (Precision.FLOAT32, True)],
)
def test_scores_that_are_not_finite_are_known_and_neither_neighbours_nor_successors_hear_them(
    mono: Any, precision: Precision, graphs: bool, wrong: float
) -> None:
    def run(scale: float) -> tuple[bool, list[torch.Tensor]]:
        shared = Decoder(mono, slots=2, positions=POSITIONS, precision=precision, graphs=graphs)
        first = begin(shared, mono, text=WISHES[1], frames=30)
        spoilt = understood(mono, WISHES[2]) * scale
        nothing = torch.zeros(shared.codebooks, 0, dtype=torch.long)
        slot = shared.admit(
            shared.read(spoilt), nothing, 20, Sampling(), torch.Generator().manual_seed(1)
        )
        for _ in range(10):
            shared.step()
        assert shared.finite(first)
        finite = shared.finite(slot)
        shared.release(slot)
        second = begin(shared, mono, text=WISHES[0], frames=30)
        assert second.row == slot.row
        codes = [finish(shared, first)]
        assert shared.finite(second)
        return finite, [*codes, finish(shared, second)]

    finite, expected = run(1.0)
    assert finite
    finite, found = run(wrong)
    assert not finite
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("precision", "kernels", "most"),
    [
        (Precision.FLOAT32, Kernels.TORCH, 1e-5),
        (Precision.BFLOAT16, Kernels.TORCH, 0.02),
        (Precision.INT8, Kernels.TORCH, 0),
        native(Precision.BFLOAT16, 0),
        native(Precision.INT8, 0),
    ],
)
def test_more_rows_change_little_and_nothing_in_int8_and_in_native_kernels(
    precision: Precision, kernels: Kernels, most: float
) -> None:
    model = language_model(dim=256, layers=4)
    words = understood(model, WISHES[0])
    codes = alone(model, frames=40)
    single, crowd = (decoder(model, slots, precision, kernels) for slots in (1, 8))
    expected = teacher_forced(single, single.read(words), codes)
    found = teacher_forced(crowd, crowd.read(words), codes)
    assert torch.equal(found, expected)
    for seed in range(3):
        begin(crowd, model, text=WISHES[seed], seed=seed, frames=90)
    slots = list(crowd.slots)
    found = teacher_forced(crowd, crowd.read(words), codes, last=True)
    assert all(slot.position == 40 for slot in slots)
    assert error(expected.double(), found) <= most


@pytest.fixture(scope="module")
def exact() -> tuple[Any, list[tuple[torch.Tensor, torch.Tensor]]]:
    """A model, and three takes of it with the scores that float64 gives."""
    model = language_model(dim=256, layers=8)
    single = decoder(model, 1)
    words = single.read(understood(model, WISHES[0]))
    takes = [alone(model, frames=60, seed=seed) for seed in (1, 2, 3)]
    return model, [(codes, teacher_forced(single, words, codes)) for codes in takes]


@pytest.mark.parametrize(
    ("precision", "kernels", "most", "nats"),
    [
        (Precision.FLOAT32, Kernels.TORCH, 1e-4, 1e-8),
        (Precision.BFLOAT16, Kernels.TORCH, 0.05, 2e-3),
        (Precision.INT8, Kernels.TORCH, 0.1, 5e-3),
        native(Precision.BFLOAT16, 0.05, 2e-3),
        native(Precision.INT8, 0.1, 5e-3),
    ],
)
def test_each_precision_is_as_faithful_as_it_says(
    exact: tuple[Any, list[tuple[torch.Tensor, torch.Tensor]]],
    precision: Precision,
    kernels: Kernels,
    most: float,
    nats: float,
) -> None:
    model, takes = exact
    single = decoder(model, 1, precision, kernels)
    words = single.read(understood(model, WISHES[0]))
    for codes, expected in takes:
        found = teacher_forced(single, words, codes)
        assert error(expected, found) <= most
        assert divergence(expected, found).max() <= nats


COUNT = """
import numba, torch
from bot.engine.attention import Memory
from bot.engine.compiled import Halves
Halves(Memory(1, 1, 1, 1, 64, torch.bfloat16, torch.device("cpu")))
print(torch.get_num_threads(), numba.get_num_threads())
"""


def test_numba_takes_no_more_threads_than_torch_and_leaves_torch_its_own() -> None:
    """More threads than cores that are free wait for each other, at many times the price."""
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    counted = subprocess.run([sys.executable, "-c", COUNT], env=one, capture_output=True, text=True)
    assert counted.stdout.split() == ["1", "1"], counted.stderr


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_the_compiled_kernels_attend_as_torch_does() -> None:
    rows, places, heads, positions = [2, 0], [6, 39], 3, 40
    memory = Memory(1, 3, heads, positions, 64, torch.bfloat16, torch.device("cpu"))
    memory.music[0].normal_()
    texts = [torch.randn(2, 1, heads, tokens, 64) for tokens in (9, 1, 70)]
    for row, text in enumerate(texts):
        memory.know(row, [tuple(text)])
    step = Halves(memory)(rows, places)
    parts, query = torch.randn(2, 2, 3, heads, 64), torch.randn(2, heads * 64)
    found, said = step.music(0, parts).clone(), step.words(0, query).clone()
    for take, (row, place) in enumerate(zip(rows, places, strict=True)):
        past = memory.music[0][:, row]
        assert torch.equal(past[..., place, :], parts[:, take, 1:].transpose(0, 1).bfloat16())
        keys, values = past[..., : place + 1, :].float()
        own = parts[:, take, 0].unsqueeze(2)
        expected = scaled_dot_product_attention(own, keys, values)[:, :, 0]
        assert torch.allclose(found[:, take], expected, atol=1e-5)
        words = texts[row].bfloat16().float()
        expected = scaled_dot_product_attention(query[take].view(1, heads, 1, 64), *words)
        assert torch.allclose(said[take], expected[0, :, 0], atol=1e-5)


@pytest.mark.parametrize("precision", [Precision.BFLOAT16, Precision.INT8])
def test_without_numba_it_is_slower_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, precision: Precision
) -> None:
    model = language_model()
    with_it, words = decoder(model, 1, precision), understood(model, WISHES[0])
    codes = alone(model)
    expected = teacher_forced(with_it, with_it.read(words), codes)
    monkeypatch.setitem(sys.modules, "bot.engine.compiled", None)
    monkeypatch.setattr(linears, "kernels", None)
    monkeypatch.setattr(linears, "products", None)
    without = decoder(model, 1, precision)
    assert "Numba is missing" in caplog.text
    assert divergence(expected, teacher_forced(without, without.read(words), codes)).max() < 5e-3


def test_a_row_of_int8_does_not_depend_on_the_others() -> None:
    product_of = Int8(torch.randn(96, 64))
    rows = torch.randn(16, 64)
    together = product_of(rows)
    for row, expected in zip(rows, together, strict=True):
        for others in (0, 1, 15):
            crowd = torch.cat([row[None], 100 * torch.randn(others, 64)])
            assert torch.equal(product_of(crowd)[0], expected)
    assert torch.equal(product_of(torch.zeros(2, 64)), torch.zeros(2, 96))


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


class Norms(TorchDispatchMode):
    """Sees whether the rows that norms get lie one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.contiguous: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.layer_norm.default:
            self.contiguous.append(args[0].is_contiguous())
        return func(*args, **(kwargs or {}))


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
