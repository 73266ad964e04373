"""Who fetches, finishes and writes the sound: nobody waits for it, and nobody hears who it was."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
import torch

from bot.engine import repertoire
from bot.engine.contract import Idle
from bot.engine.executors import Executor, InlineExecutor, ThreadExecutor, run_future
from bot.engine.files import mastering, results
from bot.engine.messages import Part, Previewed, Progress, Render, Took
from bot.engine.musicgen import loading
from bot.engine.musicgen.codec import Codec, Sound
from bot.engine.musicgen.model import MusicGen
from bot.engine.settings import EngineSettings
from bot.errors import JobError
from tests.support.random_codec import encodec
from tests.support.random_lm import language_model

T = TypeVar("T")

CARD = 64


class Later:
    """Does nothing before it is told to."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        self._calls.append(lambda: run_future(future, call))
        return future

    def work(self) -> None:
        while self._calls:
            self._calls.pop(0)()


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(encodec(bins=CARD))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Executor], MusicGen]:
    def new(writer: Executor) -> MusicGen:
        lm = language_model(card=CARD, dtype=torch.float32)
        own = SimpleNamespace(lm=lm, frame_rate=50, extend_stride=4, max_duration=6)
        own.compression_model = encodec(bins=CARD)
        monkeypatch.setattr(loading, "load", lambda *_: own)
        return MusicGen(
            "small",
            EngineSettings(device="cpu", precision="float32", slots=3, kernels="torch"),
            writer,
        )

    return new


def order(folder: Path, number: int, seconds: int, takes: int = 1) -> Render:
    folder.mkdir(exist_ok=True)
    parts = [
        Part(
            number=take,
            seed=10 * number + take,
            audio=str(folder / f"{number}-{take}.wav"),
            codes=str(folder / f"{number}-{take}.npy"),
            preview=str(folder / f"{number}-{take}.preview.wav"),
        )
        for take in range(1, takes + 1)
    ]
    return Render(
        id=number,
        prompt="slow piano with rain",
        seconds=seconds,
        model="small",
        parts=tuple(parts),
        options={"top_k": 50},
        picture=str(folder / f"{number}.png"),
    )


def together(model: MusicGen, *renderings: Iterator[Any]) -> Iterator[Any]:
    """Yield what is said of renders that are made together, as a worker does."""
    left = list(renderings)
    while left:
        model.step()
        turns = [next(each, StopIteration) for each in left]
        left = [each for each, said in zip(left, turns, strict=True) if said is not StopIteration]
        if all(isinstance(said, Idle) for said in turns):
            time.sleep(0.01)
        yield from (said for said in turns if isinstance(said, Previewed | Took))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_are_the_same_whoever_writes_them(
    engine: Callable[[Executor], MusicGen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PREVIEW_SECONDS", 2)
    said = []
    for writer in (InlineExecutor(), ThreadExecutor("writer")):
        model, folder = engine(writer), tmp_path / type(writer).__name__
        orders = order(folder, 1, 5, takes=2), order(folder, 2, 3)
        renderings = [model.render(each, lambda: False) for each in orders]
        said.append(sorted(together(model, *renderings), key=lambda each: each.id))
    assert said[0] == said[1]
    assert [type(each) for each in said[0]] == [Previewed, Took, Took, Previewed, Took]
    assert contents(tmp_path / "InlineExecutor") == contents(tmp_path / "ThreadExecutor")
    assert len(contents(tmp_path / "InlineExecutor")) == 11


def test_others_go_on_while_a_piece_is_written(
    engine: Callable[[Executor], MusicGen], tmp_path: Path
) -> None:
    writer = Later()
    model = engine(writer)
    short, long = (model.render(order(tmp_path, *each), lambda: False) for each in [(1, 1), (2, 5)])
    while not isinstance(next(short), Idle):
        model.step()
        next(long)
    for _ in range(100):
        model.step()
        assert isinstance(next(long), Progress)
        assert isinstance(next(short), Idle)
    assert list(tmp_path.iterdir()) == []
    writer.work()
    assert isinstance(next(short), Took)
    assert next(short, None) is None
    assert {path.name for path in tmp_path.iterdir()} == {"1-1.wav", "1-1.npy", "1.png"}


def test_what_is_cancelled_while_it_is_finished_is_not_written(
    engine: Callable[[Executor], MusicGen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, pcm = threading.Event(), threading.Event(), mastering.pcm

    def slow(*sound: Any) -> Any:
        begun.set()
        go.wait()
        return pcm(*sound)

    monkeypatch.setattr(mastering, "pcm", slow)
    writer = ThreadExecutor("writer")
    model = engine(writer)
    rendering = model.render(order(tmp_path, 1, 1, takes=2), lambda: False)
    while not isinstance(next(rendering), Idle):
        model.step()
    begun.wait()
    rendering.close()
    go.set()
    writer.submit(lambda: None).result()
    assert list(tmp_path.iterdir()) == []


def no_memory(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("fault", ["disk", "memory"])
def test_what_fails_in_the_writer_fails_that_piece_alone(
    engine: Callable[[Executor], MusicGen],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    model = engine(ThreadExecutor("writer"))
    bad, good = order(tmp_path / "bad", 1, 1, takes=2), order(tmp_path / "good", 2, 3)
    rendering, other = model.render(bad, lambda: False), model.render(good, lambda: False)
    with monkeypatch.context() as patched:
        if fault == "disk":
            (tmp_path / "bad" / "1-1.wav").mkdir()
        else:
            patched.setattr(Sound, "samples", no_memory)
        with pytest.raises(JobError) as told:
            list(together(model, rendering, other))
    said = (
        "could not be saved" if fault == "disk" else "The memory is too small for this piece now."
    )
    assert said in str(told.value)
    assert told.value.fault == fault
    assert not any(path.is_file() for path in (tmp_path / "bad").iterdir())
    assert list(together(model, other)) == [Took(id=2, number=1, seconds=3.0)]


def test_a_gpu_has_a_writer_beside_its_steps_and_a_cpu_has_none() -> None:
    assert isinstance(repertoire.writer(torch.device("cuda")), ThreadExecutor)
    assert isinstance(repertoire.writer(torch.device("cpu")), InlineExecutor)
