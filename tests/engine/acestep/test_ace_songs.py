"""ACE-Step in the engine's own process, as the bot runs it, beside a MusicGen."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from bot.engine.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    Finish,
    Loaded,
    Message,
    Progress,
    Ready,
    Render,
    Report,
    Took,
)
from bot.values import Fault
from tests.support.engines import SMALL, Child, Files, last, of, refusal, steps, takes, together

RATE = 48000
SCRIPTS = "Über Привет 你好 こんにちは 안녕 שלום مرحبا สวัสดี नमस्ते 👩‍🎤 <|endoftext|>\r\n"


@pytest.fixture(scope="module")
def child(home: Path, ace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """Both families, both loaded."""
    folder = tmp_path_factory.mktemp("songs")
    with Child(home, f"{SMALL},{ace}", log=folder / "log") as child:
        assert isinstance(child.hear(), Ready)
        files = Files(folder)
        assert any(isinstance(said, Loaded) for said in child.render(song(files, 1, 1)))
        yield child


def song(files: Files, seconds: int, *seeds: int, **more: object) -> Render:
    return replace(files.song(seconds, *seeds), model="ace", **more)


def test_five_takes_of_a_song_are_rendered_and_counted(child: Child, files: Files) -> None:
    lyrics = f"\0[verse]\x1b\n{SCRIPTS}" + "la " * 600
    reports = child.render(song(files, 8, *range(5), lyrics=lyrics))
    assert takes(reports) == [(number, 8.0) for number in range(1, 6)]
    counted = steps(reports)
    assert counted == sorted(counted)
    assert counted[-1] == (20, 20)
    assert all(files.samples(number, RATE).shape == (2, 8 * RATE) for number in range(1, 6))


def test_two_minutes_are_rendered(child: Child, files: Files) -> None:
    order = song(files, 120, 7, options={"steps": 1})
    reports = child.render(order)
    assert reports[-1] == Done(id=order.id)
    assert steps(reports)[-1] == (25, 25)
    assert files.samples(1, RATE).shape == (2, 120 * RATE)
    assert files.latents(1).nbytes == 120 * 25 * 64 * 2


def test_a_song_beside_another_family_changes_neither(
    child: Child, folders: Callable[[], Files]
) -> None:
    quiet = folders(), folders()
    child.render(quiet[0].order(2, 5))
    child.render(song(quiet[1], 1, 6))
    beside = folders(), folders()
    reports = together(child, beside[0].order(2, 5), song(beside[1], 1, 6))
    assert sum(isinstance(each, Took) for each in reports) == 2
    for name, rate in ((0, 32000), (1, RATE)):
        assert np.array_equal(quiet[name].samples(1, rate), beside[name].samples(1, rate))
    assert np.array_equal(quiet[0].codes(1), beside[0].codes(1))
    assert np.array_equal(quiet[1].latents(1), beside[1].latents(1))


def test_a_song_is_cancelled_at_its_next_step_and_leaves_nothing(
    child: Child, folders: Callable[[], Files]
) -> None:
    lost, kept = folders(), folders()
    long, beside = song(lost, 60, 1, options={"steps": 60}), song(kept, 1, 2)

    def then(told: Report) -> Message | None:
        return Cancel(id=long.id) if isinstance(told, Progress) and told.id == long.id else None

    reports = together(child, long, beside, then=then)
    assert last(reports, long) == Cancelled(id=long.id)
    assert steps(of(reports, long))[-1][0] < 60
    assert lost.all() == set()
    assert kept.samples(1, RATE).shape == (2, RATE)


def test_a_song_that_is_asked_to_end_early_is_made_whole(child: Child, files: Files) -> None:
    order = song(files, 10, 1)
    child.say(order, Finish(id=order.id))
    reports = together(child)
    while not reports or not isinstance(reports[-1], Done):
        reports.append(child.hear())
    assert files.samples(1, RATE).shape == (2, 10 * RATE)


def test_more_words_than_the_model_reads_are_refused_with_the_number(
    child: Child, files: Files
) -> None:
    order = song(files, 1, 1, lyrics="é" * 4000)
    (said,) = child.render(order)
    assert isinstance(said, Failed)
    assert said.fault is Fault.REQUEST
    assert said.reason.startswith("The lyrics are too long for the model: 8,000 tokens, and")
    assert files.all() == set()
    assert child.render(song(files, 1, 1))[-1] != said


def test_a_song_goes_on_from_its_latents_and_not_from_anothers(
    child: Child, folders: Callable[[], Files]
) -> None:
    first, more, other = folders(), folders(), folders()
    child.render(song(first, 2, 1))
    kept = str(first.folder / "1.npy")
    child.render(song(more, 3, 2, prefix=kept))
    assert more.samples(1, RATE).shape == (2, 5 * RATE)
    assert np.array_equal(more.latents(1)[:50], first.latents(1))
    (said,) = child.render(replace(other.order(1, 3), prefix=kept))
    assert isinstance(said, Failed)
    assert "made by another model" in said.reason


WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def cut_short(model: Path) -> None:
    (model / WEIGHTS).write_bytes((model / WEIGHTS).read_bytes()[:-1])


def pickled(model: Path) -> None:
    (model / WEIGHTS).rename((model / WEIGHTS).with_suffix(".bin"))


def of_another_family(model: Path) -> None:
    (model / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, f"its {WEIGHTS} is damaged or cut short"),
        (pickled, "has pickles in its transformer, which may hold code and are not opened"),
        (of_another_family, "state_dict.bin"),
    ],
)
def test_an_engine_does_not_start_with_a_model_that_cannot_sing(
    home: Path, ace: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    model = shutil.copytree(ace, tmp_path / "ace-own")
    damage(model)
    told = refusal(home, str(model))
    assert said in told
    assert str(model) in told
