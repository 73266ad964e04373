"""MusicGen engines in processes of their own, as in production, on tiny random checkpoints.

Those that any file may play with are started once for all of them.
"""

import atexit
import fcntl
import os
import pickle
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Self

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from bot.engine import names
from bot.engine.files import wav
from bot.engine.messages import (
    Cancelled,
    Done,
    Failed,
    Message,
    Part,
    Progress,
    Ready,
    Render,
    RenderReport,
    Report,
    Took,
    encode,
    report,
)
from bot.values import Fault
from tests.support.processes import SHARED
from tests.support.warm import Warm

ROOT = Path(__file__).parents[2]
SMALL, STEREO, OTHER = "facebook/musicgen-small", "facebook/musicgen-stereo-small", "other"

NUMBERS = count(1)

BESIDE = (
    "-c",
    """
import sys
from bot.engine import repertoire, worker
repertoire.writer = lambda _: repertoire.ThreadExecutor("writer")
sys.exit(worker.main())
""",
)
"""Starts a child in which a thread writes the files, as where a GPU steps."""


def seconds_of(music: Path) -> float:
    """Return the length of a file of music."""
    with music.open("rb") as opened:
        return wav.seconds(opened)


class Child:
    """The engine's process and the other end of its pipes."""

    def __init__(
        self,
        home: Path,
        model: str,
        device: str = "cpu",
        precision: str = "float32",
        log: Path = Path(os.devnull),
        more: Sequence[str] = (),
        start: Sequence[str] = ("-m", "bot.engine.worker"),
    ) -> None:
        """Start one that writes its stderr to `log`, without importing everything anew."""
        models = model.split(",")
        self.name, self.model = model, names.name(models[0])
        command = ["--engine", "musicgen", "--device", device, *more]
        command += ["--precision", precision, "--slots", "3", "--finish", "off"]
        command += [word for each in models for word in ("--model", each)]
        self.precision, self.log = precision, log
        with log.open("wb") as stderr:
            told = environment(home)
            self.process = warm(home).start([*start, *command], told, stderr.fileno())
        self._in, self.out = self.process.stdin, self.process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.close()

    def say(self, *messages: Message) -> None:
        """Say some things in one breath, so that none of them waits for this process."""
        for message in messages:
            if isinstance(message, Render) and not message.model:
                message = replace(message, model=self.model)
            self._in.write(encode(message))
        self._in.flush()

    def hear(self) -> Report:
        return report(self.out.readline())

    def end(self) -> int:
        """Say no more, and return the status with which the process ends."""
        self._in.close()
        return self.process.wait()

    def render(
        self, order: Render, then: Callable[[Report], Message | None] = lambda _: None
    ) -> list[Report]:
        """Return all reports of an order; `then` may answer each once heard."""
        self.say(order)
        heard: list[Report] = []
        while not heard or not isinstance(heard[-1], Done | Failed | Cancelled):
            heard.append(self.hear())
            if answer := then(heard[-1]):
                self.say(answer)
        return heard


