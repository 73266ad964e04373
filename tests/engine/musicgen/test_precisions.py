"""How faithful each precision is, and what becomes of a take's scores beside others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen import precisions
from bot.engine.musicgen.attention import Memory
from bot.engine.musicgen.cpu_attention import HalfAttention
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.linears import Int8
from bot.engine.musicgen.precisions import Kernels
from bot.engine.musicgen.sampling import Sampling
from tests.support.decoding import POSITIONS, SAMPLINGS, WISHES, alone, begin, decoder, finish
from tests.support.forced import divergence, error, first_scores, teacher_forced
from tests.support.random_lm import language_model, understood


@pytest.fixture(scope="module")
def mono() -> Any:
    return language_model()


def native(precision: Precision, *bounds: float) -> Any:
    lacks = precision not in precisions.native()
    mark = pytest.mark.skipif(lacks, reason="this processor lacks the instructions")
    return pytest.param(precision, Kernels.NATIVE, *bounds, marks=mark)


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
from bot.engine.musicgen.attention import Memory
from bot.engine.musicgen.cpu_attention import HalfAttention
HalfAttention(Memory(1, 1, 1, 1, 64, torch.bfloat16, torch.device("cpu")))
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
    step = HalfAttention(memory)(rows, places)
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


def test_a_row_of_int8_does_not_depend_on_the_others() -> None:
    product_of = Int8(torch.randn(96, 64))
    rows = torch.randn(16, 64)
    together = product_of(rows)
    for row, expected in zip(rows, together, strict=True):
        for others in (0, 1, 15):
            crowd = torch.cat([row[None], 100 * torch.randn(others, 64)])
            assert torch.equal(product_of(crowd)[0], expected)
    assert torch.equal(product_of(torch.zeros(2, 64)), torch.zeros(2, 96))
