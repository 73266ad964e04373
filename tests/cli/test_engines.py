"""How many engines the configuration starts, as `doctor` and `run` say it."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bot.cli.checks.check import Verdict
from bot.cli.checks.engine import engines
from bot.config import Config, DeviceSetting, PrecisionSetting
from bot.engine import host, weights
from bot.engine.cards import EngineName
from tests.support.command_line import TOKEN, bot, explained
from tests.support.processes import children, environment_of
from tests.support.stand_in import running, standing_in

LISTED = "echo 'GPU {0}: NVIDIA H100 (UUID: GPU-{0}{0}{0}{0}-aa)'\n"


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A PATH with an nvidia-smi that lists two GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n" + "".join(map(LISTED.format, range(2))))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return os.environ["PATH"]


@pytest.mark.usefixtures("two")
def test_doctor_says_what_each_engine_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    both = engines(Config())
    assert (both.verdict, both.found) == (
        Verdict.GOOD,
        "gpu-0: GPU-0000-aa\ngpu-1: GPU-1111-aa",
    )
    refused = engines(Config(engines=3))
    assert refused.verdict is Verdict.BAD
    assert "ENGINES is 3, but the number of GPUs that there are for it is 2" in refused.found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert engines(Config()).found == "gpu-0: all there is"


def test_doctor_notes_more_engines_than_a_cpu_has_cores_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    many = engines(Config(engine=EngineName.SKETCH, engines=64))
    assert many.verdict is Verdict.NOTE
    assert many.found.startswith("cpu-0: 1 CPU core\ncpu-1: 1 CPU core\n")
    assert "\n64 engines share what there is of CPU cores (" in many.found
    assert engines(Config(engine=EngineName.SKETCH)).found == "cpu-0: all there is"


def test_doctor_notes_more_weights_than_the_memory_holds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(home / "local")
    each = weights.of(model).size(model)
    monkeypatch.setattr(host, "cores", lambda: 4)
    monkeypatch.setattr(host, "available", lambda: 1.5 * each)
    two = Config(musicgen_model=model, device=DeviceSetting.CPU, engines=2)
    assert "2 engines load the same weights 2 times" in engines(two).found
    for fits in (replace(two, precision=PrecisionSetting.INT8), replace(two, engines=None)):
        assert engines(fits).verdict is Verdict.GOOD


def test_doctor_and_run_both_count_them(tmp_path: Path, two: str) -> None:
    assert "gpu-1: GPU-1111-aa" in bot(tmp_path, "doctor", PATH=two, COLUMNS="200").stdout
    done = bot(tmp_path, "run", PATH=two, ENGINES="3", DISCORD_TOKEN=TOKEN)
    assert "ENGINES is 3" in explained(done)


async def test_run_starts_as_many_as_it_is_told_and_divides_the_cores(tmp_path: Path) -> None:
    async with standing_in() as discord, running(discord, tmp_path, ENGINES="2") as run:
        while not all(f"engine {name} ready" in run.log for name in ("cpu-0", "cpu-1")):
            await asyncio.sleep(0.05)
        given = [environment_of(child) for child in children(run.pid)]
        assert await run.stopped() == 0, run.log
    shares = [int(each["OMP_NUM_THREADS"]) for each in given if "OMP_NUM_THREADS" in each]
    assert (len(shares), sum(shares)) == (2, max(2, host.cores()))
    assert ("2 engines share" in run.log) is (host.cores() < 4)
