"""Several engines over one queue: what befalls one of them leaves the others at work."""

import asyncio
import json
import os
import signal
from collections.abc import Collection
from dataclasses import replace

import pytest

from bot.app import Plan, compose
from bot.engine.placement import Placement
from bot.errors import OperatorError
from bot.tables import backlog, engines
from bot.tables.database import Transaction
from bot.values import EngineState, Job, Limits, Status, Wish
from tests.support.clock import until
from tests.support.studio import member, origin
from tests.support.world import World, asked, world


@pytest.fixture
def plan(plan: Plan) -> Plan:
    """A bot over two engines."""
    return two(plan)


def two(plan: Plan, first: dict[str, str] | None = None, **second: str) -> Plan:
    """Return a plan with two engines in environments of their own."""
    return replace(plan, placements=(Placement("cpu-0", first or {}), Placement("cpu-1", second)))


async def both_ready(w: World) -> None:
    async def ready() -> bool:
        found = [engine.state for engine in await engines.every(w.database)]
        return found == [EngineState.READY] * 2

    await until(ready)


async def job(w: World, number: int) -> Job:
    return await w.studio.job(number)


def kill(w: World, engine: str | None) -> None:
    pid = w.services.metrics.engines[engine or ""]
    assert pid
    os.kill(pid, signal.SIGKILL)


async def test_two_pieces_are_rendered_at_once_each_by_an_engine_of_its_own(plan: Plan) -> None:
    async with world(plan) as w:
        await both_ready(w)
        for _ in range(2):
            await asked(w, "slow")
        for number in (1, 2):
            await w.ended(number, Status.RUNNING)
        assert {(await job(w, 1)).engine, (await job(w, 2)).engine} == {"cpu-0", "cpu-1"}
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await asked(w, "play")
        await w.ended(3, Status.DELIVERED)
        assert (await job(w, 2)).status is Status.RUNNING


async def test_the_death_of_one_hands_back_its_own_piece_and_no_other(plan: Plan) -> None:
    async with world(plan) as w:
        await both_ready(w)
        await asked(w, "hang once")
        await asked(w, "slow")
        for number in (1, 2):
            await w.ended(number, Status.RUNNING)
        kill(w, (await job(w, 1)).engine)
        lost = await w.ended(1, Status.DELIVERED)
        other = await job(w, 2)
        assert (lost.deaths, lost.attempts) == (1, 2)
        assert (other.status, other.deaths, other.attempts) == (Status.RUNNING, 0, 1)


@pytest.mark.parametrize("how", ["hang", "lie codes", "garbage", "crash"])
async def test_one_that_hangs_lies_or_dies_costs_the_others_nothing(plan: Plan, how: str) -> None:
    """It is tried once more, and its piece fails if that costs an engine as well."""
    async with world(replace(plan, silence=3.0 if how == "hang" else 60.0)) as w:
        await both_ready(w)
        await asked(w, "slow")
        await w.ended(1, Status.RUNNING)
        at = (await job(w, 1)).engine
        await asked(w, how)
        failed = await w.ended(2, Status.DELIVERED if how == "lie codes" else Status.FAILED)
        assert failed.deaths == (1 if how == "lie codes" else 2 - 1), failed.reason
        others = await job(w, 1)
        assert (others.status, others.engine, others.deaths) == (Status.RUNNING, at, 0)
        await asked(w, "play")
        await w.ended(3, Status.DELIVERED)


