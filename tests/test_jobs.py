"""Any order of events keeps: no job lost, each post told once, seconds never over nor below."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bot import jobs
from bot.admission import Admission
from bot.database import Database, open_database
from bot.dispatcher import TRIES, Dispatcher
from bot.engine.messages import Ready
from bot.errors import Refusal
from bot.models import Delivered, Job, Later, Limits, Outcome, Owed, PostKind, Status, Tier, Unsent
from bot.outbox import Outbox
from bot.studio import Studio
from tests.conftest import Clock, origin
from tests.scripted_child import READY

T = TypeVar("T")

SMALL = Tier(
    key="free",
    name="Small",
    price="free",
    longest=8,
    takes=2,
    per_day=30,
    waiting=3,
    models=frozenset({"*"}),
    weight=1,
)
USERS = (1, 2)
FREE_OF_CHARGE = {Status.FAILED, Status.CANCELLED, Status.UNDELIVERABLE}


class Life(RuleBasedStateMachine):
    """Drives the domain's every change of state, in any order, over a real database."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.clock = Clock()
        self.opened = open_database(Path(self.folder.name) / "test.db")
        self.database: Database = self.do(self.opened.__aenter__())
        bells = {name: asyncio.Event() for name in ("work", "news", "drain")}
        admission = Admission(defaults=(SMALL,), limits=Limits(), skus={})
        self.studio = Studio(
            self.database,
            folder=Path(self.folder.name),
            clock=self.clock,
            models=("scripted",),
            max_seconds=8,
            admission=admission,
            **bells,
        )
        self.outbox = Outbox(self.database, clock=self.clock, news=bells["news"])
        self.dispatcher = Dispatcher(
            self.database,
            folder=Path(self.folder.name),
            clock=self.clock,
            start=lambda: pytest.fail("no engine here"),
            **bells,
        )
        self.do(self.dispatcher._loaded(Ready(**READY)))
        self.accepted: list[int] = []
        self.told: list[tuple[int, PostKind, int]] = []
        self.running: list[Job] = []
        self.stale: list[Owed] = []

    def do(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self.runner.run(run())

    def teardown(self) -> None:
        self.do(self.opened.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()

    @rule(user=st.sampled_from(USERS), seconds=st.integers(0, 9), takes=st.integers(0, 3))
    def submit(self, user: int, seconds: int, takes: int) -> None:
        try:
            job = self.do(
                self.studio.submit(origin(user), prompt="play", seconds=seconds, takes=takes)
            )
        except Refusal:
            return
        self.accepted.append(job.id)

    @rule()
    def claim(self) -> None:
        job = self.do(self.dispatcher._claim())
        if job:
            self.running.append(job)

    @rule(data=st.data(), early=st.floats(0.1, 8))
    def take(self, data: Any, early: float) -> None:
        if self.running:
            job = data.draw(st.sampled_from(self.running))
            self.do(self._take(job, min(early, job.request.seconds)))

    async def _take(self, job: Job, seconds: float) -> None:
        from bot import takes

        async with self.database.transaction() as tx:
            for number in range(1, job.request.takes + 1):
                await takes.rendered(tx, job.id, number, seconds, f"{job.id}-{number}.wav", None)

    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: Any, fails: bool) -> None:
        if not self.running:
            return
        job = data.draw(st.sampled_from(self.running))
        if not fails:
            self.do(self._take(job, job.request.seconds))
        ending = self.dispatcher._failed(job, "no") if fails else self.dispatcher._rendered(job)
        self.do(ending)
        self.running.remove(job)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        if self.accepted:
            job = data.draw(st.sampled_from(self.accepted))
            try:
                self.do(self.studio.cancel(job, guild=10, user=1, manager=True))
            except Refusal:
                return

    @rule(gently=st.booleans())
    def restart(self, gently: bool) -> None:
        self.running.clear()
        if gently:
            self.do(self.dispatcher._hand_back())
        self.do(self.dispatcher._recover())

    @rule(outcome=st.sampled_from([Delivered(77), Later(), *Unsent]), again=st.booleans())
    def deliver(self, outcome: Outcome, again: bool) -> None:
        """Tell what is owed; `again` reports an outcome that was reported already."""
        due = self.stale if again else self.do(self.outbox.owed())
        if not due:
            return
        owed = due[0]
        if isinstance(outcome, Delivered):
            if not again:
                self.told.append((owed.job.id, owed.post.kind, owed.post.part))
                self.stale.append(owed)
            self.do(self.outbox.settle(owed, outcome))
        elif not again:
            self.do(self.outbox.settle(owed, outcome))

    @rule(hours=st.integers(0, 30))
    def wait(self, hours: int) -> None:
        self.clock.turn(hours=hours, seconds=7)

    @invariant()
    def no_job_is_lost(self) -> None:
        rows = self.do(self.database.fetch("SELECT id FROM jobs ORDER BY id"))
        assert [row["id"] for row in rows] == self.accepted

    @invariant()
    def each_post_is_told_once(self) -> None:
        assert len(self.told) == len(set(self.told))
        for row in self.do(self.database.fetch("SELECT * FROM posts")):
            told = (row["job_id"], PostKind(row["kind"]), row["part"]) in self.told
            assert told == (row["delivered_at"] is not None)

    @invariant()
    def every_end_is_owed_exactly_its_own_post(self) -> None:
        result, failure = {PostKind.RESULT}, {PostKind.FAILURE}
        expected = {status: set[PostKind]() for status in Status}
        expected |= dict.fromkeys((Status.RENDERED, Status.DELIVERED), result)
        expected |= {Status.UNDELIVERABLE: result, Status.FAILED: failure}
        for number in self.accepted:
            job = self.do(self.studio.job(number))
            rows = self.do(self.database.fetch("SELECT * FROM posts WHERE job_id = ?", (number,)))
            results = [row for row in rows if row["kind"] == PostKind.RESULT]
            partly = job.status is Status.DELIVERED and any(row["refused_at"] for row in results)
            ours = job.status is Status.UNDELIVERABLE and job.reason is not None
            told = failure if partly or ours else set()
            assert {PostKind(row["kind"]) for row in rows} == expected[job.status] | told
            delivered = any(row["delivered_at"] for row in results)
            ended = bool(results) and all(r["delivered_at"] or r["refused_at"] for r in results)
            assert (job.status is Status.DELIVERED) == (ended and delivered)
            assert (job.status is Status.UNDELIVERABLE) == (ended and not delivered)

    @invariant()
    def seconds_used_stay_within_what_was_allowed(self) -> None:
        rows = self.do(
            self.database.fetch(
                """
                SELECT jobs.*, SUM(charged_seconds) AS charged FROM jobs
                JOIN takes ON takes.job_id = jobs.id GROUP BY jobs.id
                """
            )
        )
        days: dict[tuple[int, str], int] = {}
        for row in rows:
            free = Status(row["status"]) in FREE_OF_CHARGE
            assert 0 <= row["charged"] <= (0 if free else row["seconds"] * row["takes"])
            key = (row["user_id"], row["day"])
            days[key] = days.get(key, 0) + row["charged"]
        assert all(used <= SMALL.per_day for used in days.values())

    @invariant()
    def nothing_runs_that_had_its_tries(self) -> None:
        for job in self.do(jobs.running(self.database)):
            assert 1 <= job.attempts <= TRIES


TestLife = Life.TestCase
TestLife.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None, print_blob=True
)


async def test_two_hundred_concurrent_submits_let_through_what_fits(
    tmp_path: Path,
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        admission = Admission(defaults=(SMALL,), limits=Limits(), skus={})
        studio = Studio(
            database,
            folder=tmp_path,
            clock=Clock(),
            work=asyncio.Event(),
            news=asyncio.Event(),
            drain=asyncio.Event(),
            models=("scripted",),
            max_seconds=8,
            admission=admission,
        )
        asked = [studio.submit(origin(), prompt="play", seconds=8) for _ in range(200)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 3
    assert sum(isinstance(outcome, Refusal) for outcome in outcomes) == 197
