"""The GPU's attention on a CPU, by Triton's interpreter: what `test_split` runs in a process.

The interpreter takes over Triton for the whole of a process, if TRITON_INTERPRET is set.
"""

from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from bot.engine import graphs, split
from bot.engine.attention import LONGEST, SHORT, Memory
from bot.engine.decoder import Decoder
from bot.engine.linears import Precision
from bot.engine.sampling import Sampling
from bot.engine.split import BLOCK, Split, check
from tests.support.random_lm import language_model, understood
from tests.test_decoder import PLAIN, WISHES, alone, begin, finish

pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")

CPU = torch.device("cpu")
PLACES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 1]
TOKENS = [1, 2, 9, BLOCK, BLOCK + 1, 2 * BLOCK + 3]


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU with three multiprocessors, as far as it matters here."""
    monkeypatch.setattr(split, "processors", lambda _: 3)
    monkeypatch.setattr(graphs, "attending", lambda _: Split)


@pytest.fixture(scope="module")
def model() -> Any:
    return language_model(dim=64)


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
    monkeypatch.setattr(split, "splits", lambda *_: parts_of_each)
    heads, takes = 1, len(PLACES)
    memory = Memory(1, takes + 1, heads, 3 * BLOCK, 64, dtype, CPU)
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
    prompt = torch.randint(0, 512, (4, 70), generator=torch.Generator().manual_seed(1))
    long = "x" * (SHORT + 1)
    takes = list(zip((*WISHES[:2], long), PLAIN, (0, 70, 0), (1, 2, 3), strict=True))
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
    expected = [alone(model, text=text, frames=2) for text in WISHES[:2]]
    shared = Decoder(model, slots=2, positions=16, precision=Precision.FLOAT64, graphs=True)
    first = begin(shared, model, text=WISHES[0], frames=2)
    words = shared.read(understood(model, WISHES[2]) * wrong)
    nothing, generator = torch.zeros(4, 0).long(), torch.Generator().manual_seed(1)
    spoilt = shared.admit(words, nothing, 2, Sampling(), generator)
    shared.step()
    assert shared.finite(first)
    assert not shared.finite(spoilt)
    shared.release(spoilt)
    addresses, lengths = shared._memory.addresses()
    unused = [[both.data_ptr() for both in pair] for pair in shared._memory._nothing]
    assert addresses[:, spoilt.row].tolist() == unused, "the words' memory may be given back"
    assert lengths[spoilt.row] == 1
    assert torch.equal(finish(shared, first), expected[0])
    second = begin(shared, model, text=WISHES[1], frames=2)
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


def test_it_takes_the_longest_text_that_there_may_be() -> None:
    assert Split.tokens == LONGEST
