"""What engines could begin at once, and which of them begins a job."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot import queue
from bot.dispatch.openings import EngineSlots, begun_elsewhere, opening
from bot.dispatch.running_job import Phase
from bot.rules import fairness
from bot.tables import backlog, engines, jobs, state
from bot.tables.database import Database
from bot.values import Status, Wish
from tests.support import one_engine
from tests.support.clock import Clock
from tests.support.rows import put
from tests.support.studio import GENEROUS, a_studio, origin, rooms

MODELS = ("small", "ace", "large")


def engine(name: str, *loaded: str, unfit: tuple[str, ...] = (), slots: int = 2) -> EngineSlots:
    """Return an engine that is ready, with these models in memory."""
    found = EngineSlots(name)
    found.ready(MODELS, unfit, loaded[0], slots)
    for model in loaded[1:]:
        found.swapped(model, loaded, slots)
    return found


def begin(
    slots: EngineSlots, model: str = "small", takes: int = 1, phase: Phase = Phase.RENDERING
) -> None:
    """Let an engine have a job."""
    request = SimpleNamespace(model=model, takes=takes)
    job: Any = SimpleNamespace(job=SimpleNamespace(request=request), phase=phase)
    slots.running[len(slots.running) + 1] = job


def fleet(*engines: EngineSlots) -> dict[str, EngineSlots]:
    return {engine.name: engine for engine in engines}


def test_what_another_engine_has_loaded_with_a_slot_free_it_begins() -> None:
    mine, other = engine("a", "small"), engine("b", "ace", "large", slots=2)
    both = fleet(mine, other)
    assert set(opening(mine, both).elsewhere) == {"ace", "large"}
    assert set(opening(mine, both).better) == set()
    begin(other, "ace", takes=2)
    assert set(opening(mine, both).elsewhere) == {"large"}
    other.serving = False
    assert set(opening(mine, both).elsewhere) == set()


@pytest.mark.parametrize("phase", Phase)
def test_one_that_drops_a_job_begins_nothing_until_that_has_left(phase: Phase) -> None:
    mine, other = engine("a", "small"), engine("b", "ace")
    begin(other, "ace", phase=phase)
    both = fleet(mine, other)
    requeued = phase is Phase.REQUEUED
    assert set(opening(mine, both).elsewhere) == (set() if requeued else {"ace"})
    assert begun_elsewhere(mine, both) == set(MODELS)
    begin(other, "ace")
    assert begun_elsewhere(mine, both) == (set(MODELS) if requeued else set())


def test_of_two_that_have_a_model_the_one_with_less_to_do_begins_then_the_faster() -> None:
    mine, other = engine("a", "small"), engine("b", "small")
    both = fleet(mine, other)
    assert set(opening(mine, both).better) == set()
    begin(mine)
    assert set(opening(mine, both).better) == {"small"}
    begin(other)
    assert set(opening(mine, both).better) == set()
    mine.paces["small"], other.paces["small"] = 2.0, 1.0
    assert set(opening(mine, both).better) == {"small"}
    assert set(opening(other, both).better) == set()


def test_who_left_a_job_to_another_looks_again_once_that_declined() -> None:
    mine, other, third = engine("a", "small"), engine("b", "ace"), engine("c", "small")
    all_three = fleet(mine, other, third)
    mine.leaves()
    other.declined(all_three.values())
    assert (mine.work.is_set(), third.work.is_set()) == (True, False)
    assert set(opening(mine, all_three).elsewhere) == {"small"}
    mine.work.clear()
    third.declined(all_three.values())
    assert not mine.work.is_set(), "it left nothing since"
    other.ring()
    assert set(opening(mine, all_three).elsewhere) == {"ace"}
    other.declined(all_three.values())
    assert set(opening(mine, all_three).elsewhere) == {"ace"}, "it is to look once more"


async def test_two_that_leave_a_job_to_each_other_both_decline() -> None:
    """They look at the same time, and neither can: it is paused, or the whole studio is."""
    mine, other = engine("a", "small"), engine("b", "small")
    both = fleet(mine, other)
    for each in (mine, other):
        each.ring()
        await each.called()
        each.leaves()
    for each in (mine, other):
        each.declined(both.values())
    assert mine.begins() == other.begins() == set()
    assert (mine.work.is_set(), other.work.is_set()) == (True, True), "each looks once more"
    for each in (mine, other):
        await each.called()
        each.declined(both.values())
    assert not mine.work.is_set()
    assert not other.work.is_set()


def test_a_model_is_barred_where_others_may_have_the_memory_for_it() -> None:
    small, large = engine("a", "small", unfit=("large",)), engine("b", "small")
    assert set(opening(small, fleet(small)).barred) == set(), "somebody must say that none has"
    assert set(opening(small, fleet(small, EngineSlots("c"))).barred) == {"large"}
    both = fleet(small, large)
    assert set(opening(small, both).barred) == {"large"}
    large.serving = False
    assert set(opening(small, both).barred) == {"large"}
    assert set(opening(large, both).barred) == set()


def test_a_piece_is_too_long_where_another_may_have_the_memory_for_it() -> None:
    small, large = engine("a", "large"), engine("b", "small")
    both = fleet(small, large)
    small.too_long["large"] = 30.0
    assert opening(small, both).too_long == {"large": 30.0}
    assert opening(small, fleet(small)).too_long == {}, "somebody must say that none has"
    large.too_long["large"] = 30.0
    assert opening(small, both).too_long == {}
    large.too_long["large"] = 31.0
    assert opening(small, both).too_long == {"large": 30.0}
    assert opening(small, fleet(small, engine("c", "small", unfit=("large",)))).too_long == {}


def test_a_model_that_is_about_to_be_loaded_has_one_slot() -> None:
    mine = engine("a", "small")
    begin(mine, "small")
    begin(mine, "ace")
    assert mine.full() == {"ace"}


async def test_who_was_not_rung_does_not_look() -> None:
    mine = engine("a", "small")
    looks = asyncio.create_task(mine.called())
    await asyncio.sleep(0)
    assert not looks.done()
    mine.ring()
    await looks


async def test_a_job_is_left_to_the_engine_that_has_its_model_loaded(
    tmp_path: Path, clock: Clock
) -> None:
    async with a_studio(tmp_path, clock, GENEROUS, models=MODELS) as (studio, database):
        for model in ("ace", "small", "ace"):
            await studio.submit(origin(), Wish(prompt="play", seconds=2, model=model))
        for elsewhere, better, expected in (
            (("ace",), (), 2),
            (("ace",), (), None),
            ((), (), 1),
            ((), ("ace",), None),
        ):
            async with database.transaction() as tx:
                could = one_engine.opening("small", elsewhere=elsewhere, better=better)
                job = await queue.claim(tx, could, clock())
                assert (job and job.id) == expected
                if job:
                    await jobs.rendered(tx, job.id, clock())


async def test_what_only_others_can_render_keeps_its_turn_and_holds_up_nobody(
    tmp_path: Path, clock: Clock
) -> None:
    async with a_studio(tmp_path, clock) as (_, database), database.transaction() as tx:
        await put(tx, "jobs", status=Status.QUEUED, model="large")
        await put(tx, "jobs", status=Status.QUEUED, model="small", priority=-1)
        for _ in range(fairness.AGED - 1):
            await state.count_turn(tx)
        assert fairness.is_aged(turn := await state.turn(tx))
        await one_engine.runs(tx, "large", engine="gpu-0")
        could = one_engine.opening("small", barred=("large",))
        job = await queue.claim(tx, could, clock())
        assert job
        assert job.id == 2, "the idle lane, since nobody who pays can be served here"
        assert await state.turn(tx) == turn
        able = one_engine.opening("large", engine="gpu-0")
        job = await queue.claim(tx, able, clock())
        assert job
        assert (job.id, job.engine) == (1, "gpu-0")
        assert await state.turn(tx) == turn + 1


@pytest.mark.parametrize("why", ["gone", "lost", "paused", "unfit"])
async def test_a_model_that_no_engine_begins_now_takes_nobodys_turn(
    tmp_path: Path, clock: Clock, why: str
) -> None:
    async with a_studio(tmp_path, clock) as (_, database), database.transaction() as tx:
        await put(tx, "jobs", status=Status.QUEUED, model="large")
        for _ in range(fairness.AGED):
            await put(tx, "jobs", status=Status.QUEUED, model="small")
        if why != "gone":
            unfit = ("large",) if why == "unfit" else ()
            await one_engine.runs(tx, "large", engine="gpu-0", unfit=unfit)
        if why == "lost":
            await engines.lost(tx, "gpu-0", "It died.")
        if why == "paused":
            await engines.pause(tx, "gpu-0")
        could = one_engine.opening("small", barred=("large",))
        for turn in range(fairness.AGED):
            assert await state.turn(tx) == turn
            assert await queue.claim(tx, could, clock())
        assert await queue.claim(tx, could, clock()) is None


async def test_what_has_to_be_alone_waits_for_one_engine_and_keeps_no_other_idle(
    tmp_path: Path, clock: Clock
) -> None:
    async with a_studio(tmp_path, clock) as (_, database), database.transaction() as tx:
        await put(tx, "jobs", status=Status.RUNNING, engine="a", attempts=1)
        await put(tx, "jobs", status=Status.RUNNING, engine="b", attempts=1)
        await put(tx, "jobs", status=Status.QUEUED, attempts=1)
        await put(tx, "jobs", status=Status.QUEUED, user_id=2)
        assert await queue.claim(tx, one_engine.opening("small", engine="a"), clock()) is None
        job = await queue.claim(tx, one_engine.opening("small", engine="b"), clock())
        assert job
        assert job.id == 4
        await jobs.rendered(tx, 1, clock())
        assert await queue.claim(tx, one_engine.opening("small", engine="b"), clock()) is None
        job = await queue.claim(tx, one_engine.opening("small", engine="a"), clock())
        assert job
        assert (job.id, job.engine) == (3, "a")
        await put(tx, "jobs", status=Status.QUEUED)
        assert await queue.claim(tx, one_engine.opening("small", engine="a"), clock()) is None
        assert await backlog.awaiting(tx) == {}, "any engine may begin what need not be alone"
        await put(tx, "jobs", status=Status.QUEUED, attempts=1, engine="a")
        await backlog.awaits_no_more(tx, "b")
        assert await backlog.awaiting(tx) == {6: "a"}
        await backlog.awaits_no_more(tx, "a")
        assert await backlog.awaiting(tx) == {}


async def test_an_aged_job_begins_where_its_model_is_loaded_though_another_has_it_too(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        mine = await put(tx, "jobs", model="small")
        for _ in range(fairness.AGED - 1):
            await state.count_turn(tx)
        could = one_engine.opening("small", elsewhere=("small",))
        job = await queue.claim(tx, could, clock())
        assert job
        assert job.id == mine
        assert await backlog.passed(tx, mine) == 0, "by itself"


async def test_an_aged_job_that_waits_for_room_is_next_on_that_engine(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        mine = await put(tx, "jobs", model="large")
        for _ in range(fairness.AGED - 1):
            await state.count_turn(tx)
        full = one_engine.opening("small", engine="a", full=("small",))
        assert await queue.claim(tx, full, clock()) is None
        assert await backlog.awaiting(tx) == {mine: "a"}


async def test_nothing_starts_while_the_studio_or_the_engine_is_paused(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        await put(tx, "jobs")
        await one_engine.runs(tx, engine="a")
        could = one_engine.opening("small", engine="a")
        await state.pause(tx, "")
        assert await queue.claim(tx, could, clock()) is None
        await state.resume(tx)
        await engines.pause(tx, "a")
        assert await queue.claim(tx, could, clock()) is None
        await engines.resume(tx, "a")
        assert await queue.claim(tx, could, clock())


async def test_of_engines_that_are_gone_only_a_pause_is_remembered(
    tmp_path: Path, clock: Clock
) -> None:
    async with a_studio(tmp_path, clock) as (_, database), database.transaction() as tx:
        await engines.are(tx, ["a", "b", "c"])
        for name in ("a", "b", "c"):
            await one_engine.runs(tx, engine=name, pace=1.0)
        assert await engines.pause(tx, "b")
        assert not await engines.pause(tx, "b")
        await engines.are(tx, ["c", "d"])
        found = {each.name: (each.state, each.paused) for each in await engines.every(tx)}
        assert found == {"b": ("lost", True), "c": ("ready", False), "d": ("loading", False)}
        await engines.are(tx, ["b"])
        assert await engines.paused(tx, "b")
        assert await engines.resume(tx, "b")
        assert not await engines.resume(tx, "b")


async def test_idle_pieces_do_not_give_way_to_what_is_next_on_another_engine(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    """They would begin again at once, and give way again."""
    made = rooms(database, tmp_path, clock)
    async with database.transaction() as tx:
        idle = await put(tx, "jobs", status=Status.RUNNING, engine="a", attempts=1, priority=-1)
        await put(tx, "jobs", status=Status.RUNNING, engine="b", attempts=1)
        paying = await put(tx, "jobs", status=Status.QUEUED, attempts=1)
        await backlog.awaits(tx, paying, "b")
    assert await made.endings.give_way("a") == []
    async with database.transaction() as tx:
        await backlog.awaits_no_more(tx, "b")
        await backlog.awaits(tx, paying, "a")
    assert [job.id for job in await made.endings.give_way("a")] == [idle]


async def test_what_is_too_long_for_an_engine_is_not_next_on_it_however_aged(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        mine = await put(tx, "jobs", model="large", seconds=30)
        for _ in range(fairness.AGED - 1):
            await state.count_turn(tx)
        could = one_engine.opening("small", full=("small",), too_long={"large": 30.0})
        assert await queue.claim(tx, could, clock()) is None
        behind = await put(tx, "jobs", model="small")
        free = one_engine.opening("small", too_long={"large": 30.0})
        larger = one_engine.opening("large", engine="gpu-0")
        begun = [await queue.claim(tx, each, clock()) for each in (free, larger)]
    assert [job and job.id for job in begun] == [behind, mine]