async def test_what_ran_out_of_memory_is_alone_on_its_engine_and_the_other_goes_on(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, free = backlog.let_go, asyncio.Event()

    async def noticed(tx: Transaction, waiting: Collection[int]) -> None:
        await let_go(tx, waiting)
        free.set()

    monkeypatch.setattr(backlog, "let_go", noticed)
    async with world(replace(plan, command=("env", "SCRIPTED_SLOTS=2", *plan.command))) as w:
        await both_ready(w)
        for _ in range(2):
            await asked(w, "slow")
        for number in (1, 2):
            await w.ended(number, Status.RUNNING)
        await asked(w, "hungry once")

        async def waits_alone() -> str | None:
            found = await job(w, 3)
            return found.engine if found.attempts == 1 and found.status is Status.QUEUED else None

        # Until its files are gone it is still held by the one that tried it.
        await free.wait()
        async with w.database.transaction():
            pass
        at = await until(waits_alone)
        first, second = await job(w, 1), await job(w, 2)
        emptied, other = (first, second) if first.engine == at else (second, first)
        bob = origin(user=w.bob.id, guild=w.guild.id, channel=w.music.id)
        await w.studio.submit(bob, Wish(prompt="play", seconds=2))
        await w.ended(4, Status.DELIVERED)
        assert (await job(w, 3)).status is Status.QUEUED, (
            "the engine that it waits for is not empty"
        )
        await w.studio.cancel(emptied.id, member(w.alice.id, w.guild.id))
        assert (await w.ended(3, Status.DELIVERED)).engine == at
        assert (await job(w, other.id)).status is Status.RUNNING


async def test_an_engine_that_cannot_start_leaves_the_other_at_work_and_says_so_once(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = json.dumps({"slots": 0})
    async with world(two(plan, SCRIPTED_READY=wrong)) as w:
        for number in range(1, 8):
            await asked(w, "pause" if number < 4 else "play")
        for number in range(1, 8):
            assert (await w.ended(number, Status.DELIVERED)).engine == "cpu-0"
        lost = (await engines.every(w.database))[1]
        assert lost.state in (EngineState.LOST, EngineState.LOADING)
    said = [line for line in caplog.messages if "cpu-1" in line and "cannot start" in line]
    assert len(said) == 1, said
    assert "sent garbage" in said[0]


async def test_if_none_can_start_the_bot_ends_with_a_sentence(plan: Plan) -> None:
    with pytest.raises(ExceptionGroup) as stopped:
        async with compose(replace(plan, command=(*plan.command, "refuse"))):
            await asyncio.Event().wait()
    (error,) = stopped.value.exceptions
    assert isinstance(error, OperatorError)
    assert str(error) == "No engine can start: The weights are upside down."


async def test_a_paused_engine_ends_what_it_renders_and_begins_nothing(plan: Plan) -> None:
    async with world(plan) as w:
        await both_ready(w)
        await asked(w, "slow")
        at = (await w.ended(1, Status.RUNNING)).engine
        assert at
        async with w.database.transaction() as tx:
            assert await engines.pause(tx, at)
        for _ in range(3):
            await asked(w, "play")
        for number in (2, 3, 4):
            assert (await w.ended(number, Status.DELIVERED)).engine != at
        assert (await job(w, 1)).status is Status.RUNNING
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await w.restart(plan)
        await both_ready(w)
        for _ in range(3):
            await asked(w, "pause")
        for number in (5, 6, 7):
            assert (await w.ended(number, Status.DELIVERED)).engine != at
        async with w.database.transaction() as tx:
            assert await engines.resume(tx, at)
        for _ in range(2):
            await asked(w, "slow")
        for number in (8, 9):
            await w.ended(number, Status.RUNNING)


async def test_a_piece_goes_where_its_model_can_be(plan: Plan) -> None:
    """The other engine has too little memory for it; it is not refused, for one has enough."""
    large = {"SCRIPTED_MODELS": "scripted large"}
    plan = two(plan, large | {"SCRIPTED_UNFIT": "large"}, **large)
    async with world(replace(plan, models=("scripted", "large"))) as w:
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        for number in (1, 3, 5):
            await w.studio.submit(here, Wish(prompt="swap", seconds=2, model="large"))
            await asked(w, "play")
            assert (await w.ended(number, Status.DELIVERED)).engine == "cpu-1"


async def test_what_is_too_long_for_one_engine_goes_to_a_larger_one(plan: Plan) -> None:
    async with world(two(plan, {"SCRIPTED_MEMORY": "small"})) as w:
        await both_ready(w)
        await w.services.operations.pause_engine("cpu-1")
        await asked(w, "roomy", seconds=60)

        async def tried() -> bool:
            found = await job(w, 1)
            return found.attempts == 2 and found.status is Status.QUEUED

        await until(tried)
        await w.services.operations.resume_engine("cpu-1")
        first = await w.ended(1, Status.DELIVERED)
        assert (first.engine, first.attempts, first.deaths) == ("cpu-1", 3, 0)
        for number in (2, 3):
            await asked(w, "roomy", seconds=90)
            again = await w.ended(number, Status.DELIVERED)
            assert (again.engine, again.attempts) == ("cpu-1", 1), "it is known by now"
        smaller = (await engines.every(w.database))[0]
        assert (smaller.name, smaller.speeds["scripted"].too_long) == ("cpu-0", 60)


async def test_only_one_engine_makes_room_for_one_who_pays(plan: Plan) -> None:
    tier = replace(plan.defaults[0], per_day=5)
    async with world(replace(plan, defaults=(tier,), limits=Limits(idle_lane=True))) as w:
        await both_ready(w)
        await asked(w, "play", seconds=5)
        await w.ended(1, Status.DELIVERED)
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        for number in (2, 3):
            await w.studio.submit(here, Wish(prompt="slow", seconds=5))
            await w.ended(number, Status.RUNNING)
        bob = origin(user=w.bob.id, guild=w.guild.id, channel=w.music.id)
        await w.studio.submit(bob, Wish(prompt="slow", seconds=2))
        await w.ended(4, Status.RUNNING)
        states = [(await job(w, number)).status for number in (2, 3)]
        assert sorted(states) == [Status.QUEUED, Status.RUNNING]
        await w.studio.cancel(4, member(w.bob.id, w.guild.id))
        for number in (2, 3):
            await w.ended(number, Status.RUNNING)


async def test_an_idle_piece_gives_way_to_nobody_while_another_engine_has_room(plan: Plan) -> None:
    tier = replace(plan.defaults[0], per_day=5)
    async with world(replace(plan, defaults=(tier,), limits=Limits(idle_lane=True))) as w:
        await both_ready(w)
        await asked(w, "play", seconds=5)
        await w.ended(1, Status.DELIVERED)
        await asked(w, "slow", seconds=5)
        await w.ended(2, Status.RUNNING)
        bob = origin(user=w.bob.id, guild=w.guild.id, channel=w.music.id)
        for number in (3, 4, 5):
            await w.studio.submit(bob, Wish(prompt="play", seconds=1))
            await w.ended(number, Status.DELIVERED)
        assert (await job(w, 2)).attempts == 1
        assert (await job(w, 2)).status is Status.RUNNING


async def test_a_stop_is_for_its_own_piece_and_another_engine_goes_on_from_it(plan: Plan) -> None:
    """Each has its beginning posted before; the one that is stopped keeps what was made."""
    async with world(plan) as w:
        await both_ready(w)

        async def both_heard() -> bool:
            return all([(await job(w, number)).heard for number in (1, 2)])

        for _ in range(2):
            await asked(w, "long", seconds=40)
        await until(both_heard)
        at, other = [(await job(w, number)).engine for number in (1, 2)]
        assert {at, other} == {"cpu-0", "cpu-1"}
        alice = member(w.alice.id, w.guild.id)
        await w.studio.stop(1, alice)
        await w.ended(1, Status.DELIVERED)
        _, (stopped,) = await w.services.pieces.takes(1, alice)
        assert stopped.seconds == 33.5
        assert (await job(w, 2)).status is Status.RUNNING
        await w.services.operations.pause_engine(at or "")
        await w.studio.stop(2, alice)
        extension = await w.services.pieces.extension(1, 1, 5, alice)
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        longer = (await w.studio.submit(here, replace(extension, prompt="play"))).id
        assert (await w.ended(longer, Status.DELIVERED)).engine == other
        _, (extended,) = await w.services.pieces.takes(longer, alice)
        assert extended.seconds == 38.5


async def test_both_end_what_they_render_before_the_bot_goes(plan: Plan) -> None:
    async with world(plan) as w:
        await both_ready(w)
        for number in (1, 2):
            await asked(w, "pause")
            await w.ended(number, Status.RUNNING)
        await asked(w, "play")
        w.services.operations.drain()
        for number in (1, 2):
            assert (await w.ended(number, Status.DELIVERED)).attempts == 1
        assert (await job(w, 3)).status is Status.QUEUED
