"""When a job will be done."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rules.fairness import Line, Shares, is_aged
from bot.rules.forecast import ends
from bot.values import EngineState, EngineStatus, QueuedJob, Speed


def speed(model: str, pace: float, slots: int = 1) -> Speed:
    return Speed(model=model, pace=pace, slots=slots, fits=0.0, too_long=None, too_long_at=None)


def engine(name: str, *speeds: Speed, loaded: tuple[str, ...] = ()) -> EngineStatus:
    """Return an engine that has rendered all of its models before."""
    return EngineStatus(
        name=name,
        state=EngineState.READY,
        models=tuple(speed.model for speed in speeds),
        loaded=loaded,
        speeds={speed.model: speed for speed in speeds},
    )


def job(
    seconds: int, takes: int = 1, number: int = 0, *, alone: bool = False, model: str = "small"
) -> QueuedJob:
    return QueuedJob(
        id=number,
        guild=1,
        user=1,
        weight=1,
        server_weight=1,
        work=seconds * takes,
        takes=takes,
        model=model,
        attempts=int(alone),
    )


def expected(
    waiting: list[QueuedJob],
    *engines: EngineStatus,
    running: Sequence[tuple[QueuedJob, float]] = (),
) -> list[float | None]:
    """Return when running jobs and those in a line will be done."""
    numbered = [job._replace(id=number) for number, job in enumerate(waiting)]
    return [end for _, end in ends(running, Line(numbered, Shares()), 0, engines)]


Case = tuple[list[tuple[QueuedJob, float]], list[QueuedJob], int, list[float]]

CASES: list[Case] = [
    ([], [job(8)], 1, [16]),
    ([(job(30), 0.5)], [job(8)], 1, [30, 46]),
    ([(job(30), 0.5)], [job(8)], 2, [30, 16]),
    ([], [job(8, takes=5)], 1, [80]),
    ([], [job(8, takes=5)], 4, [32]),
    ([], [job(8, takes=5)], 8, [16]),
    ([], [job(30), job(8, takes=2), job(4)], 3, [60, 16, 24]),
    ([], [job(8, takes=5), job(4)], 4, [32, 40]),
    ([], [job(8), job(8, alone=True), job(8)], 3, [16, 32, 48]),
    ([], [job(20, 2, model="ace"), job(20, model="ace"), job(8, takes=2)], 2, [40, 60, 16]),
    ([(job(9, model="ace"), 0.0)], [job(8, alone=True), job(9, model="ace")], 2, [10, 26, 36]),
]


@pytest.mark.parametrize(("running", "waiting", "slots", "expected_ends"), CASES)
def test_the_queue_is_played_forward_as_it_is_served(
    running: list[tuple[QueuedJob, float]],
    waiting: list[QueuedJob],
    slots: int,
    expected_ends: list[float],
) -> None:
    only = engine("gpu-0", speed("small", 2.0, slots), speed("ace", 1.0, 4))
    there = [(job._replace(engine="gpu-0"), progress) for job, progress in running]
    assert expected(waiting, only, running=there) == expected_ends


def test_behind_a_model_of_unknown_speed_nothing_is_promised() -> None:
    only = replace(engine("gpu-0", speed("small", 2.0)), models=("small", "large"))
    assert expected([job(8), job(8, model="large"), job(8)], only) == [16, None, None]
    running = ((job(8, model="large")._replace(engine="gpu-0"), 0.5),)
    assert expected([job(8)], only, running=running) == [None, None]


def test_every_so_many_starts_the_oldest_is_next_whoever_has_had_more() -> None:
    """User 1 asked first for all of theirs, and has had so much that it is the other's turn."""
    waiting = [job(8, number=number)._replace(user=1 + number // 20) for number in range(40)]
    line = Line(waiting, Shares([(1, 1, 10_000.0, 10_000.0)]))
    order = [following.id for following, _ in ends((), line, 0, [SLOW])]
    oldest = {at for at, number in enumerate(order[:20]) if number < 20}
    assert oldest == {at for at in range(20) if is_aged(at)}


SLOW, FAST = engine("gpu-0", speed("small", 2.0)), engine("gpu-1", speed("small", 1.0))


def test_each_job_goes_to_the_engine_that_can_begin_it_first() -> None:
    running = ((job(10)._replace(engine="gpu-0"), 0.5), (job(20)._replace(engine="gpu-1"), 0.5))
    assert expected([], SLOW, FAST, running=running) == [10, 10]
    # From 10 and 10 s on: the faster, the other; from 14 s on the faster, again; and so on.
    waiting = [job(4), job(8), job(8), job(1)]
    assert expected(waiting, SLOW, FAST, running=running) == [10, 10, 14, 26, 22, 23]
    # Who began more later on is the first all the same, where both are free at 18 s.
    waiting = [job(4), job(4), job(4), job(1)]
    assert expected(waiting, SLOW, FAST, running=running) == [10, 10, 14, 18, 18, 19]


def test_of_those_that_are_free_the_loaded_begin_a_job_then_the_emptier_then_the_faster() -> None:
    assert expected([job(8)], SLOW, FAST) == [8]
    assert expected([job(8)], replace(SLOW, loaded=("small",)), FAST) == [16]
    both = replace(SLOW, loaded=("small",)), replace(FAST, loaded=("small",))
    assert expected([job(8), job(8)], *both) == [8, 16]
    wide = engine("gpu-2", speed("small", 1.0, 3))
    assert expected([job(8), job(8), job(8), job(8)], SLOW, wide) == [8, 16, 8, 8]


def test_an_engine_that_is_paused_finishes_what_it_has_and_one_that_is_lost_does_not() -> None:
    running = ((job(8)._replace(engine="gpu-1"), 0.5),)
    paused, lost = replace(FAST, paused=True), replace(FAST, state=EngineState.LOST)
    assert expected([job(8), job(8)], SLOW, paused, running=running) == [4, 16, 32]
    assert expected([job(8), job(8)], SLOW, lost, running=running) == [None, 16, 32]
    assert expected([job(8)], SLOW, running=running) == [None, 16], "its engine left the cluster"
    assert expected([job(8)], lost) == [None]
    assert expected([job(8)]) == [None], "there is no engine yet"


def test_a_job_goes_only_where_its_model_can_be_rendered() -> None:
    both = engine("gpu-1", speed("small", 1.0), speed("large", 4.0))
    waiting = [job(8, model="large"), job(8, model="large"), job(8)]
    assert expected(waiting, SLOW, both) == [32, 64, 16]
    assert expected(waiting, SLOW, replace(both, unfit=("large",))) == [None, None, 8]


def test_a_job_that_saw_an_engine_die_is_alone_on_its_engine_and_the_others_go_on() -> None:
    many, few = engine("gpu-0", speed("small", 1.0, 4)), engine("gpu-1", speed("small", 1.0, 2))
    running = ((job(30)._replace(engine="gpu-0"), 0.0), (job(20)._replace(engine="gpu-1"), 0.0))
    waiting = [job(8, alone=True), job(8), job(9), job(9)]
    assert expected(waiting, many, few, running=running) == [30, 20, 28, 8, 9, 9]


def test_a_job_that_an_engine_has_next_waits_for_that() -> None:
    mine = job(8)._replace(engine="gpu-0")
    running = ((job(10)._replace(engine="gpu-0"), 0.5),)
    assert expected([mine, job(8)], SLOW, FAST, running=running) == [10, 26, 8]
    assert expected([mine], replace(SLOW, paused=True), FAST) == [None]


def test_behind_an_unknown_speed_only_what_needs_that_engine_is_not_promised() -> None:
    unsure = replace(engine("gpu-1", speed("ace", 1.0)), models=("ace", "large"))
    waiting = [job(8), job(8, model="large"), job(8), job(20, model="ace")]
    assert expected(waiting, SLOW, unsure) == [16, None, 32, None]


def test_an_engine_of_unknown_speed_is_the_last_that_is_chosen() -> None:
    new = replace(engine("gpu-1"), models=("small",))
    assert expected([job(8), job(8), job(8)], SLOW, new) == [16, None, 32]


def test_the_steps_of_a_model_that_denoises_are_foreseen_and_what_it_extends() -> None:
    only = engine("gpu-0", speed("ace-base", 1.0))
    usual = job(20, model="ace-base")
    assert expected([usual, usual._replace(before=40.0)], only) == [20, 80]
    finer = usual._replace(options={"steps": 60.0})
    # Twice the usual steps, which are 95 % of the work.
    assert expected([finer], only) == [pytest.approx(39)]
    assert expected([], only, running=((finer._replace(engine="gpu-0"), 0.5),)) == [
        pytest.approx(19.5)
    ]


A_JOB = st.tuples(st.integers(1, 9), st.integers(1, 3), st.sampled_from("ab"), st.booleans())
AN_ENGINE = st.dictionaries(
    st.sampled_from("ab"), st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1
)


class Engine:
    """What an engine has begun, by a look at all of it for each question."""

    def __init__(self, speeds: dict[str, tuple[int, int]]) -> None:
        self.speeds = speeds
        self._begun: list[tuple[QueuedJob, int, int]] = []
        self._free = {model: [0] * slots for model, (_, slots) in speeds.items()}

    def ready(self, job: QueuedJob) -> int:
        _, slots = self.speeds[job.model]
        ends = [end for other, _, end in self._begun if other.alone or job.alone]
        same = [begun for begun in self._begun if begun[0].model == job.model]
        for at in count(max([0, *ends, *(start for _, start, _ in same)])):
            if sum(other.takes for other, start, end in same if start <= at < end) < slots:
                return at
        raise AssertionError

    def turn(self, job: QueuedJob) -> tuple[int, int, int]:
        at_once = sum(other.takes for other, start, _ in self._begun if start == 0)
        return self.ready(job), at_once, self.speeds[job.model][0]

    def begin(self, job: QueuedJob) -> int:
        start, free, last = self.ready(job), self._free[job.model], 0
        for _ in range(job.takes):
            first = free.index(min(free))
            free[first] = (
                max(free[first], start) + job.work // job.takes * self.speeds[job.model][0]
            )
            last = max(last, free[first])
        self._begun.append((job, start, last))
        return last


@given(jobs=st.lists(A_JOB, max_size=12), there=st.lists(AN_ENGINE, min_size=1, max_size=4))
def test_the_forecast_is_what_the_rules_say_word_for_word(
    jobs: list[tuple[int, int, str, bool]], there: list[dict[str, tuple[int, int]]]
) -> None:
    """By heaps that are put right when it is needed, against a look at each engine for each job."""
    waiting = [
        job(seconds, takes, number, alone=alone, model=model)
        for number, (seconds, takes, model, alone) in enumerate(jobs)
    ]
    engines = [
        engine(f"gpu-{i}", *(speed(model, pace, slots) for model, (pace, slots) in speeds.items()))
        for i, speeds in enumerate(there)
    ]
    fleet = list(map(Engine, there))
    for following, end in ends((), Line(waiting, Shares()), 0, engines):
        able = [each for each in fleet if following.model in each.speeds]
        if able:
            first = min(able, key=lambda each: each.turn(following))
            assert end == first.begin(following)
        else:
            assert end is None
