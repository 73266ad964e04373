"""kill -9 at random instants, on the bot and on its engine: nothing that was accepted is lost."""

import asyncio
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import Plan
from bot.tables.engines import state as engine_state
from bot.values import EngineState, Status, Wish
from tests.support.clock import until
from tests.support.processes import alive, children, program
from tests.support.studio import GENEROUS, origin
from tests.support.world import world

ROUNDS = int(os.environ.get("KILLS", "10"))

DEMO_ROUNDS = min(ROUNDS, 50)
"""Kills of one demo: each takes a second of the 120 that its member has a day."""


def bot(folder: Path, what: str) -> AbstractContextManager[subprocess.Popen[str]]:
    command: list[str | Path] = [sys.executable, "-m", "tests.support.killed_bot", folder, what]
    return program(command, stdout=subprocess.PIPE)


def test_kills_at_random_lose_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice, folder = random.Random(seed), tmp_path / "data"
    engines: set[int] = set()
    for _ in range(ROUNDS):
        with bot(folder, "ask") as running:
            assert running.stdout
            assert running.stdout.readline(), "it asked for a piece"
            time.sleep(dice.uniform(0, 0.6))
            engines.update(children(running.pid))
            running.kill()
    with bot(folder, "finish") as running:
        assert running.wait() == 0
    assert not any(map(alive, engines))
    accepted = {int(line) for line in (tmp_path / "journal").read_text().split()}
    with sqlite3.connect(folder / "fantasia.db") as database:
        ended = dict(database.execute("SELECT id, status FROM jobs"))
        charged = dict(
            database.execute("SELECT job_id, SUM(charged_seconds) FROM takes GROUP BY 1")
        )
        posts = dict(
            database.execute(
                "SELECT job_id, COUNT(*) FROM posts WHERE kind = 'result'"
                " AND delivered_at IS NOT NULL GROUP BY 1"
            )
        )
        (named,) = zip(
            *database.execute("SELECT audio FROM takes UNION SELECT codes FROM takes"), strict=True
        )
    assert accepted <= set(ended)
    twice = {job for job, status in ended.items() if status == "failed"}
    print(f"{ROUNDS} kills: {len(ended)} pieces, {len(twice)} of them cut off twice and given back")
    assert set(ended.values()) <= {"delivered", "failed"}
    assert charged == {job: 0 if job in twice else 4 for job in ended}
    assert posts == dict.fromkeys(ended.keys() - twice, 1)
    assert {f"audio/{file.name}" for file in (folder / "audio").iterdir()} == set(named) - {None}


def demo(folder: Path, out: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bot", "demo", "--headless", "--engine", "sketch"]
    command += ["--pace", "0", "--duration", "1", "--data", str(folder), "--out", str(out)]
    return program(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.parametrize("_", range(ROUNDS // DEMO_ROUNDS))
def test_the_demo_is_killed_at_random_and_what_it_accepted_is_delivered(
    tmp_path: Path, _: int
) -> None:
    """The transcript is the journal: synced line by line, it says what was accepted."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice, folder = random.Random(seed), tmp_path / "data"
    engines: set[int] = set()
    for number in range(DEMO_ROUNDS):
        out = tmp_path / f"out-{number}"
        with demo(folder, out) as running:
            while running.poll() is None and not (out / "transcript.txt").exists():
                time.sleep(0.01)
            assert running.poll() is None, running.stderr and running.stderr.read()
            time.sleep(dice.uniform(0, 0.8))
            engines.update(children(running.pid))
            running.kill()
    with demo(folder, tmp_path / "out") as running:
        assert running.stderr
        told = running.stderr.read()
        assert running.wait() == 0, told
    assert not any(map(alive, engines))
    accepted = {
        int(number)
        for file in tmp_path.glob("out-*/transcript.txt")
        for number in re.findall(r"Queued as #(\d+)", file.read_text())
    }
    with sqlite3.connect(folder / "fantasia.db") as database:
        ended = dict(database.execute("SELECT id, status FROM jobs"))
        charged = dict(
            database.execute("SELECT job_id, SUM(charged_seconds) FROM takes GROUP BY 1")
        )
    print(f"{DEMO_ROUNDS} kills of the demo: {len(ended)} pieces")
    assert accepted
    assert accepted <= set(ended)
    assert set(ended.values()) == {"delivered"}
    assert charged == dict.fromkeys(ended, 1)


SKETCH = (sys.executable, "-m", "bot.engine.worker", "--engine", "sketch", "--pace", "0.2")


async def test_the_engine_is_killed_at_random_and_each_piece_is_made(plan: Plan) -> None:
    """A real engine, which dies while it loads, renders, writes or has nothing to do."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    tier = replace(GENEROUS, per_day=86_400)
    plan = replace(plan, command=SKETCH, models=("sketch",), defaults=(tier,))
    killed: set[int] = set()
    async with world(plan) as w:

        async def ready() -> bool:
            engines = set(children(os.getpid())) - killed
            return bool(engines) and await engine_state(w.database) is EngineState.READY

        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        for number in range(1, ROUNDS + 1):
            await until(ready)  # so that no piece sees two of them die
            await w.studio.submit(here, Wish(prompt="mozart fantasia", seconds=2, takes=2))
            await asyncio.sleep(dice.uniform(0, 1.5))
            for engine in children(os.getpid()):
                os.kill(engine, signal.SIGKILL)
                killed.add(engine)
            await w.ended(number, Status.DELIVERED)
        twice = sum([(await w.studio.job(number)).attempts == 2 for number in range(1, ROUNDS + 1)])
        print(f"{len(killed)} engines killed, {twice} of them while they rendered")
        assert len(w.results()) == ROUNDS
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).used == 4 * ROUNDS
        left = {file.name.split("-")[0] for file in (plan.folder / "audio").iterdir()}
        assert left == {str(number) for number in range(1, ROUNDS + 1)}
        assert not list((plan.folder / "audio").glob("*.part"))
    assert not any(map(alive, killed))
