"""The MusicGen engine, in its own process as in production, on a tiny random checkpoint."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from bot.engine.files import wav
from bot.engine.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    Finish,
    Message,
    Progress,
    Ready,
    Report,
)
from bot.values import Fault
from tests.support.engines import (
    NUMBERS,
    OTHER,
    SMALL,
    STEREO,
    Child,
    Files,
    run,
    seconds_of,
    steps,
    takes,
)
from tests.support.tiny_musicgen import CARD

FIRST, FRAMES = 1503, 1500
"""Decoder steps and frames of a window of 30 s."""

LONG = 49
"""Seconds of a piece of three windows: 30, 18 and 1 of new music."""

OWN = """
import sys, json
import demucs.pretrained
import numpy as np
import torch
from audiocraft.models import MusicGen
class Demucs(torch.nn.Module):
    sources = ["drums", "bass", "other", "vocals"]
demucs.pretrained.get_model = lambda name: Demucs()  # its weights are not here, nor any tune
for model, cases in json.loads(sys.argv[1]).items():
    own = MusicGen.get_pretrained(model, device="cpu")
    for seconds, seed, file in cases:
        own.set_generation_params(duration=seconds, top_k=250, temperature=1.1, cfg_coef=2.5)
        torch.manual_seed(seed)
        sound, codes = own.generate(["slow piano with rain"], return_tokens=True)
        np.savez(file, sound=sound[0].numpy(), codes=codes[0].numpy())
"""


@pytest.fixture(scope="module")
def melody(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A model that a melody may steer besides the words; what it logs is in a file."""
    log = tmp_path_factory.mktemp("melody") / "log"
    with Child(home, str(home / "melody"), log=log) as child:
        assert isinstance(child.hear(), Ready)
        yield child


Sounds = dict[str, dict[str, NDArray[Any]]]
"""The sound and the codes of several requests."""


@pytest.fixture(scope="module")
def own(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Sounds:
    """What audiocraft's own `generate` makes of the same requests."""
    made = tmp_path_factory.mktemp("own")
    cases = {
        SMALL: [(2, 7, made / "2"), (LONG, 7, made / "long")],
        STEREO: [(2, 7, made / "st")],
        str(home / OTHER): [(2, 7, made / "other-2")],
        str(home / "melody"): [(2, 7, made / "melody-2"), (31, 7, made / "melody-31")],
    }
    run(home, OWN, json.dumps(cases, default=str))
    return {file.stem: dict(np.load(file)) for file in made.glob("*.npz")}


@pytest.fixture(scope="module")
def long(mono: Child, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Report], Files]:
    """A piece of three windows, rendered once for all who look at it."""
    files = Files(tmp_path_factory.mktemp("long"))
    return mono.render(files.order(LONG, 7)), files


def test_a_loaded_engine_says_what_it_is(home: Path) -> None:
    with Child(home, str(home / "local")) as child:
        ready = child.hear()
        assert isinstance(ready, Ready)
        assert ready.models == ("local",)
        assert (ready.device, ready.precision) == ("cpu", "float32")
        assert ready.slots == 3
        assert 0 < ready.pace < 100
        assert child.end() == 0


def test_a_take_is_as_long_as_asked_and_sounds(mono: Child, files: Files) -> None:
    reports = mono.render(files.order(2, 7))
    assert takes(reports) == [(1, 2.0)]
    assert isinstance(reports[-1], Done)
    samples = files.samples(1)
    assert samples.shape == (1, 64000)
    assert samples.std() > 100
    assert files.codes(1).shape == (4, 100)
    assert seconds_of(files.audio(1)) == 2.0


def test_a_stereo_take_has_two_channels_that_differ(stereo: Child, files: Files) -> None:
    stereo.render(files.order(2, 7))
    left, right = files.samples(1)
    assert left.shape == right.shape == (64000,)
    assert (left != right).any()
    assert files.codes(1).shape == (8, 100)


def test_progress_counts_every_step_of_all_takes(mono: Child, files: Files) -> None:
    told = steps(mono.render(files.order(2, 7, 8)))
    assert told == sorted(set(told))
    assert {(done % 2, total) for done, total in told} == {(0, 206)}
    assert (told[0], told[-1]) == ((2, 206), (206, 206))


def test_a_second_take_is_what_a_single_request_with_its_seed_gives(
    mono: Child, files: Files, tmp_path: Path
) -> None:
    mono.render(files.order(2, 7, 8))
    single = Files(tmp_path)
    mono.render(single.order(2, 8))
    assert (single.samples(1) == files.samples(2)).all()
    assert (single.codes(1) == files.codes(2)).all()
    assert (files.codes(1) != files.codes(2)).any()