class Files:
    """Where an order's takes go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def order(self, seconds: int, *seeds: int, top_k: int = 250) -> Render:
        return Render(
            id=next(NUMBERS),
            prompt="slow piano with rain",
            seconds=seconds,
            model="",
            parts=tuple(
                Part(
                    number=number,
                    seed=seed,
                    audio=str(self.audio(number)),
                    codes=str(self.folder / f"{number}.npy"),
                )
                for number, seed in enumerate(seeds, 1)
            ),
            options={"guidance": 2.5, "temperature": 1.1, "top_k": top_k},
        )

    def song(self, seconds: int, *seeds: int, **more: Any) -> Render:
        """Return an order for an ACE-Step."""
        said = {"lyrics": "[verse]\nla la la", "language": "en", "options": {"steps": 2}}
        return replace(self.order(seconds, *seeds), **said | more)

    def audio(self, number: int) -> Path:
        return self.folder / f"{number}.wav"

    def codes(self, number: int) -> NDArray[np.int16]:
        codes: NDArray[np.int16] = np.load(self.folder / f"{number}.npy")
        return codes

    def latents(self, number: int) -> NDArray[np.float16]:
        latents: NDArray[np.float16] = np.load(self.folder / f"{number}.npy")
        return latents

    def samples(self, number: int, rate: int = 32000) -> NDArray[np.int16]:
        with wave.open(str(self.audio(number))) as file:
            assert (file.getframerate(), file.getsampwidth()) == (rate, 2)
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            return pcm.reshape(-1, file.getnchannels()).T

    def all(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "HF_HOME": str(home), "CUDA_VISIBLE_DEVICES": "", **more}


@cache
def warm(home: Path) -> Warm:
    """Return what starts this process' engines over these models."""
    started = Warm(ROOT, environment(home, HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1"))
    atexit.register(started.close)
    return started


def run(home: Path, script: str, *arguments: str) -> None:
    """Run a script over these models, started as an engine is."""
    with TemporaryFile() as said:
        told = environment(home, HF_HUB_OFFLINE="1")
        process = warm(home).start(["-c", script, *arguments], told, said.fileno())
        process.stdout.read()
        process.close()
        said.seek(0)
        assert process.returncode == 0, said.read().decode()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoints, written once for all processes that run tests; nobody changes them."""
    return written(tmp_path_factory, "home", "tests.support.tiny_musicgen")


@pytest.fixture(scope="session")
def ace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny ACE-Step in a folder, likewise."""
    return written(tmp_path_factory, "ace", "tests.support.tiny_acestep")


def written(tmp_path_factory: pytest.TempPathFactory, name: str, module: str) -> Path:
    """Let a module write a folder, once for all processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.with_suffix(".part")
            command = [sys.executable, "-m", module, str(part)]
            subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
            part.rename(folder)
    return folder


@contextmanager
def shared(home: Path, model: str, **options: Any) -> Iterator[Child]:
    """Start an engine that all tests of this process may use."""
    with Child(home, model, **options) as child:
        SHARED.add(child.process.pid)
        assert isinstance(child.hear(), Ready)
        yield child


@pytest.fixture(scope="session")
def mono(home: Path) -> Iterator[Child]:
    with shared(home, SMALL) as child:
        yield child


@pytest.fixture(scope="session")
def stereo(home: Path) -> Iterator[Child]:
    """A thread of it writes the files."""
    with shared(home, STEREO, start=BESIDE) as child:
        yield child


@pytest.fixture(scope="session")
def other(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A model that our decoder does not know, with such a thread too; what it logs is in a file."""
    log = tmp_path_factory.mktemp("other") / "log"
    with shared(home, str(home / OTHER), log=log, start=BESIDE) as child:
        yield child


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "audio"
    folder.mkdir()
    return Files(folder)


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[], Files]:
    """New folders for the takes of one order each."""

    def new() -> Files:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return Files(folder)

    return new


def together(
    child: Child, *orders: Render, then: Callable[[Report], Message | None] = lambda _: None
) -> list[Report]:
    """Return all reports of some orders; `then` may answer each once heard."""
    for order in orders:
        child.say(order)
    heard: list[Report] = []
    left = {order.id for order in orders}
    while left:
        heard.append(told := child.hear())
        if isinstance(told, Done | Failed | Cancelled):
            left.remove(told.id)
        if answer := then(told):
            child.say(answer)
    return heard


def last(reports: list[Report], order: Render) -> Report:
    return of(reports, order)[-1]


def of(reports: list[Report], order: Render) -> list[Report]:
    """Return the reports of an order."""
    return [told for told in reports if isinstance(told, RenderReport) and told.id == order.id]


def steps(reports: list[Report]) -> list[tuple[int, int]]:
    return [(told.done, told.total) for told in reports if isinstance(told, Progress)]


def takes(reports: list[Report]) -> list[tuple[int, float]]:
    return [(told.number, told.seconds) for told in reports if isinstance(told, Took)]


def refusal(home: Path, model: str, device: str = "cpu") -> str:
    with Child(home, model, device) as child:
        said = child.hear()
        assert isinstance(said, Failed)
        assert (said.id, said.fault) == (0, Fault.LOAD)
        assert child.process.wait() == 1
    return said.reason


def checkpoint(file: Path, **package: object) -> None:
    """Write a file as torch.save would, without torch."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(package, protocol=2))
        archive.writestr("archive/version", "3\n")
