"""MusicGen and ACE-Step in one child: swapped, and started again where it died."""

import os
import signal
import sys
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace as replaced
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot.app import Plan, compose
from bot.client import Fantasia
from bot.engine import names
from bot.engine.messages import Done, Loaded, Loading, Ready, Render
from bot.engine.names import Family
from bot.values import Status, Wish
from tests.support.clock import until
from tests.support.engines import SMALL, Child, Files
from tests.support.processes import children
from tests.support.studio import GENEROUS, origin


@pytest.fixture(scope="module")
def one_at_a_time(home: Path, ace: Path) -> Iterator[Child]:
    with Child(home, f"{SMALL},{ace}", more=("--models-loaded", "1")) as child:
        assert isinstance(child.hear(), Ready)
        yield child


def song(files: Files, ace: Path, *seeds: int) -> Render:
    order = files.order(2, *seeds)
    return replace(order, model=names.name(str(ace)), options={"steps": 2}, lyrics="[verse]\nla")


def heard(files: Files) -> tuple[tuple[int, int, int], bytes]:
    """Return the rate, channels and length of a take, and its samples."""
    with wave.open(str(files.audio(1))) as sound:
        shape = sound.getframerate(), sound.getnchannels(), sound.getnframes()
        return shape, sound.readframes(sound.getnframes())


def test_families_make_room_for_each_other_and_sound_as_before(
    one_at_a_time: Child, folders: Callable[[], Files], ace: Path
) -> None:
    child, name = one_at_a_time, names.name(str(ace))
    assert names.family(str(ace)) is Family.ACESTEP
    played = {}
    for turn in (1, 2):
        for kind in ("small", name):
            files = folders()
            order = song(files, ace, 7) if kind == name else files.order(2, 7)
            reports = child.render(replace(order, model=kind))
            assert isinstance(reports[-1], Done), reports[-1]
            if (turn, kind) != (1, "small"):
                assert reports[0] == Loading(id=order.id, model=kind)
                assert isinstance(reports[1], Loaded)
                assert (reports[1].models, reports[1].slots) == ((kind,), 3)
            played[turn, kind] = heard(files)
    assert played[1, "small"][0] == (32_000, 1, 64_000)
    assert played[1, name][0] == (48_000, 2, 96_000)
    for kind in ("small", name):
        assert played[1, kind] == played[2, kind]


async def test_what_either_family_had_begun_is_made_by_the_engine_that_is_started_next(
    plan: Plan, home: Path, ace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is killed in the middle of a song, while a piece waits for its model."""
    monkeypatch.setenv("HF_HOME", str(home))
    name = names.name(str(ace))
    command: tuple[str, ...] = (sys.executable, "-m", "bot.engine.worker", "--engine", "musicgen")
    command += ("--model", SMALL, "--model", str(ace), "--models-loaded", "1")
    command += ("--device", "cpu", "--precision", "float32", "--slots", "2")
    others = {*children(os.getpid())}
    both = replaced(plan, command=command, models=("small", name), defaults=(GENEROUS,))
    async with compose(both) as client:
        assert isinstance(client, Fantasia)
        studio = client.services.studio
        sung = Wish(prompt="slow piano", seconds=10, model=name, options={"steps": 60})
        jobs = [await studio.submit(origin(), sung)]
        jobs += [await studio.submit(origin(), Wish(prompt="x", seconds=1, model="small"))]

        async def begun() -> bool:
            return (await studio.job(jobs[0].id)).progress > 0

        await until(begun)
        (engine,) = {*children(os.getpid())} - others
        os.kill(engine, signal.SIGKILL)

        async def rendered() -> bool:
            now = [await studio.job(job.id) for job in jobs]
            return all(job.status is Status.RENDERED for job in now)

        await until(rendered)
        assert (await studio.job(jobs[0].id)).attempts == 2
    assert {file.name for file in (plan.folder / "audio").glob("*.wav")} == {"1-1.wav", "2-1.wav"}