def test_a_request_repeated_gives_the_same_samples(
    mono: Child, files: Files, tmp_path: Path
) -> None:
    again = Files(tmp_path)
    mono.render(files.order(3, 7))
    mono.render(again.order(3, 7))
    assert (files.samples(1) == again.samples(1)).all()


def test_the_music_is_audiocrafts_own(mono: Child, files: Files, own: Sounds) -> None:
    mono.render(files.order(2, 7))
    assert (files.codes(1) == own["2"]["codes"]).all()
    check_sound(files.samples(1), own["2"]["sound"])


def test_stereo_music_is_audiocrafts_own(stereo: Child, files: Files, own: Sounds) -> None:
    stereo.render(files.order(2, 7))
    assert (files.codes(1) == own["st"]["codes"]).all()
    check_sound(files.samples(1), own["st"]["sound"])


def test_music_past_the_window_is_audiocrafts_own(
    long: tuple[list[Report], Files], own: Sounds
) -> None:
    assert (long[1].codes(1) == own["long"]["codes"]).all()
    check_sound(long[1].samples(1), own["long"]["sound"])


def check_sound(samples: NDArray[np.int16], sound: NDArray[np.floating]) -> None:
    loudness = min(1.0, wav.LOUDEST_SAMPLE / np.abs(sound).max())
    assert np.abs(samples / 32767 - sound * loudness).max() < 1e-4


def test_a_piece_past_the_window_is_as_long_as_asked(long: tuple[list[Report], Files]) -> None:
    reports, files = long
    assert takes(reports) == [(1, LONG)]
    assert files.samples(1).shape == (1, LONG * 32000)
    assert files.codes(1).shape == (4, LONG * 50)


def test_progress_past_the_window_never_goes_back_and_ends_at_all(
    long: tuple[list[Report], Files],
) -> None:
    told, total = steps(long[0]), FIRST + (18 * 50 + 3) + (50 + 3)
    assert told == sorted(set(told))
    assert told[-1] == (total, total)


def test_a_cancelled_render_leaves_no_file_and_no_trace(
    mono: Child, files: Files, tmp_path: Path
) -> None:
    mono.render(files.order(2, 7))
    before = files.samples(1)
    cancelled = Files(tmp_path)
    order = cancelled.order(20, 7, 8)
    reports = mono.render(order, at(10, Cancel))
    assert isinstance(reports[-1], Cancelled)
    assert steps(reports)[-1] < (2006, 2006)
    assert not {name for name in cancelled.all() if name.endswith(("wav", "npy", "part"))}
    mono.render(files.order(2, 7))
    assert (files.samples(1) == before).all()


def at(done: int, answer: type[Finish | Cancel]) -> Callable[[Report], Message | None]:
    def then(told: Report) -> Message | None:
        if isinstance(told, Progress) and told.done >= done:
            return answer(id=told.id)
        return None

    return then


def test_finishing_keeps_the_music_made_so_far_of_every_take(mono: Child, files: Files) -> None:
    whole = Files(files.folder.parent / "whole")
    whole.folder.mkdir()
    mono.render(whole.order(20, 7, 8))
    reports = mono.render(files.order(20, 7, 8), at(400, Finish))
    assert isinstance(reports[-1], Done)
    kept = takes(reports)
    assert [number for number, _ in kept] == [1, 2]
    for number, seconds in kept:
        frames = round(seconds * 50)
        assert 197 <= frames < 600
        assert (files.codes(number) == whole.codes(number)[:, :frames]).all()
        assert files.samples(number).shape == (1, frames * 640)
    assert files.all() == {"1.wav", "1.npy", "2.wav", "2.npy"}


def test_finishing_before_there_is_a_second_of_music_waits_for_that(
    mono: Child, files: Files
) -> None:
    order = files.order(20, 7)
    mono.say(order, Finish(id=order.id))
    reports: list[Report] = []
    while not reports or not isinstance(reports[-1], Done):
        reports.append(mono.hear())
    ((number, seconds),) = takes(reports)
    assert number == 1
    assert 1 <= seconds < 1.1
    assert files.all() == {"1.wav", "1.npy"}


def test_a_model_that_the_decoder_does_not_know_plays_by_audiocrafts_own_loop(
    other: Child, files: Files, own: Sounds
) -> None:
    done = [done for done, total in steps(other.render(files.order(2, 7, 8))) if total == 206]
    assert done == sorted(set(done))
    assert done[-1] == 206
    assert (files.codes(1) == own["other-2"]["codes"]).all()
    assert (files.codes(1) != files.codes(2)).any()
    check_sound(files.samples(1), own["other-2"]["sound"])


