"""The native kernels of a CPU: products and layers, beside the decoder's plain way."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bot.cli.checks import engine
from bot.config import Config
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen import sampling
from bot.engine.musicgen.cpu_attention import draw
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.linears import Int8, Native
from bot.engine.musicgen.precisions import Kernels, native
from bot.engine.musicgen.sampling import Draw, Sampling, Tokens
from tests.support.forced import error, teacher_forced
from tests.support.random_lm import language_model, understood

FEW = (1, 2, 3, 6, 7, 8, 9, 14, 16)

pytestmark = pytest.mark.skipif(
    len(native()) < 2, reason="this processor has no VNNI or no bfloat16"
)


@pytest.fixture(scope="module", params=[Precision.INT8, Precision.BFLOAT16])
def precision(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("width", [68, 1028])
def test_a_product_is_right_and_a_row_of_it_is_the_same_beside_any_others(
    precision: Precision, width: int
) -> None:
    weight, rows = torch.randn(100, width), torch.randn(16, width)
    product = Native(weight, precision)
    together = product(rows)
    assert error((rows @ weight.T).double(), together) < 0.06
    for many in FEW:
        assert torch.equal(product(rows[:many]), together[:many])
        others = torch.cat([100 * torch.randn(many, width), rows[:1]])
        assert torch.equal(product(others)[-1], together[0])
    hidden = torch.ones(16, 100)
    product.onto(hidden, rows)
    assert torch.equal(hidden, together + 1)
    assert torch.equal(product(torch.zeros(2, width)), torch.zeros(2, 100))


def test_numbers_as_large_as_they_come_are_lost_in_no_sum(precision: Precision) -> None:
    weight, rows = torch.ones(32, 4096), torch.ones(3, 4096)
    assert torch.allclose(Native(weight, precision)(rows), torch.full((3, 32), 4096.0))
    assert torch.allclose(Native(weight, precision)(-rows), torch.full((3, 32), -4096.0))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_stays_so_and_spoils_no_other(
    precision: Precision, wrong: float
) -> None:
    product, rows = Native(torch.randn(64, 64), precision), torch.randn(4, 64)
    expected = product(rows)
    rows[2, 5] = wrong
    found = product(rows)
    assert not found[2].isfinite().any()
    assert torch.equal(found[[0, 1, 3]], expected[[0, 1, 3]])


def test_fused_layers_score_as_the_plain_ones_with_the_same_weights(precision: Precision) -> None:
    model = language_model(dim=128, layers=2)
    shared = Decoder(model, slots=1, positions=40, precision=precision, kernels=Kernels.NATIVE)
    codes = torch.randint(0, 512, (4, 30), generator=torch.Generator().manual_seed(1))
    words = shared.read(understood(model, "a slow waltz"))
    fused = teacher_forced(shared, words, codes)
    shared.use_torch()
    plain = teacher_forced(shared, words, codes)
    assert error(plain.double(), fused) < 0.02
    assert not torch.equal(plain, fused)


def drawn(scores: torch.Tensor, how: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens that the compiled kernel draws, and the sum that finds NaN."""
    takes, codebooks = scores.shape[1:3]
    sequence = torch.full((takes, codebooks, 3), -1)
    rows, nan_sum = torch.arange(takes).flip(0), torch.zeros(takes)
    now: Any = SimpleNamespace(rows=rows, places=torch.ones(takes).long())
    draw(scores, how, now, Tokens(sequence=sequence, nan_sum=nan_sum))
    assert torch.equal(sequence[:, :, :2], torch.full((takes, codebooks, 2), -1))
    return sequence[rows, :, 2], nan_sum[rows]


def test_the_compiled_kernel_draws_the_tokens_that_torch_draws() -> None:
    samplings = [Sampling(guidance=at, temperature=0.4 * at, top_k=250 * at) for at in range(1, 5)]
    samplings += [Sampling(top_k=ranks) for ranks in (0, 1, 2, 511, 512)]
    for seed in range(20):
        chance = torch.Generator().manual_seed(seed)
        scores = 3 * torch.randn(2, len(samplings), 4, 2048, generator=chance)
        noise = torch.empty(scores.shape[1:]).exponential_(generator=chance)
        how = Draw.of(samplings, noise)
        tokens, nan_sum = drawn(scores, how)
        assert torch.equal(tokens, sampling.drawn(sampling.guided(scores, how), how))
        assert not nan_sum.any()


def test_it_draws_some_token_where_scores_are_not_finite_and_others_as_ever() -> None:
    scores, how = torch.randn(2, 3, 4, 512), Draw.of([Sampling()] * 3, torch.ones(3, 4, 512))
    expected, _ = drawn(scores, how)
    for wrong in (float("nan"), float("inf"), -float("inf")):
        scores[0, 1, 2] = wrong
        tokens, nan_sum = drawn(scores, how)
        assert 0 <= tokens.min() <= tokens.max() < 512
        assert torch.equal(tokens[::2], expected[::2])
        assert nan_sum.isnan().tolist() == [False, True, False]


def test_it_overwrites_no_token_that_is_known() -> None:
    scores, how = torch.randn(2, 1, 4, 512), Draw.of([Sampling()], torch.ones(1, 4, 512))
    sequence = torch.tensor([[[512, 3], [512, -1], [512, 512], [512, -1]]])
    zero = torch.zeros(1, dtype=torch.long)
    now: Any = SimpleNamespace(rows=zero, places=zero)
    draw(scores, how, now, Tokens(sequence=sequence, nan_sum=torch.zeros(1)))
    assert (sequence[0, :, 1] == torch.tensor([3, -1, 512, -1])).tolist() == [1, 0, 1, 0]


LACKING = """
import torch
from bot.engine.musicgen.precisions import Kernels, kernels_for, native
from bot.engine.hardware.precisions import Precision
cpu = torch.device("cpu")
print(native(), *(kernels_for("auto", each, cpu) for each in Precision))
kernels_for("native", Precision.INT8, cpu)
"""


def test_a_processor_without_the_instructions_has_torchs_kernels_and_refuses_the_native() -> None:
    older = {**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
    told = subprocess.run(
        [sys.executable, "-c", LACKING], env=older, capture_output=True, text=True
    )
    assert told.stdout.split() == ["[]", *["torch"] * len(Precision)], told.stderr
    assert "this processor lacks avx512vnni: set KERNELS=auto or torch" in told.stderr


def test_doctor_names_what_has_native_kernels() -> None:
    found = engine.device(Config()).found
    assert f"native kernels for {', '.join(native())}" in found


def test_without_vnni_torchs_kernel_has_rows_of_seven_bits_which_overflow_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight, rows = torch.rand(64, 256), torch.rand(4, 256)
    exact = (rows @ weight.T).double()
    seen: list[bool] = []
    real = torch.ops.quantized.linear_dynamic

    def product(rows: torch.Tensor, weight: Any, narrow: bool) -> torch.Tensor:
        seen.append(narrow)
        found: torch.Tensor = real(rows, weight, narrow)
        return found

    monkeypatch.setattr(torch.ops.quantized, "linear_dynamic", product)
    for vnni in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda vnni=vnni: vnni)
        found = Int8(weight)(rows).double()
        assert ((found - exact).abs() / exact).max() < (0.01 if vnni else 0.02)
    assert seen == [False, True]
