"""Who is next: the member served least for their weight, and every so often the oldest job.

Shares as in fair queueing (Demers, Keshav, Shenker: "Analysis and Simulation of a Fair Queueing
Algorithm", 1989): what was started for somebody within `WINDOW`, in seconds of music by weight.
Servers are compared first, then the members of one. A tier's weight counts among the members of
its server; among servers only that of a subscription which the operator sells: no admin buys a
server a larger share.

Every `AGED`-th start is the oldest's. So a job before which n older ones wait is started at the
latest as the AGED · (n + 1)-th from then on, and waits for no longer than AGED · (n + 1) · R, where
R is the time of the longest render, however many engines there are. While its model's slots are all
taken, for R at most, jobs of other models start in its place, and do not count. While there is no
room to load its model, for R at most, its engine starts nothing, and what others start does not
count. Jobs of the idle lane come after all others, and wait for them indefinitely.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from itertools import groupby

from bot.rules.lazy_heap import Key, LazyHeap
from bot.values import Head, QueuedJob

WINDOW = timedelta(hours=1)
AGED = 4


class Shares:
    """What was started for each server and member, in seconds of music by weight."""

    def __init__(self, started: Iterable[tuple[int, int, float, float]] = ()) -> None:
        """Begin with sums: server, member, share among members, share among servers."""
        self._members: dict[tuple[int, int], float] = {}
        self._servers: dict[int, float] = {}
        for guild, user, share, of_server in started:
            self._members[guild, user] = share
            self._servers[guild] = self._servers.get(guild, 0.0) + of_server

    def of_server(self, guild: int) -> float:
        """Return what was started for a server."""
        return self._servers.get(guild, 0.0)

    def of_member(self, guild: int, user: int) -> float:
        """Return what was started for a member of a server."""
        return self._members.get((guild, user), 0.0)

    def start(self, job: QueuedJob) -> None:
        """Count a job that is started."""
        member, guild = (job.guild, job.user), job.guild
        self._members[member] = self._members.get(member, 0.0) + job.work / job.weight
        self._servers[guild] = self._servers.get(guild, 0.0) + job.work / job.server_weight


class Lane:
    """Jobs that wait, by server and member, oldest first; keys grow, since shares do."""

    def __init__(self, waiting: Iterable[QueuedJob], shares: Shares) -> None:
        self._shares = shares
        # The oldest last, since a list gives up its last for nothing: thousands of short queues.
        self._by_age = sorted(waiting, key=lambda job: job.id, reverse=True)
        self._started: set[int] = set()
        self._queues: dict[int, dict[int, list[QueuedJob]]] = {}
        for job in self._by_age:
            self._queues.setdefault(job.guild, {}).setdefault(job.user, []).append(job)
        self._members = {
            guild: LazyHeap(members, self._key_in(guild)) for guild, members in self._queues.items()
        }
        self._servers = LazyHeap(self._queues, self._key)

    def oldest(self) -> QueuedJob | None:
        """Return the job that has waited longest."""
        while self._by_age and self._by_age[-1].id in self._started:
            self._by_age.pop()
        return self._by_age[-1] if self._by_age else None

    def fairest(self) -> QueuedJob | None:
        """Return the oldest job of the member served least."""
        if self.oldest() is None:
            return None
        guild = self._servers.least()
        return self._queues[guild][self._members[guild].least()][-1]

    def start(self, job: QueuedJob) -> None:
        """Take out the oldest job of a member, and count it."""
        self._shares.start(job)
        self._started.add(job.id)
        self._queues[job.guild][job.user].pop()

    def _key(self, guild: int) -> Key:
        first = self._key_in(guild)(self._members[guild].least())
        return self._shares.of_server(guild) if first[0] < math.inf else math.inf, *first

    def _key_in(self, guild: int) -> Callable[[int], Key]:
        queues = self._queues[guild]

        def key(user: int) -> Key:
            if not queues[user]:
                return math.inf, math.inf
            return self._shares.of_member(guild, user), queues[user][-1].id

        return key


class Line:
    """The waiting jobs, and the shares by which it is their turn."""

    def __init__(self, waiting: Iterable[QueuedJob], shares: Shares) -> None:
        self._lanes: dict[bool, Lane] = {}
        every = list(waiting)
        for idle in (False, True):  # paying requests go first
            self._lanes[idle] = Lane((job for job in every if job.idle == idle), shares)

    def next(self, turn: int) -> QueuedJob | None:
        """Return the job to start as the `turn`-th of all; None if none waits."""
        for lane in self._lanes.values():
            if job := lane.oldest() if is_aged(turn) else lane.fairest():
                return job
        return None

    def start(self, job: QueuedJob) -> None:
        """Remove a job that `next` returned, and add it to the shares."""
        self._lanes[job.idle].start(job)


def by_share(servers: Iterable[int], shares: Mapping[int, float]) -> list[list[int]]:
    """Return servers from the one served least on, those with equal shares together."""
    of = {guild: shares.get(guild, 0.0) for guild in servers}
    return [list(equal) for _, equal in groupby(sorted(of, key=of.__getitem__), of.__getitem__)]


def ranked(heads: Iterable[Head], shares: Shares) -> list[Head]:
    """Return jobs of servers with equal shares by their members' shares, then by age."""
    return sorted(heads, key=lambda head: (shares.of_member(head.guild, head.user), head.id))


def is_aged(turn: int) -> bool:
    """Whether the `turn`-th start is the oldest job's."""
    return turn % AGED == AGED - 1
