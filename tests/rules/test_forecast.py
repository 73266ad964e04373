"""When a job will be done."""

import pytest

from bot.rules.fairness import Line, Shares
from bot.rules.forecast import ends
from bot.values import EngineStatus, QueuedJob, Speed


def speed(model: str, pace: float, slots: int) -> Speed:
    return Speed(model=model, pace=pace, slots=slots, fits=0.0, too_long=None, too_long_at=None)


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


@pytest.mark.parametrize(("running", "waiting", "slots", "expected"), CASES)
def test_the_queue_is_played_forward_as_it_is_served(
    running: list[tuple[QueuedJob, float]],
    waiting: list[QueuedJob],
    slots: int,
    expected: list[float],
) -> None:
    numbered = [job._replace(id=number) for number, job in enumerate(waiting)]
    speeds = {"small": speed("small", 2.0, slots), "ace": speed("ace", 1.0, 4)}
    found = list(
        ends(
            [(job, progress, "cpu-0") for job, progress in running],
            Line(numbered, Shares()),
            0,
            [EngineStatus(name="cpu-0", speeds=speeds)],
        )
    )
    assert [end for _, end in found] == expected


def test_behind_a_model_of_unknown_speed_nothing_is_promised() -> None:
    other = job(8, number=2, model="large")
    line = Line([job(8, number=1), other, job(8, number=3)], Shares())
    speeds = {"small": speed("small", 2.0, 1)}
    engines = [EngineStatus(name="cpu-0", speeds=speeds)]
    assert [end for _, end in ends([], line, 0, engines)] == [16, None, None]
