"""Who is next: the one who was served least for their weight; and now and then, the oldest.

Shares as in fair queueing (Demers, Keshav, Shenker: "Analysis and Simulation of a Fair Queueing
Algorithm", 1989): what was started for somebody within `WINDOW`, in seconds of music by weight.
Servers are compared first, then the members of one.

Every `AGED`-th start is the oldest's. So a job before which n older ones wait is started at the
latest as the AGED · (n + 1)-th from then on, and waits for no longer than AGED · (n + 1) · R, where
R is the time of the longest render. Those of the idle lane come after all others, and wait for them
without an end.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from bot.models import Waiting

WINDOW = timedelta(hours=1)
AGED = 4


class Shares:
    """What was started for each server and member, in seconds of music by weight."""

    def __init__(self, started: Mapping[tuple[int, int], float]) -> None:
        """Begin with the sums by (server, member)."""
        self._members = dict(started)
        self._servers: dict[int, float] = {}
        for (guild, _), share in started.items():
            self._servers[guild] = self._servers.get(guild, 0.0) + share

    def of(self, job: Waiting) -> tuple[float, float]:
        """Return what was started for a job's server and for its member."""
        return self.of_server(job.guild), self._members.get((job.guild, job.user), 0.0)

    def of_server(self, guild: int) -> float:
        """Return what was started for a server."""
        return self._servers.get(guild, 0.0)

    def start(self, job: Waiting) -> None:
        """Count a job that is started."""
        share, member = job.work / job.weight, (job.guild, job.user)
        self._members[member] = self._members.get(member, 0.0) + share
        self._servers[job.guild] = self._servers.get(job.guild, 0.0) + share


class Line:
    """The waiting jobs, by server and member, oldest first."""

    def __init__(self, waiting: Iterable[Waiting]) -> None:
        self._queues: dict[bool, dict[int, dict[int, list[Waiting]]]] = {False: {}, True: {}}
        for job in sorted(waiting, key=lambda job: job.id, reverse=True):
            server = self._queues[job.idle].setdefault(job.guild, {})
            server.setdefault(job.user, []).append(job)

    def next(self, shares: Shares, turn: int) -> Waiting | None:
        """Return the job to start as the `turn`-th of all; None if none waits."""
        for servers in (self._queues[False], self._queues[True]):
            if servers:
                return _oldest(servers) if is_aged(turn) else _fairest(servers, shares)
        return None

    def remove(self, job: Waiting) -> None:
        """Take out a job that `next` returned."""
        servers = self._queues[job.idle]
        queue = servers[job.guild][job.user]
        queue.pop()
        if not queue:
            del servers[job.guild][job.user]
            if not servers[job.guild]:
                del servers[job.guild]


def is_aged(turn: int) -> bool:
    """Whether the `turn`-th start is the oldest job's."""
    return turn % AGED == AGED - 1


def _oldest(servers: Mapping[int, Mapping[int, list[Waiting]]]) -> Waiting:
    heads = (queue[-1] for members in servers.values() for queue in members.values())
    return min(heads, key=lambda job: job.id)


def _fairest(servers: Mapping[int, Mapping[int, list[Waiting]]], shares: Shares) -> Waiting:
    least = min(map(shares.of_server, servers))
    heads = (
        queue[-1]
        for guild, members in servers.items()
        if shares.of_server(guild) == least
        for queue in members.values()
    )
    return min(heads, key=lambda job: (shares.of(job), job.id))
