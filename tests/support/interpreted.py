"""The GPU's kernels on a CPU, by Triton's interpreter: what `test_gpu_kernels` runs in a process.

The interpreter takes over Triton for the whole of a process, if TRITON_INTERPRET is set.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

from bot.engine.hardware import devices
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen import cuda_graphs, gpu_attention, gpu_draw, gpu_layers
from bot.engine.musicgen.attention import LONGEST_TEXT, USUAL_TEXT, Memory
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.gpu_attention import BLOCK_PLACES, Split, check
from bot.engine.musicgen.sampling import Draw, Tokens, drawn, guided
from bot.engine.musicgen.transformer import EPSILON, Weights
from tests.support.decoding import SAMPLINGS, WISHES, alone, begin, finish
from tests.support.random_lm import language_model, understood

pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")

CPU = torch.device("cpu")
CARD = 64
"""Tokens of a codebook: most of what the interpreter does is to score each."""

NARROW = [replace(each, top_k=min(each.top_k, CARD)) for each in SAMPLINGS[1:]]
PLACES = [0, 1, BLOCK_PLACES - 1, BLOCK_PLACES, BLOCK_PLACES + 1, 3 * BLOCK_PLACES - 1]
TOKENS = [1, 2, 9, BLOCK_PLACES, BLOCK_PLACES + 1, 2 * BLOCK_PLACES + 3]


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU with three multiprocessors, as far as it matters here."""
    monkeypatch.setattr(devices, "multiprocessors", lambda: 3)
    monkeypatch.setattr(cuda_graphs, "attending", lambda _: Split)


@pytest.fixture(scope="module")
def model() -> Any:
    return language_model(dim=64, card=CARD)


@pytest.mark.parametrize("parts_of_each", [1, 4])
@pytest.mark.parametrize(
    ("dtype", "near"),
    [
        (torch.float64, 1e-13),
        (torch.float32, 3e-6),
        (torch.float16, 3e-3),
        (torch.bfloat16, 3e-2),  # which the interpreter rounds towards zero
    ],
)
def test_it_attends_as_torch_does_to_what_there_is_and_keeps_what_is_new(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, near: float, parts_of_each: int
) -> None:
    monkeypatch.setattr(gpu_attention, "splits", lambda *_: parts_of_each)
    heads, takes = 1, len(PLACES)
    memory = Memory(1, takes + 1, heads, 3 * BLOCK_PLACES, 64, dtype, CPU)
    memory.music[0].fill_(torch.nan)  # as if behind the places there were nothing
    texts = [torch.randn(2, 1, heads, tokens, 64).to(dtype) for tokens in TOKENS]
    for row, (place, text) in enumerate(zip(PLACES, texts, strict=True)):
        memory.music[0][:, row, :, :, :place].normal_()
        memory.know(row, [(text[0], text[1])])
    parts, query = torch.randn(2, takes, 3, heads, 64), torch.randn(takes, heads * 64)
    parts, query = parts.to(dtype), query.to(dtype)
    step = Split(memory, takes)
    step.look(torch.tensor(PLACES))
    found, said = step.music(0, parts), step.words(0, query)
    for take, (place, text) in enumerate(zip(PLACES, texts, strict=True)):
        past = memory.music[0][:, take]
        assert torch.equal(past[..., place, :], parts[:, take, 1:].transpose(0, 1))
        assert past[..., place + 1 :, :].isnan().all()
        own, exact = parts[:, take, 0].unsqueeze(2).double(), past[..., : place + 1, :].double()
        expected = scaled_dot_product_attention(own, *exact)[:, :, 0]
        assert (found[:, take].double() - expected).abs().max() < near
        own = query[take].view(1, heads, 1, 64).double()
        expected = scaled_dot_product_attention(own, *text.double())[0, :, 0]
        assert (said[take].double() - expected).abs().max() < near
    assert memory.music[0][:, takes].isnan().all()


