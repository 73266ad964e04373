"""When a job will be done: the takes of a line of jobs, each to the first slot that is free."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace

from bot.models import Job


def seconds_left(line: Sequence[Job], paces: Mapping[str, float], slots: int) -> float:
    """Return the seconds until the last of a line is rendered.

    `paces` are the seconds of work per second of music, for each model of the line.
    """
    free = [0.0] * slots
    heapify(free)
    ends = 0.0
    for job in line:
        request = job.request
        work = paces[request.model] * request.seconds * (1 - job.progress)
        ends = 0.0
        for _ in range(request.takes):
            ends = max(ends, free[0] + work)
            heapreplace(free, free[0] + work)
    return ends
