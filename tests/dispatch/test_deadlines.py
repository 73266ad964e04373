"""By when a job should be done, and what does not count against it."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from bot.dispatch.deadlines import SLACK, TAKE_BY_TAKE, Deadlines
from bot.dispatch.machine import Machine
from bot.dispatch.openings import EngineSlots
from bot.dispatch.running_job import RunningJob
from bot.engine.messages import Loaded, Ready
from bot.tables.database import Database
from bot.values import Job, Request, Status
from tests.support.clock import Clock
from tests.support.one_engine import ENGINE
from tests.support.scripted_child import READY
from tests.support.studio import origin

GRACE = 100.0


class Timers:
    """The event loop's timers, none of which ever rings by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.after: list[float] = []
        self._over: list[Callable[[], None]] = []
        self._handles: list[asyncio.TimerHandle] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self._call_later)

    def _call_later(self, delay: float, over: Callable[[], None]) -> Any:
        self.after.append(delay)
        self._over.append(over)
        self._handles.append(asyncio.TimerHandle(delay, over, (), asyncio.get_running_loop()))
        return self._handles[-1]

    def waiting(self) -> list[float]:
        """Return the seconds of those that were not stopped."""
        timers = zip(self.after, self._handles, strict=True)
        return [delay for delay, handle in timers if not handle.cancelled()]

    def ring(self) -> None:
        self._over[-1]()


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


def job(
    number: int, seconds: int, takes: int = 1, model: str = "small", care: int = 0
) -> RunningJob:
    clock = Clock()
    row = Job(
        id=number,
        status=Status.RUNNING,
        origin=origin(),
        request=Request(prompt="p", seconds=seconds, takes=takes, model=model, seed=1),
        tier="Free",
        priority=0,
        attempts=1,
        deaths=0,
        care=care,
        progress=0.0,
        reason=None,
        created_at=clock(),
        charged_at=clock(),
        started_at=clock(),
        rendered_at=None,
        status_message_id=None,
        shown=None,
    )
    return RunningJob(job=row, begun=0.0)


def deadlines(clock: Clock) -> Deadlines:
    """Four slots; a second of music takes two."""
    found = Deadlines(clock.ticks, GRACE)
    found.engine(slots=4, pace=2.0)
    return found


async def test_a_deadline_is_several_times_the_usual_work(timers: Timers, clock: Clock) -> None:
    late: list[RunningJob] = []
    found, line = deadlines(clock), [job(1, 10)]
    found.watch(line, {"small"}, late.append)
    assert timers.after == [GRACE + SLACK * 20]
    found.watch(line, {"small"}, late.append)
    assert len(timers.after) == 1, "it runs already"
    timers.ring()
    assert late == line


async def test_takes_one_after_another_need_the_time_of_each(timers: Timers, clock: Clock) -> None:
    deadlines(clock).watch([job(1, 10, takes=3, care=TAKE_BY_TAKE)], {"small"}, print)
    deadlines(clock).watch([job(2, 10, takes=5)], {"small"}, print)
    assert timers.after == [GRACE + SLACK * 60, GRACE + SLACK * 40]


@pytest.mark.parametrize(
    ("seconds", "before", "steps", "takes", "of_ten_seconds"),
    [
        (10, 0, 8, 1, 1),
        (30, 0, 8, 1, 3),
        (3, 0, 8, 1, 1),  # none is shorter
        (10, 20, 8, 1, 3),  # what it extends is made again
        (10, 0, 8, 4, 4),  # one take after another
        (10, 0, 16, 1, 1.71),
    ],
)
async def test_what_denoises_has_time_for_its_steps_over_all_of_a_piece(
    timers: Timers,
    clock: Clock,
    seconds: int,
    before: int,
    steps: int,
    takes: int,
    of_ten_seconds: float,
) -> None:
    running = job(1, seconds, takes, model="ace")
    request = dataclasses.replace(running.job.request, before=before, options={"steps": steps})
    running.job = dataclasses.replace(running.job, request=request)
    found = deadlines(clock)
    found.watch([running], {"ace"}, print)
    assert timers.after == pytest.approx([GRACE + SLACK * 20 * of_ten_seconds])
    clock.turn(seconds=30 * of_ten_seconds)
    assert found.measured(running) == pytest.approx(3)


async def test_what_denoises_steps_for_all_in_turn(timers: Timers, clock: Clock) -> None:
    line = [job(number, 10, model="ace") for number in (1, 2, 3)]
    found = deadlines(clock)
    found.watch(line, {"ace"}, print)
    assert timers.after == [GRACE + SLACK * 60] * 3
    assert found.measured(line[0]) is None


async def test_guidance_counts_twice_where_a_model_has_it(timers: Timers, clock: Clock) -> None:
    running = job(1, 10, model="ace-base")
    request = dataclasses.replace(running.job.request, options={"guidance": 1.0})
    running.job = dataclasses.replace(running.job, request=request)
    deadlines(clock).watch([running], {"ace-base"}, print)
    assert timers.after == pytest.approx([GRACE + SLACK * 20 * (0.05 + 0.95 / 2)])


async def test_who_waits_for_slots_has_the_time_of_those_who_hold_them(
    timers: Timers, clock: Clock
) -> None:
    found = deadlines(clock)
    long, wide = job(1, 120, takes=3), job(2, 8, takes=2)
    found.watch([long, wide], {"small"}, print)
    assert timers.after[1] == GRACE + SLACK * (16 + 240)
    clock.turn(seconds=250)
    assert found.measured(wide) is None, "most of it was waiting"
    found.engine(slots=1, pace=0.01)
    soon = [job(3, 8), job(4, 8)]
    found.watch(soon, {"small"}, print)
    assert found.measured(soon[1]) is None, "and be it a moment's"


