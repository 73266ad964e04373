"""The slot decoder against audiocraft's own loop, token for token."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bot.engine.decoder import Decoder, Slot
from bot.engine.linears import Int8, Precision
from bot.engine.sampling import Sampling
from bot.engine.transformer import unknown
from tests.random_lm import MONO, STEREO, language_model, understood, wish

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


def decoder(model: Any, slots: int = 4, precision: Precision = Precision.FLOAT64) -> Decoder:
    return Decoder(model, slots=slots, positions=POSITIONS, precision=precision)


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
    begin(shared, model, frames=2, text="x" * 70)  # two of LONGEST tokens, then of SHORT
    slots = [
        begin(shared, model, text=t, sampling=s, frames=before + new, prompt=prompt[:, :before])
        for t, s, before, new in takes
    ]
    finish(shared, shared.slots[0])
    for slot, (t, s, before, new) in zip(slots, takes, strict=True):
        expected = alone(model, text=t, sampling=s, frames=before + new, prompt=prompt[:, :before])
        assert torch.equal(finish(shared, slot), expected)


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


def first_scores(decoder: Decoder, steps: int) -> Iterator[torch.Tensor]:
    """Step, and yield the scores of the first slot each time."""
    seen: list[torch.Tensor] = []
    real = decoder._scores

    def scores(attention: Any) -> torch.Tensor:
        seen.append(real(attention))
        return seen[-1]

    decoder._scores = scores  # type: ignore[method-assign]
    for _ in range(steps):
        decoder.step()
        yield seen[-1][0]


def teacher_forced(model: Any, precision: Precision, codes: torch.Tensor) -> torch.Tensor:
    """Return the scores of each step [steps, 2, codebooks, card] along given codes."""
    forced = decoder(model, 1, precision)
    slot = begin(forced, model, frames=codes.shape[-1])
    forced._lay_out(slot, codes)
    return torch.stack(list(first_scores(forced, codes.shape[-1])))


def divergence(exact: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of each step's guided choice, in nats."""
    chances, others = (
        torch.log_softmax((both[:, 1] + 3 * (both[:, 0] - both[:, 1])).double(), dim=-1)
        for both in (exact, other)
    )
    return (chances.exp() * (chances - others)).sum(-1)


@pytest.mark.parametrize(
    ("precision", "error", "nats"),
    [
        (Precision.FLOAT32, 1e-4, 1e-8),
        (Precision.BFLOAT16, 0.05, 2e-3),
        (Precision.INT8, 0.1, 5e-3),
    ],
)
def test_each_precision_is_as_faithful_as_it_says(
    precision: Precision, error: float, nats: float
) -> None:
    model = language_model(dim=256, layers=8)
    for seed in (1, 2, 3):
        codes = alone(model, frames=60, seed=seed)
        exact = teacher_forced(model, Precision.FLOAT64, codes)
        found = teacher_forced(model, precision, codes)
        spread = exact.std()
        assert (found - exact).abs().max() / spread <= error
        assert divergence(exact, found).max() <= nats


def test_a_row_of_int8_does_not_depend_on_the_others() -> None:
    product_of = Int8(torch.randn(96, 64))
    rows = torch.randn(16, 64)
    together = product_of(rows)
    for row, expected in zip(rows, together, strict=True):
        for others in (0, 1, 15):
            crowd = torch.cat([row[None], 100 * torch.randn(others, 64)])
            assert torch.equal(product_of(crowd)[0], expected)
    assert torch.equal(product_of(torch.zeros(2, 64)), torch.zeros(2, 96))


class Counted(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def operators(work: Callable[[], None]) -> Counter[str]:
    with Counted() as counted:
        work()
    return counted.seen


def test_a_step_takes_at_most_half_of_audiocrafts_operators_and_none_that_waits() -> None:
    model = language_model(layers=8, dtype=torch.float32)
    single = decoder(model, 1, Precision.FLOAT32)
    begin(single, model, frames=30)
    single.step()
    with torch.no_grad():  # as audiocraft's loop is counted
        ours = operators(partial(Decoder.step.__wrapped__, single))
    at: list[Counter[str]] = []
    with Counted() as counted:
        model.generate(
            None,
            [wish(WISHES[0])],
            max_gen_len=12,
            callback=lambda *_: at.append(Counter(counted.seen)),
        )
    theirs = at[8] - at[7]
    assert ours.total() <= theirs.total() / 2, (ours, theirs)
    assert not {"item.default", "_local_scalar_dense.default", "nonzero.default"} & ours.keys()


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
