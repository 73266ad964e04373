"""A bot over a cluster whose actors, nodes and head are lost: each piece is made once all the same.

`make test` has it live through the same losses every time, `make soak` through 60 pieces' of a SEED
that is printed, with MusicGen, too.
"""

import asyncio
import logging
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import Plan
from bot.tables import engines
from bot.tables.database import Database
from bot.values import EngineState, Limits, Status
from tests.support import ray_cluster
from tests.support.clock import until
from tests.support.ports import free_port
from tests.support.promises_kept import Rows, broken_meanwhile
from tests.support.ray_cluster import Nodes
from tests.support.studio import GENEROUS
from tests.support.world import World, asked, world

SOAK = float(os.environ.get("SOAK", "0"))
pytestmark = pytest.mark.usefixtures("token")

JOBS = 60 if SOAK else 10
SEED = int(os.environ.get("SEED") or (random.randrange(2**32) if SOAK else 19))

MARK = f"0.2{os.getpid()}"
"""The pace of this test's engines, by which they are known on the whole machine."""

WORKER = (sys.executable, "-m", "bot.engine.worker", "--pace", MARK, "--engine")
TINY = ("--model", "facebook/musicgen-small", "--device", "cpu", "--precision", "float32")
COMMANDS = {"sketch": (*WORKER, "sketch"), "small": (*WORKER, "musicgen", *TINY)}
"""Of each model; MusicGen has no pace, and is known by it all the same."""


def over(plan: Plan, address: str, model: str = "sketch") -> Plan:
    return replace(
        plan,
        command=COMMANDS[model],
        models=(model,),
        defaults=(replace(GENEROUS, waiting=JOBS, per_day=86_400),),
        limits=Limits(waiting=JOBS, waiting_per_server=JOBS),
        ray_address=address,
        silence=30.0,
        pause=0.2,
    )


async def ready(database: Database, *names: str) -> None:
    """Wait until these engines are ready, and no others are."""

    async def look() -> bool:
        found = await engines.every(database)
        return {each.name for each in found if each.state is EngineState.READY} == {*names}

    await until(look)


def ours() -> list[int]:
    """Return this test's engines, wherever they run."""
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [each for each in found if MARK in ray_cluster.command_of(each)]


async def all_ended(w: World, seen: Rows) -> Rows:
    """Wait until every piece has ended, and fail where something is wrong."""

    async def look() -> Rows | None:
        rows = Rows.of(w.folder)
        return None if rows.open_ones() else rows

    rows = await until(look)
    assert list(broken_meanwhile(seen, rows)) == []
    return rows


class Losses:
    """What befalls a cluster: nodes 127.0.0.3 and up, of which one at least stays."""

    def __init__(self, w: World, nodes: Nodes, dice: random.Random) -> None:
        self._w, self._nodes, self._dice = w, nodes, dice
        self._there = {3: 2}
        self._next = 4

    def engine(self) -> None:
        """An engine's process is killed."""
        if found := ours():
            ray_cluster.kill(self._dice.choice(found))

    def actor(self) -> None:
        """The process of an actor is killed, and its engine with it."""
        if found := ray_cluster.actors():
            ray_cluster.kill(self._dice.choice(found))

    def joins(self) -> None:
        """A node joins."""
        last, self._next = self._next, self._next + 1
        self._there[last] = self._dice.choice((1, 2))
        self._nodes.add(last, self._there[last])

    def raylet(self) -> None:
        """The raylet of a node is killed, and takes along what it started."""
        self._loses(self._nodes.kill_raylet)

    def leaves(self) -> None:
        """A node is killed with all that runs on it."""
        self._loses(self._nodes.kill)

    def _loses(self, kill: Callable[[int], None]) -> None:
        last = self._dice.choice([*self._there])
        del self._there[last]
        kill(last)
        if not self._there:
            self.joins()

    async def settled(self) -> None:
        """Wait until there are the engines of the nodes that are there."""
        names = (f"127.0.0.{n}/cpu-{k}" for n, count in self._there.items() for k in range(count))
        begun = time.monotonic()
        await ready(self._w.database, *names)
        print(f"  all engines ready after {time.monotonic() - begun:.1f} s")