def test_audiocrafts_own_loop_keeps_the_windows_that_are_complete(
    melody: Child, files: Files, own: Sounds
) -> None:
    reports = melody.render(files.order(40, 7, 8), at(FIRST + 1, Finish))
    assert takes(reports) == [(1, 30.0)]
    assert isinstance(reports[-1], Done)
    assert (files.codes(1) == own["melody-31"]["codes"][:, :FRAMES]).all()
    assert files.all() == {"1.wav", "1.npy"}


def test_a_render_by_audiocrafts_own_loop_is_cancelled_without_a_trace(
    other: Child, files: Files, own: Sounds
) -> None:
    reports = other.render(files.order(20, 7, 8), at(5, Cancel))
    assert isinstance(reports[-1], Cancelled)
    assert files.all() == set()
    other.render(files.order(2, 7))
    assert (files.codes(1) == own["other-2"]["codes"]).all()


@pytest.mark.parametrize("seconds", [2, 31])
def test_a_melody_model_plays_what_the_words_alone_give(
    melody: Child, files: Files, own: Sounds, seconds: int
) -> None:
    assert takes(melody.render(files.order(seconds, 7))) == [(1, seconds)]
    assert (files.codes(1) == own[f"melody-{seconds}"]["codes"]).all()
    check_sound(files.samples(1), own[f"melody-{seconds}"]["sound"])


@pytest.mark.parametrize(
    ("model", "what"), [("other", b"its activation"), ("melody", b"conditions other than words")]
)
def test_why_audiocrafts_own_loop_plays_is_in_the_log(
    request: pytest.FixtureRequest, model: str, what: bytes
) -> None:
    child: Child = request.getfixturevalue(model)
    assert b"our decoder does not support " + what in child.log.read_bytes()


def test_a_top_k_above_the_vocabulary_fails_that_render_only(mono: Child, files: Files) -> None:
    order = files.order(2, 7, top_k=CARD + 1)
    assert mono.render(order) == [
        Failed(
            id=order.id,
            fault=Fault.REQUEST,
            reason="top_k can be at most 2048 with small.",
        )
    ]
    assert isinstance(mono.render(files.order(1, 7, top_k=CARD))[-1], Done)


def test_music_that_cannot_be_saved_fails_that_render_only(mono: Child, files: Files) -> None:
    files.audio(1).mkdir()
    reports = mono.render(files.order(1, 7))
    assert isinstance(reports[-1], Failed)
    assert reports[-1].reason.startswith("The music could not be saved: ")
    assert files.all() == {"1.wav"}


FAULTY = """
import sys, torch
from bot.engine.musicgen import slot_loop; from bot.engine import worker

step = slot_loop.SlotLoop.step

def faulty(self):
    match self.slots - self.decoder.free:
        case 2:
            raise torch.OutOfMemoryError("no room for two")
        case 3:
            raise torch.AcceleratorError("CUDA error: an illegal access\\nCompile it otherwise.")
    step(self)

slot_loop.SlotLoop.step = faulty
sys.exit(worker.main())
"""
"""As on a GPU with room for one take, which three break: with torch's own errors."""


@pytest.fixture(scope="module")
def faulty(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    log = tmp_path_factory.mktemp("faulty") / "log"
    with Child(home, SMALL, start=("-c", FAULTY), log=log) as child:
        assert isinstance(child.hear(), Ready)
        yield child


def test_out_of_memory_ends_what_renders_and_take_by_take_there_is_room(
    faulty: Child, tmp_path: Path
) -> None:
    order = Files(tmp_path).order(2, 7, 8)
    *_, failed = faulty.render(order)
    assert isinstance(failed, Failed)
    assert failed.fault is Fault.MEMORY
    *_, done = faulty.render(replace(order, id=next(NUMBERS), one_by_one=True))
    assert isinstance(done, Done)
    *_, done = faulty.render(Files(tmp_path).order(2, 9))
    assert isinstance(done, Done), "and the engine goes on"


def test_an_error_of_the_gpu_ends_the_process_with_its_own_words(
    faulty: Child, tmp_path: Path
) -> None:
    """The last test of this engine."""
    faulty.say(Files(tmp_path).order(2, 7, 8, 9))
    faulty.out.read()
    assert faulty.process.wait() == 1
    words = faulty.log.read_text().splitlines()
    assert words[-1].endswith("AcceleratorError: CUDA error: an illegal access")
    assert any(line.startswith("Traceback") for line in words)
