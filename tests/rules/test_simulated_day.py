"""Whether expected times are honest over a day of requests, whatever engines there are."""

import random
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import sin, tau
from pathlib import Path

import pytest

from bot import queue
from bot.dispatch.openings import EngineSlots
from bot.tables import engines, jobs
from bot.tables.database import Transaction
from bot.tables.opening import open_database
from bot.values import Job
from tests.support.clock import Clock
from tests.support.rows import put
from tests.support.simulated_fleet import Fleet

HOUR = 3600.0
NOON, REPAIRED, DAY = 12 * HOUR, 13 * HOUR, 24 * HOUR
LENGTHS, TAKES = (8, 15, 30), (1, 1, 2)

Paces = dict[str, float]
"""The seconds that an engine needs for a second of music, by the models that it has."""


@dataclass(eq=False, kw_only=True)
class Render:
    """A job in an engine: the seconds that each take lasts, and when those so far were begun."""

    job: Job
    lasts: float
    begun: list[float] = field(default_factory=list)

    @property
    def takes(self) -> int:
        return self.job.request.takes

    def under_way(self, now: float) -> int:
        return sum(now < at + self.lasts for at in self.begun)

    def progress(self, now: float) -> float:
        return sum(min(1.0, (now - at) / self.lasts) for at in self.begun) / self.takes

    def done(self, now: float) -> bool:
        return len(self.begun) == self.takes and not self.under_way(now)


class Day:
    """What happens in a studio from midnight on, in seconds, by a clock that is turned."""

    def __init__(self, tx: Transaction, clock: Clock, machines: list[tuple[Paces, int]]) -> None:
        self._tx = tx
        self._clock = clock
        self._midnight = clock.time = clock.time.replace(hour=0)
        self._dice = random.Random(6)
        self._machines = {f"gpu-{i}": machine for i, machine in enumerate(machines)}
        self._fleet = Fleet(tx, clock, self._dice)
        self._renders: dict[str, list[Render]] = {name: [] for name in self._machines}
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []
        self._order = count()
        self.requested: dict[int, float] = {}
        self.waited: set[int] = set()
        self.expected: dict[int, float] = {}
        """The seconds that a request should take, as told when it was queued."""
        self.taken: dict[int, float] = {}

    async def play(self, load: float) -> None:
        """Play requests for this part of what the engines could do, of which one is lost at noon.

        It is the last; an hour later it is there again.
        """
        for name in self._machines:
            await self._starts(name)
        self._plan(load)
        *_, last = self._machines
        self._at(NOON, partial(self._dies, last))
        self._at(REPAIRED, partial(self._starts, last))
        while self._events:
            self._now, _, happens = heappop(self._events)
            self._clock.time = self._midnight + timedelta(seconds=self._now)
            await happens()
            async for engine, job in self._fleet.begin():
                self._begins(engine, job)

    def _at(self, when: float, happens: Callable[[], Awaitable[None]]) -> None:
        heappush(self._events, (when, next(self._order), happens))

    def _plan(self, load: float) -> None:
        """Plan requests, at some hours more than the engines can do."""
        capacity = sum(slots / paces["small"] for paces, slots in self._machines.values())
        interval = statistics.mean(LENGTHS) * statistics.mean(TAKES) / capacity / load
        at = 0.0
        while at < DAY:
            self._at(at, self._request)
            at += self._dice.expovariate((1 + sin(tau * at / DAY * 4) / 2) / interval)

    async def _request(self) -> None:
        for render in (render for renders in self._renders.values() for render in renders):
            await jobs.progressed(self._tx, render.job.id, render.progress(self._now))
        dice, user = self._dice, self._dice.randint(1, 40)
        seconds, takes = dice.choice(LENGTHS), dice.choice(TAKES)
        number = await put(
            self._tx,
            "jobs",
            guild_id=user % 5,
            user_id=user,
            seconds=seconds,
            takes=takes,
            work=seconds * takes,
            model=dice.choice(("small", "small", "small", "large")),
            created_at=self._clock().timestamp(),
        )
        self.requested[number] = self._now
        ends_at = (await queue.expected(self._tx, self._clock()))[number].ends_at
        if ends_at:
            self.expected[number] = (ends_at - self._clock()).total_seconds()
        self._fleet.ring()

    def _begins(self, engine: EngineSlots, job: Job) -> None:
        if self._now > self.requested[job.id]:
            self.waited.add(job.id)
        paces, _ = self._machines[engine.name]
        lasts = paces[job.request.model] * job.request.seconds * self._dice.uniform(0.8, 1.2)
        self._renders[engine.name].append(Render(job=job, lasts=lasts))
        self._fill(engine, job.request.model)

    def _fill(self, engine: EngineSlots, model: str) -> None:
        """Begin takes in the slots of a model that are free."""
        _, free = self._machines[engine.name]
        renders = [each for each in self._renders[engine.name] if each.job.request.model == model]
        free -= sum(render.under_way(self._now) for render in renders)
        for render in renders:
            while free and len(render.begun) < render.takes:
                free -= 1
                render.begun.append(self._now)
                self._at(self._now + render.lasts, partial(self._took, engine, render))

    async def _took(self, engine: EngineSlots, render: Render) -> None:
        """A take is made, unless its engine died meanwhile."""
        renders = self._renders[engine.name]
        if render in renders:
            self._fill(engine, render.job.request.model)
            if render.done(self._now):
                renders.remove(render)
                await self._fleet.ends(engine, render.job)
                self.taken[render.job.id] = self._now - self.requested[render.job.id]

    async def _dies(self, name: str) -> None:
        await self._fleet.dies(self._fleet.engines[name])
        self._renders[name].clear()

    async def _starts(self, name: str) -> None:
        paces, slots = self._machines[name]
        await self._fleet.starts(name, paces, slots, loaded=tuple(paces))


FLEETS: dict[int, list[tuple[Paces, int]]] = {
    1: [({"small": 6.0, "large": 9.0}, 1)],
    3: [
        ({"small": 36.0}, 1),
        ({"small": 24.0, "large": 48.0}, 2),
        ({"small": 12.0, "large": 20.0}, 1),
    ],
    8: [
        ({"small": 140.0, "large": 300.0}, 1),
        ({"small": 140.0}, 1),
        ({"small": 90.0}, 1),
        ({"small": 90.0}, 1),
        ({"small": 60.0, "large": 100.0}, 1),
        ({"small": 60.0, "large": 100.0}, 1),
        ({"small": 45.0, "large": 90.0}, 2),
        ({"small": 45.0, "large": 90.0}, 2),
    ],
}
"""Engines of different speeds and slots."""


@pytest.mark.parametrize("number", FLEETS)
async def test_over_a_day_expected_times_are_honest(
    tmp_path: Path, clock: Clock, number: int
) -> None:
    """Where one engine is lost for an hour; renders take a fifth more or less than usual at most.

    The error is that of the time expected when a request is queued, by the time that it took until
    its music was there.
    """
    async with open_database(tmp_path / "test.db") as database, database.transaction() as tx:
        day = Day(tx, clock, FLEETS[number])
        await engines.are(tx, [f"gpu-{i}" for i in range(number)])
        await day.play(load=0.75)
    assert day.taken.keys() == day.requested.keys(), "each was rendered"
    assert len(day.waited) > 100, "the day is a busy one"
    told = day.taken.keys() & day.expected.keys()
    assert len(told) > 0.9 * len(day.taken)
    errors = [abs(day.expected[number] / day.taken[number] - 1) for number in told]
    assert statistics.median(errors) < 0.2