async def test_who_has_slots_beside_others_is_measured(timers: Timers, clock: Clock) -> None:
    found = deadlines(clock)
    clock.turn(seconds=5)
    jobs = [job(1, 120, takes=2), job(2, 8, takes=2)]
    found.watch(jobs, {"small"}, print)
    assert timers.after[1] == GRACE + SLACK * 16
    clock.turn(seconds=24)
    assert found.measured(jobs[1]) == 3


async def test_nobody_is_late_for_a_model_that_has_yet_to_be_loaded(
    timers: Timers, clock: Clock
) -> None:
    found = deadlines(clock)
    line = [job(1, 8), job(2, 8, model="large"), job(3, 8)]
    found.watch(line, {"small"}, print)
    assert len(timers.after) == 1, "the third has to wait for the second's model"
    clock.turn(seconds=10)
    found.suspend(line)
    assert timers.waiting() == []
    line[1].loads = True
    clock.turn(seconds=60)
    found.watch(line, {"small"}, print)
    assert len(timers.after) == 1, "whatever is begun or ends meanwhile"
    found.pace("large", 5.0)
    line[0].loads = False
    found.watch(line, {"small", "large"}, print)
    assert len(timers.after) == 1, "what was loaded before for another"
    line[1].loads = False
    found.watch(line, {"small", "large"}, print)
    assert timers.after[1:] == [GRACE + 2 * SLACK * work for work in (16, 40, 16)]
    clock.turn(seconds=40)
    assert found.measured(line[0]) is None, "it waited while the model was loaded"


async def test_a_piece_that_its_model_is_loaded_for_shows_how_fast_that_is(
    timers: Timers, clock: Clock
) -> None:
    found, line = deadlines(clock), [job(1, 8)]
    found.watch(line, set(), print)
    found.suspend(line)
    clock.turn(seconds=60)
    found.watch(line, {"small"}, print)
    assert timers.after == [GRACE + SLACK * 16]
    clock.turn(seconds=24)
    assert found.measured(line[0]) == 3


async def test_who_cannot_be_heard_is_not_late_and_then_has_all_of_its_time_again(
    timers: Timers, clock: Clock
) -> None:
    found, line = deadlines(clock), [job(1, 8), job(2, 10, model="large")]
    found.watch(line, {"small"}, print)
    assert timers.waiting() == [GRACE + SLACK * 16]
    found.stop(line)
    assert timers.waiting() == []
    assert not line[1].disturbed, "it waits for its model anyway"
    for _ in range(2):
        found.go_on(line)
        assert timers.waiting() == [GRACE + SLACK * 16]
    assert found.measured(line[0]) is None, "some of it was the wait for the database"


async def test_a_model_is_measured_where_it_has_the_device_for_itself(
    timers: Timers, clock: Clock
) -> None:
    found, line = deadlines(clock), [job(1, 8), job(2, 8)]
    found.watch(line, {"small", "large"}, print)
    clock.turn(seconds=24)
    assert found.measured(line[0]) == 3
    line.append(job(3, 8, model="large"))
    found.watch(line, {"small", "large"}, print)
    assert [found.measured(running) for running in line] == [None, None, None]
    assert len(timers.after) == 3


async def test_the_slots_of_a_model_are_its_own(timers: Timers, clock: Clock) -> None:
    found = deadlines(clock)
    found.slots("large", 1)
    line = [job(1, 8, takes=4), job(2, 8, model="large"), job(3, 10, model="large")]
    found.watch(line, {"small", "large"}, print)
    assert timers.after == [GRACE + 2 * SLACK * work for work in (16, 16 + 20, 20 + 16)]


async def test_a_model_that_cannot_be_loaded_keeps_nobody_waiting(
    timers: Timers, clock: Clock
) -> None:
    found = deadlines(clock)
    line = [job(1, 8), job(2, 8, model="large")]
    line[1].loads = True
    found.watch(line, {"small"}, print)
    assert timers.after == []
    line.pop().end()
    found.watch(line, {"small"}, print)
    assert len(timers.after) == 1


async def test_another_engine_has_deadlines_of_its_own(timers: Timers, clock: Clock) -> None:
    found = deadlines(clock)
    found.watch([job(1, 8)], {"small"}, print)
    found.slots("small", 1)
    found.pace("small", 9.0)
    found.engine(slots=4, pace=1.0)
    assert found.measured(job(1, 8)) is None
    found.watch([job(1, 8, takes=4)], {"small"}, print)
    assert timers.after == [GRACE + SLACK * 16, GRACE + SLACK * 8]


async def test_an_engine_says_as_it_begins_by_what_its_deadlines_are_set(
    timers: Timers, clock: Clock, database: Database
) -> None:
    found = Deadlines(clock.ticks, GRACE)
    machine = Machine(database, EngineSlots(ENGINE), found)
    models = {"models": ("small", "large", "medium")}
    await machine.loaded(Ready(**READY | models | {"slots": 2, "pace": 3.0}))
    large = Loaded(
        id=1,
        model="large",
        models=("large",),
        precision="float32",
        slots=4,
        pace=5.0,
        confirms=READY["confirms"],
    )
    await machine.swapped(large)
    for model in ("small", "large", "medium"):
        found.watch([job(1, 10, takes=4, model=model)], {model}, print)
    assert timers.after == [GRACE + SLACK * work for work in (2 * 30, 50, 2 * 30)]
