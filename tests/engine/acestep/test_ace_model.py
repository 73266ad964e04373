"""Orders to a loaded ACE-Step, in this process."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from bot.engine import cards
from bot.engine.acestep import denoising, loading
from bot.engine.acestep.model import AceStep
from bot.engine.acestep.session import Session
from bot.engine.acestep.tiles import reach
from bot.engine.executors import ThreadExecutor
from bot.engine.files import mastering
from bot.engine.files.results import Results
from bot.engine.messages import Progress, Took
from bot.engine.settings import EngineSettings
from bot.errors import JobError, OperatorError
from bot.values import Fault
from tests.support.engines import Files
from tests.support.songs import begun, rendered
from tests.support.tiny_acestep import CHANNELS, RATIOS, write

RATE, HOP = 48000, 1920
SETTINGS = EngineSettings(device="cpu", precision="float32", slots=3, finishes=False)


@pytest.fixture(scope="module")
def model(ace: Path) -> AceStep:
    return AceStep(str(ace), SETTINGS)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> AceStep:
    folder = tmp_path_factory.mktemp("base") / "ace-base"
    write(folder, turbo=False)
    return AceStep(str(folder), SETTINGS)


def made(model: AceStep, files: Files, seconds: int, *seeds: int, **more: Any) -> list[Any]:
    """Render one order, and return what was told of it."""
    (told,) = rendered(model, files.song(seconds, *seeds, **more))
    return told


def test_what_is_loaded_is_what_its_card_says(model: AceStep, base: AceStep) -> None:
    for each, steps, guidance in ((model, 8, 1.0), (base, 30, 7.0)):
        ready = each.ready()
        assert (ready.confirms.sample_rate, ready.confirms.channels) == (RATE, 2)
        assert ready.confirms.options == {"steps": steps, "guidance": guidance}
        assert cards.card(ready.models[0]).complete({}) == ready.confirms.options
        assert (ready.device, ready.precision, ready.slots) == ("cpu", "float32", 3)
        assert ready.pace > 0


def test_a_piece_is_the_pipelines_own_cut_to_the_sample(model: AceStep, files: Files) -> None:
    told = made(model, files, 8, 7)
    assert told[-1] == Took(id=told[-1].id, number=1, seconds=8.0)
    latents = model.pipe(
        prompt=["slow piano with rain"],
        lyrics=["[verse]\nla la la"],
        vocal_language="en",
        audio_duration=10.0,
        num_inference_steps=2,
        guidance_scale=1.0,
        generator=[torch.Generator().manual_seed(7)],
        output_type="latent",
    ).audios.half()
    assert np.array_equal(files.latents(1), latents[0, :200].numpy())
    with torch.inference_mode():
        sound = model.pipe.vae.decode(latents.float().mT).sample[0, :, : 8 * RATE].numpy()
    found = files.samples(1, RATE)
    assert found.shape == (2, 8 * RATE)
    peak = np.abs(sound).max()
    assert 10 ** (-1 / 20) > peak > 0.1, "it needs no turning down"
    assert np.abs(found - sound * 32767).max() <= 1


def test_the_finish_gives_it_the_loudness_of_all_pieces_and_its_ends_a_fade(
    ace: Path, files: Files
) -> None:
    model = AceStep(str(ace), replace(SETTINGS, finishes=True))
    made(model, files, 2, 7)
    found = files.samples(1, RATE) / 32767
    assert found.shape == (2, 2 * RATE)
    assert abs(mastering.loudness(found, RATE) - mastering.TARGET_LOUDNESS) < 0.3
    assert np.abs(found[:, [0, -1]]).max() < 1e-3


@pytest.mark.parametrize("seconds", [1, 10, 11])
def test_the_length_is_exact_and_the_shortest_that_the_model_plays_is_cut(
    model: AceStep, files: Files, seconds: int
) -> None:
    steps, tiles = 2, -(-seconds // 5)
    told = made(model, files, seconds, 7)
    assert [(each.done, each.total) for each in told if isinstance(each, Progress)] == [
        (done, steps + tiles) for done in range(1, steps + tiles + 1)
    ]
    assert files.samples(1, RATE).shape == (2, seconds * RATE)
    assert files.latents(1).shape == (25 * seconds, CHANNELS)
    assert files.latents(1).nbytes == 3200 * seconds


def test_each_of_five_takes_is_the_single_request_with_its_seed(
    model: AceStep, folders: Callable[[], Files]
) -> None:
    five = folders()
    told = made(model, five, 1, *range(5, 10))
    assert [each.number for each in told if isinstance(each, Took)] == [1, 2, 3, 4, 5]
    for number in (1, 4):
        alone = folders()
        made(model, alone, 1, 4 + number)
        assert np.array_equal(alone.latents(1), five.latents(number))
        assert np.array_equal(alone.samples(1, RATE), five.samples(number, RATE))
    assert not np.array_equal(five.latents(1), five.latents(2))


def test_takes_in_a_batch_are_those_alone_but_for_rounding(model: AceStep, files: Files) -> None:
    found = []
    for batch in (1, 2):
        session = Session(model.pipe, files.song(1, 7, 8, 9), shortest=10)
        session.batch = batch
        while not session.ended:
            session.step()
        assert session.done == session.total
        found.append([take.latents.astype(float) for take in session.finished()])
    for alone, beside in zip(*found, strict=True):
        assert np.abs(alone - beside).max() <= 2e-3, "a float16 keeps eleven bits"


def test_orders_that_take_turns_are_as_alone(model: AceStep, folders: Callable[[], Files]) -> None:
    beside, alone = (folders(), folders()), (folders(), folders())
    asked = ((1, 7, 8), (6, 9))
    told = rendered(model, *(f.song(*each) for f, each in zip(beside, asked, strict=True)))
    assert [sum(isinstance(each, Took) for each in said) for said in told] == [2, 1]
    for files, other, (seconds, *seeds) in zip(alone, beside, asked, strict=True):
        made(model, files, seconds, *seeds)
        for number in range(1, len(seeds) + 1):
            assert np.array_equal(files.samples(number, RATE), other.samples(number, RATE))


def test_a_step_should_last_by_the_frames_and_rows_that_it_is_of(
    model: AceStep, base: AceStep, folders: Callable[[], Files]
) -> None:
    def expected(model: AceStep, seconds: int, **options: float) -> float:
        assert model.expected() == 0
        render = model.render(folders().song(seconds, 7, options=options), lambda: False)
        next(render)
        found = model.expected()
        render.close()
        return found

    assert 0 < expected(model, 3) == expected(model, 10), "none is made shorter, and cut"
    assert expected(model, 10) < expected(model, 100_000)
    assert expected(model, 200_000) == pytest.approx(2 * expected(model, 100_000))
    guided, plain = (expected(base, 100_000, guidance=guidance) for guidance in (7, 1))
    assert guided == pytest.approx(2 * plain)


def test_a_cancellation_at_any_step_leaves_only_what_was_told_and_changes_nothing(
    model: AceStep, folders: Callable[[], Files]
) -> None:
    quiet = folders()
    made(model, quiet, 1, 7)
    for steps in range(7):  # the words, two steps and a tile for each of two takes
        lost = folders()
        going = model.render(lost.song(1, 1, 2), lambda: False)
        told = [next(going)]
        for _ in range(steps):
            model.step()
            told.append(next(going))
        going.close()
        whole = [each.number for each in told if isinstance(each, Took)]
        assert lost.all() == {f"{number}.{kind}" for number in whole for kind in ("wav", "npy")}
        assert whole == ([1] if steps > 4 else [])
        model.step()  # nobody's turn
    again = folders()
    made(model, again, 1, 7)
    assert np.array_equal(again.samples(1, RATE), quiet.samples(1, RATE))


def test_a_piece_cannot_end_early(model: AceStep, files: Files) -> None:
    going = model.render(files.song(1, 7), lambda: True)
    told: list[Any] = []
    for said in going:
        told.append(said)
        model.step()
    assert isinstance(told[-1], Took)
    assert files.samples(1, RATE).shape == (2, RATE)


@pytest.fixture(scope="module")
def extended(model: AceStep, tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Files]:
    """A piece of eight seconds, and two takes that go on from it for four."""
    first, longer = (Files(tmp_path_factory.mktemp(name)) for name in ("first", "longer"))
    made(model, first, 8, 1)
    made(model, longer, 4, 7, 8, prefix=str(first.folder / "1.npy"))
    return first, longer


def test_an_extension_keeps_what_it_goes_on_from(extended: tuple[Files, Files]) -> None:
    first, longer = extended
    for number in (1, 2):
        assert longer.samples(number, RATE).shape == (2, 12 * RATE)
        assert np.array_equal(longer.latents(number)[:200], first.latents(1))
    assert not np.array_equal(longer.latents(1)[200:], longer.latents(2)[200:])


def test_an_extension_sounds_as_the_piece_did_up_to_the_seam(
    model: AceStep, extended: tuple[Files, Files]
) -> None:
    first, longer = extended
    old, new = first.samples(1, RATE), longer.samples(1, RATE)
    heard = (200 - reach(RATIOS)) * HOP  # further on the codec hears what follows
    assert np.abs(old[:, :heard].astype(int) - new[:, :heard]).max() <= 1
    steps = np.abs(np.diff(new.astype(int)))
    seam = slice(8 * RATE - HOP, 8 * RATE + HOP)
    assert steps[:, seam].max() <= steps[:, RATE : 7 * RATE].max(), "no click"
    with torch.inference_mode():
        latents = torch.from_numpy(longer.latents(1)).float().T[None]
        whole = model.pipe.vae.decode(latents).sample[0].numpy()
    assert np.abs(new - whole * 32767).max() <= 1


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (None, "missing, or was made by another model"),
        (b"no latents", "missing, or was made by another model"),
        (np.zeros((4, 50), dtype=np.int16), "missing, or was made by another model"),
        (np.zeros((50, 8), dtype=np.float16), "missing, or was made by another model"),
        (np.zeros((0, CHANNELS), dtype=np.float16), "missing, or was made by another model"),
        (np.zeros((50, CHANNELS, 2), dtype=np.float16), "missing, or was made by another model"),
        (np.full((50, CHANNELS), np.nan, dtype=np.float16), "is damaged"),
    ],
    ids=["gone", "garbage", "MusicGen's", "another width", "empty", "another shape", "no numbers"],
)
def test_what_cannot_be_gone_on_from_is_said(
    model: AceStep, files: Files, kept: Any, said: str
) -> None:
    file = files.folder / "kept.npy"
    if isinstance(kept, bytes):
        file.write_bytes(kept)
    elif kept is not None:
        np.save(file, kept)
    (error,) = made(model, files, 1, 7, prefix=str(file))
    assert error.fault is Fault.REQUEST
    assert said in str(error)


@pytest.mark.parametrize("part", ["transformer", "vae.decoder"])
def test_too_little_memory_in_a_step_costs_that_order_alone(
    model: AceStep, folders: Callable[[], Files], part: str
) -> None:
    quiet, lost, kept = folders(), folders(), folders()
    made(model, quiet, 1, 8)
    inner = model.pipe.transformer if part == "transformer" else model.pipe.vae.decoder
    forward, calls = inner.forward, iter(range(100))

    def spill(*arguments: Any, **named: Any) -> Any:
        if next(calls) == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return forward(*arguments, **named)

    with patch.object(inner, "forward", spill):
        failed, told = rendered(model, lost.song(1, 7), kept.song(1, 8))
    assert isinstance(failed[-1], JobError)
    assert failed[-1].fault is Fault.MEMORY
    assert lost.all() == set()
    assert isinstance(told[-1], Took)
    assert np.array_equal(kept.samples(1, RATE), quiet.samples(1, RATE))


@pytest.mark.parametrize("beside", [False, True], ids=["at once", "by a thread"])
def test_too_little_memory_to_write_a_take_costs_that_order_alone(
    ace: Path, model: AceStep, folders: Callable[[], Files], *, beside: bool
) -> None:
    lost, kept = folders(), folders()
    own = AceStep(str(ace), SETTINGS, ThreadExecutor("writer")) if beside else model
    with patch.object(Results, "took", side_effect=MemoryError):
        said = made(own, lost, 1, 7)[-1]
    assert isinstance(said, JobError)
    assert said.fault is Fault.MEMORY
    assert isinstance(made(own, kept, 1, 7)[-1], Took)


def test_too_little_memory_to_load_it_is_said_to_the_operator(ace: Path) -> None:
    with (
        patch.object(loading, "load", side_effect=MemoryError),
        pytest.raises(OperatorError, match=r"too little free memory for .*ace: take it out of"),
    ):
        AceStep(str(ace), SETTINGS)


def test_a_model_that_computes_no_numbers_is_refused_as_it_is_loaded(ace: Path) -> None:
    whole = loading.load

    def spoilt(*given: Any) -> Any:
        pipe = whole(*given)
        pipe.condition_encoder.silence_latent.fill_(np.nan)
        return pipe

    with (
        patch.object(loading, "load", spoilt),
        pytest.raises(OperatorError, match="ace cannot play: the model computes NaN or infinity"),
    ):
        AceStep(str(ace), SETTINGS)


def test_what_is_no_number_is_no_music(model: AceStep, files: Files) -> None:
    inner = model.pipe.transformer
    forward = inner.forward
    with patch.object(inner, "forward", lambda **said: (forward(**said)[0] * np.nan,)):
        told = made(model, files, 1, 7)
    assert isinstance(told[-1], JobError)
    assert told[-1].fault is Fault.NUMBERS
    assert "the model computes NaN or infinity" in str(told[-1])
    assert files.all() == set()


def test_a_step_that_fails_otherwise_ends_the_process(model: AceStep, files: Files) -> None:
    with (
        patch.object(model.pipe.transformer, "forward", side_effect=RuntimeError("broken")),
        pytest.raises(RuntimeError, match="broken"),
    ):
        made(model, files, 1, 7)


@pytest.mark.parametrize(("steps", "guidance"), [(1, 1), (60, 1), (2, 15)])
def test_options_have_their_bounds(base: AceStep, files: Files, steps: int, guidance: int) -> None:
    told = made(base, files, 1, 7, options={"steps": steps, "guidance": guidance})
    assert isinstance(told[-1], Took)
    assert np.isfinite(files.latents(1)).all()


def test_guidance_and_words_are_heard(base: AceStep, folders: Callable[[], Files]) -> None:
    found = []
    for more in (
        {},
        {"options": {"steps": 2, "guidance": 5}},
        {"prompt": "loud drums"},
        {"lyrics": "[verse]\nlo lo"},
        {"lyrics": None},
        {"language": "fr"},
    ):
        files = folders()
        made(base, files, 1, 7, **more)
        found.append(files.latents(1).tobytes())
    assert len(set(found)) == len(found)


def test_a_thread_writes_the_files_where_there_is_one(ace: Path, files: Files) -> None:
    model = AceStep(str(ace), SETTINGS, ThreadExecutor("writer"))
    picture = str(files.folder / "picture.png")
    told = made(model, files, 1, 7, 8, picture=picture)
    assert [each.number for each in told if isinstance(each, Took)] == [1, 2]
    assert files.all() == {"1.wav", "1.npy", "2.wav", "2.npy", "picture.png"}


def test_half_precision_is_near_enough(ace: Path) -> None:
    noise = torch.randn(1, 250, CHANNELS, generator=torch.Generator().manual_seed(7))
    found = []
    for precision in (torch.float32, torch.bfloat16):
        pipe = loading.load(str(ace), torch.device("cpu"), precision)
        assert (pipe.transformer.dtype, pipe.vae.dtype) == (precision, torch.float32)
        with patch.object(denoising, "noise", return_value=noise.to(precision)):
            kept = torch.empty(0, CHANNELS, dtype=precision)
            found.append(begun(pipe, 7, kept=kept).velocity(0.5).float())
    exact, half = found
    assert (exact - half).std() <= 0.02 * exact.std()


def test_precisions_of_musicgen_alone_leave_it_to_the_device(ace: Path) -> None:
    model = AceStep(str(ace), EngineSettings(device="cpu", precision="int8"))
    assert model.ready().precision in ("bfloat16", "float32")