def test_steps_with_it_draw_the_same_tokens_whatever_the_texts_and_places(model: Any) -> None:
    prompt = torch.randint(0, CARD, (4, 70), generator=torch.Generator().manual_seed(1))
    long = "x" * (USUAL_TEXT + 1)
    takes = list(zip((*WISHES[:2], long), NARROW, (0, 70, 0), (1, 2, 3), strict=True))
    shared = Decoder(model, slots=3, positions=80, precision=Precision.FLOAT64, graphs=True)
    shared.prepare()
    slots = [
        begin(shared, model, text=t, sampling=s, frames=before + new, prompt=prompt[:, :before])
        for t, s, before, new in takes
    ]
    for slot, (t, s, before, new) in zip(slots, takes, strict=True):
        expected = alone(model, text=t, sampling=s, frames=before + new, prompt=prompt[:, :before])
        assert torch.equal(finish(shared, slot), expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_known_and_gone_with_its_take(model: Any, wrong: float) -> None:
    expected = [alone(model, text=text, frames=2, sampling=NARROW[0]) for text in WISHES[:2]]
    shared = Decoder(model, slots=2, positions=16, precision=Precision.FLOAT64, graphs=True)
    first = begin(shared, model, text=WISHES[0], frames=2, sampling=NARROW[0])
    words = shared.read(understood(model, WISHES[2]) * wrong)
    nothing, generator = torch.zeros(4, 0).long(), torch.Generator().manual_seed(1)
    spoilt = shared.admit(words, nothing, 2, NARROW[0], generator)
    shared.step()
    assert shared.finite(first)
    assert not shared.finite(spoilt)
    shared.release(spoilt)
    addresses, lengths = shared.memory.addresses()
    unused = [[both.data_ptr() for both in pair] for pair in shared.memory.nothing]
    assert addresses[:, spoilt.row].tolist() == unused, "the words' memory may be given back"
    assert lengths[spoilt.row] == 1
    assert torch.equal(finish(shared, first), expected[0])
    second = begin(shared, model, text=WISHES[1], frames=2, sampling=NARROW[0])
    assert torch.equal(finish(shared, second), expected[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_check_finds_it_right(dtype: torch.dtype) -> None:
    check(Memory(1, 1, 2, 80, 64, dtype, CPU))


@pytest.mark.parametrize("what", ["music", "words"])
def test_the_check_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    right = getattr(Split, what)
    monkeypatch.setattr(Split, what, lambda *given: right(*given) * 1.1)
    with pytest.raises(RuntimeError, match="not torch's"):
        check(Memory(1, 1, 2, 80, 64, torch.float32, CPU))


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("width", [64, 96])
@pytest.mark.parametrize(
    ("normed", "curved", "onto"), [(True, False, False), (True, True, False), (False, False, True)]
)
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.float16, 4e-3)]
)
def test_a_product_has_its_norm_and_gelu_and_sum_within(
    rows: int, width: int, normed: bool, curved: bool, onto: bool, dtype: torch.dtype, near: float
) -> None:
    wide = torch.promote_types(dtype, torch.float32)
    states, into = torch.randn(rows, width, dtype=wide), torch.randn(rows, 100, dtype=wide)
    weight = torch.randn(100, width).to(dtype) * width**-0.5
    norm = torch.randn(width, dtype=wide), torch.randn(width, dtype=wide)
    expected = layer_norm(states, (width,), *norm, EPSILON) if normed else states
    expected = expected @ weight.to(wide).T
    expected = gelu(expected) if curved else expected
    expected = expected + into if onto else expected
    found = into if onto else torch.full((rows, 100), torch.nan, dtype=dtype)
    gpu_layers.multiply(states, weight, found, norm if normed else None, gelu=curved, onto=onto)
    assert (found - expected).abs().max() < near


def test_a_sum_and_the_norm_behind_it_are_one() -> None:
    hidden, more = torch.randn(4, 96, dtype=torch.float64), torch.randn(2, 96, dtype=torch.float64)
    gain, shift = torch.randn(2, 96, dtype=torch.float64).unbind()
    into = torch.empty_like(hidden)
    expected = hidden.clone()
    expected[:2] += more
    gpu_layers.add(hidden, more, (gain, shift), into)
    assert torch.equal(hidden, expected)
    assert (into - layer_norm(expected, (96,), gain, shift, EPSILON)).abs().max() < 1e-13


@pytest.mark.parametrize("few", [0, 4])
def test_steps_by_kernels_draw_the_same_tokens_whatever_goes_on_beside(
    model: Any, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:

    class Few(gpu_layers.GpuLayers):
        def __init__(self, weights: Weights) -> None:
            super().__init__(weights)
            self.few = few

    monkeypatch.setattr(gpu_layers, "GpuLayers", Few)
    shared = Decoder(model, slots=3, positions=16, precision=Precision.FLOAT64, graphs=True)
    assert shared.use_triton()
    slots = []
    for text, sampling in list(zip(WISHES, NARROW, strict=False))[: 3 if few == 0 else 2]:
        slots.append(begin(shared, model, text=text, sampling=sampling, frames=2))
        shared.step()
    for slot, text, sampling in zip(slots, WISHES, NARROW, strict=False):
        expected = alone(model, text=text, sampling=sampling, frames=2)
        assert torch.equal(finish(shared, slot), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("card", [64, 100])
def test_a_kernel_draws_what_torch_does_where_nothing_is_known(
    dtype: torch.dtype, card: int
) -> None:
    takes, column = 3, (3, 1, 1)
    asked = Draw(
        guidance=torch.tensor([3.0, 1.0, 0.0]).view(column).to(dtype),
        temperature=torch.tensor([1.0, 0.7, 1.3]).view(column).to(dtype),
        ranks=torch.tensor([25, card, 1]).view(column),
        noise=torch.empty(takes, 2, card, dtype=dtype).exponential_(),
        most=card,
    )
    scores = torch.randn(2, takes, 2, card, dtype=dtype)
    scores[0, 2, 1, 5] = torch.nan
    sequence, nan_sum = torch.full((4, 2, 9), -1), torch.zeros(4, dtype=dtype)
    sequence[3, 1, 8] = 77
    rows, places = torch.tensor([3, 0, 2]), torch.tensor([7, 0, 3])
    now: Any = SimpleNamespace(rows=rows, places=places)
    gpu_draw.draw(scores, asked, now, Tokens(sequence=sequence, nan_sum=nan_sum))
    expected = drawn(guided(scores, asked), asked)
    expected[0, 1] = 77
    found = sequence[rows, :, places + 1]
    assert torch.equal(found[:2], expected[:2])
    assert found[2, 0] == expected[2, 0]
    assert 0 <= found[2, 1] < card
    assert nan_sum.isnan().tolist() == [False, False, True, False]
    assert int((sequence != -1).sum()) == takes * 2


def test_the_kernels_check_themselves(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Decoder(model, slots=1, positions=4, precision=Precision.FLOAT64)
    assert own.use_triton()
    right = gpu_layers.multiply
    monkeypatch.setattr(gpu_layers, "multiply", lambda *a, **b: [right(*a, **b), a[2].mul_(1.1)])
    assert not own.use_triton()


def test_it_takes_the_longest_text_that_there_may_be() -> None:
    assert Split.tokens == LONGEST_TEXT
