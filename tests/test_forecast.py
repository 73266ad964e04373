"""When a job will be done."""

from datetime import UTC, datetime

import pytest

from bot.forecast import seconds_left
from bot.models import Job, Request, Status
from tests.conftest import origin

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def job(seconds: int, takes: int = 1, progress: float = 0.0) -> Job:
    return Job(
        id=1,
        status=Status.QUEUED,
        origin=origin(),
        request=Request(prompt="x", seconds=seconds, model="small", seed=1, takes=takes),
        tier="Free",
        allowance_seconds=0,
        priority=0,
        attempts=0,
        progress=progress,
        reason=None,
        created_at=NOW,
        charged_at=NOW,
        started_at=None,
        rendered_at=None,
        status_message_id=None,
        shown=None,
    )


@pytest.mark.parametrize(
    ("line", "slots", "expected"),
    [
        ([job(8)], 1, 16),
        ([job(30, progress=0.5), job(8)], 1, 46),
        ([job(30, progress=0.5), job(8)], 2, 16),
        ([job(8, takes=5)], 1, 80),
        ([job(8, takes=5)], 4, 32),
        ([job(8, takes=5)], 8, 16),
        ([job(30), job(8, takes=2), job(4)], 3, 24),
    ],
)
def test_takes_go_to_the_first_slot_that_is_free(
    line: list[Job], slots: int, expected: float
) -> None:
    assert seconds_left(line, {"small": 2.0}, slots) == expected