@pytest.mark.parametrize("model", COMMANDS if SOAK else ["sketch"])
async def test_each_piece_is_made_once_while_actors_and_nodes_are_lost_and_join(
    plan: Plan, home: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    print("seed", SEED, model)
    dice = random.Random(SEED)
    monkeypatch.setenv("HF_HOME", str(home))  # of all nodes
    with ray_cluster.cluster() as nodes:
        nodes.add(3, engines=2)
        async with world(over(plan, nodes.address, model)) as w:
            losses = Losses(w, nodes, dice)
            await losses.settled()
            for _ in range(JOBS):
                await asked(w, "mozart fantasia", seconds=dice.randint(4, 12))
            seen = Rows.of(w.folder)
            turns = [losses.actor, losses.joins, losses.raylet, losses.leaves]
            for turn in turns if not SOAK else dice.choices([losses.engine, *turns], k=12):
                print(f" {turn.__doc__}")
                await asyncio.to_thread(turn)
                await asyncio.sleep(dice.uniform(1, 4))
                if dice.random() < 0.5:
                    await losses.settled()
            rows = await all_ended(w, seen)
            states = [job["status"] for job in rows.jobs.values()]
            print({state: states.count(state) for state in set(states)})
            assert len(states) == JOBS
            # One that lost its engine twice has failed, and cost nothing.
            assert {*states} <= {"delivered", "failed"}
            made = [number for number, job in rows.jobs.items() if job["status"] == "delivered"]
            assert len(made) > JOBS / 2
            for number in made:
                (take,), (post,) = rows.takes[number], rows.results[number]
                assert take["charged_seconds"] == rows.jobs[number]["seconds"]
                assert post["delivered_at"]
            assert len(w.results()) == len(made)
            assert not list((w.folder / "audio").glob("*.part"))
            await losses.settled()
            last = (await asked(w, "mozart fantasia", seconds=60)).id
            await w.ended(last, Status.RUNNING)
        await until(lambda: asyncio.sleep(0.1, not ours()))
    left = Rows.of(w.folder).jobs[last]
    assert (left["status"], left["attempts"], left["deaths"]) == ("queued", 0, 0), (
        "by the bot's end"
    )


@asynccontextmanager
async def beside(port: int) -> AsyncIterator[Nodes]:
    """Run a cluster beside a bot that goes on while it starts and ends."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, ray_cluster.cluster(port))
        await asyncio.to_thread(stack.close)


async def test_a_bot_outlives_its_clusters_head_and_waits_for_the_next(
    plan: Plan, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What renders is ended; then there is no engine, until there is a cluster again."""
    caplog.set_level(logging.INFO)
    # Ray ends its driver so many seconds after the head was lost, and 60 of its own accord.
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    port = free_port("127.0.0.2")
    address = f"127.0.0.2:{port}"

    def losses() -> int:
        return caplog.text.count("no engines until there is a cluster")

    async def lost_again(known: int) -> None:
        await until(lambda: asyncio.sleep(0.1, losses() > known))

    async with world(over(plan, address)) as w:
        await lost_again(0)
        assert f"There is no cluster at {address}: [Errno 111] Connection refused" in caplog.text
        async with beside(port) as nodes:
            nodes.add(3, engines=1)
            await ready(w.database, "127.0.0.3/cpu-0")
            await asked(w, "mozart fantasia", seconds=8)
            await w.ended(1, Status.RUNNING)
            known = losses()  # several, if it was asked while it started
            nodes.kill_brain()
            # It ends, unless the machine is so busy that Ray ends the link before: then it waits.
            await lost_again(known)
            await asked(w, "mozart fantasia", seconds=4)
            await ready(w.database)
        async with beside(port) as nodes:
            nodes.add(4, engines=1)
            rows = await all_ended(w, Rows.of(w.folder))
            assert [job["status"] for job in rows.jobs.values()] == ["delivered"] * 2
            known = losses()
            nodes.kill_raylet()
            await lost_again(known)
    await until(lambda: asyncio.sleep(0.1, not ours()))
