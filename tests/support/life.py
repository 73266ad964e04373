"""The life of jobs in any order of events: a machine for Hypothesis."""

from collections import defaultdict
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from bot.dispatch.endings import TRIES
from bot.engine.messages import PREVIEW_SECONDS
from bot.errors import Refusal
from bot.tables import jobs, posts, takes
from bot.tables.database import Row
from bot.values import (
    NOBODY,
    Delivered,
    Fault,
    Job,
    Later,
    Outcome,
    Oversized,
    Owed,
    PostKind,
    Status,
    Target,
    Unsent,
    Upload,
    Wish,
)
from tests.support.domain import Domain
from tests.support.one_engine import ENGINE
from tests.support.studio import GENEROUS, member, origin

T = TypeVar("T")


SMALL = replace(GENEROUS, name="Small", longest=40, takes=2, per_day=130, waiting=3)

USERS = (1, 2)

UPLOAD = Upload(Target(10), (1000,))
OUTCOMES = [
    *(Delivered(77), Delivered(78, UPLOAD), Later()),
    *(Oversized(), Oversized(UPLOAD, smaller=True), *Unsent),
]

ANYBODY = member(manager=True)

FREE_OF_CHARGE = {Status.FAILED, Status.CANCELLED, Status.UNDELIVERABLE}


class Life(Domain):
    """Drives the domain's every change of state, in any order, over a real database."""

    def __init__(self) -> None:
        super().__init__(SMALL)
        self.accepted: list[int] = []
        self.told: list[tuple[int, PostKind, tuple[int, int]]] = []
        self.sent: list[Owed] = []
        """What is being posted, its outcome unknown."""
        self.stale: list[Owed] = []

    @rule(
        user=st.sampled_from(USERS),
        seconds=st.one_of(st.integers(0, 9), st.just(40)),
        takes=st.integers(0, 3),
    )
    def submit(self, user: int, seconds: int, takes: int) -> None:
        try:
            job = self.do(
                self.studio.submit(origin(user), Wish(prompt="play", seconds=seconds, takes=takes))
            )
        except Refusal:
            return
        self.accepted.append(job.id)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), early=st.floats(0.1, 40))
    def take(self, data: Any, early: float) -> None:
        job = data.draw(st.sampled_from(self.running))
        self.do(self._take(job, min(early, job.request.seconds)))

    async def _take(self, job: Job, seconds: float) -> None:
        made = job.request.before + seconds
        async with self.database.transaction() as tx:
            for number in range(1, job.request.takes + 1):
                audio, codes = f"{job.id}-{number}.wav", f"{job.id}-{number}.npy"
                for name in (audio, codes):
                    (self.folder / name).touch()
                await takes.rendered(tx, job.id, number, made, audio, codes)

    @precondition(lambda self: self.long())
    @rule(data=st.data())
    def begin(self, data: Any) -> None:
        """Make the first half minute of a long piece."""
        self.do(self.make_beginning(data.draw(st.sampled_from(self.long()))))

    def long(self) -> list[Job]:
        return [job for job in self.running if job.request.seconds > PREVIEW_SECONDS]

    async def make_beginning(self, job: Job) -> None:
        async with self.database.transaction() as tx:
            now = await jobs.find(tx, job.id)
            if now is None or now.stopping or now.attempts != job.attempts:
                return
            if await takes.previewed(tx, job.id, 1, f"{job.id}-1.preview.wav"):
                await posts.add_another(tx, job.id, PostKind.PREVIEW, self.clock())

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: Any, fails: bool) -> None:
        job = data.draw(st.sampled_from(self.running))
        if not fails:
            self.do(self._take(job, job.request.seconds))
        ending = (
            self.endings.failed(job, Fault.REQUEST, "no") if fails else self.endings.rendered(job)
        )
        self.do(ending)
        self.running.remove(job)

    def asked(self, work: Awaitable[T]) -> T | None:
        """Return what comes of what a member asks, None where it is refused."""
        try:
            return self.do(work)
        except Refusal:
            return None

    def number(self, data: Any) -> int:
        number: int = data.draw(st.sampled_from(self.accepted[-5:]))
        return number

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), what=st.sampled_from(["cancel", "stop"]))
    def end_early(self, data: Any, what: str) -> None:
        ended = getattr(self.studio, what)
        self.asked(ended(self.number(data), member(manager=True)))

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), seconds=st.integers(1, 9))
    def extend(self, data: Any, seconds: int) -> None:
        wish = self.asked(self.pieces.extension(self.number(data), 1, seconds, ANYBODY))
        job = self.asked(self.studio.submit(origin(1), wish)) if wish else None
        if job:
            self.accepted.append(job.id)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def save(self, data: Any) -> None:
        """Ask for music, which is had of what was delivered alone."""
        number = self.number(data)
        had = self.asked(self.pieces.takes(number, ANYBODY))
        if had:
            assert had[0].status is Status.DELIVERED
            assert not had[0].deleted
            assert all((self.folder / (take.audio or "")).exists() for take in had[1])

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def post_again(self, data: Any) -> None:
        number = self.number(data)
        user = self.do(self.studio.job(number)).origin.user_id
        self.asked(self.studio.post_again(number, NOBODY, member(user)))

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        self.asked(self.archive.delete(self.number(data), member(manager=True)))

    @rule(user=st.sampled_from(USERS))
    def forget(self, user: int) -> None:
        self.do(self.archive.forget(user))

    @rule(gently=st.booleans())
    def restart(self, gently: bool) -> None:
        self.running.clear()
        self.sent.clear()
        if gently:
            self.do(self.endings.hand_back(ENGINE))
        self.do(self.endings.recover())

    @rule()
    def send(self) -> None:
        """Begin to tell what is owed, one thing at a time in a place."""
        busy = {owed.post.place for owed in self.sent}
        for owed in self.do(self.outbox.first(busy))[:1]:
            if reason := self.do(self.outbox.trying(owed)):
                self.do(self.outbox.settle(owed, reason))
            else:
                self.sent.append(owed)

    @precondition(lambda self: self.sent)
    @rule(outcome=st.sampled_from(OUTCOMES))
    def hear(self, outcome: Outcome) -> None:
        """Learn what became of what was sent."""
        owed = self.sent.pop(0)
        if isinstance(outcome, Delivered):
            self.told.append((owed.job.id, owed.post.kind, owed.post.share))
            self.stale.append(owed)
        self.do(self.outbox.settle(owed, outcome))

    @rule(
        user=st.sampled_from(USERS),
        kind=st.sampled_from(["short", "long", "begun"]),
        outcome=st.sampled_from(OUTCOMES),
    )
    def go_all_the_way(self, user: int, kind: str, outcome: Outcome) -> None:
        """Ask for a piece, make and post it, or find that it cannot be posted."""
        self.submit(user, 5 if kind == "short" else 40, 1)
        self.claim()
        for job in self.running[-1:]:
            if kind != "short":
                self.do(self.make_beginning(job))
                self.send_and_hear(outcome)
            if kind != "begun":
                self.do(self._take(job, job.request.seconds))
                self.do(self.endings.rendered(job))
                self.running.remove(job)
        for _ in range(3):
            self.send_and_hear(outcome)

    def send_and_hear(self, outcome: Outcome) -> None:
        self.send()
        if self.sent:
            self.hear(outcome)

    @precondition(lambda self: self.stale)
    @rule()
    def hear_again(self) -> None:
        """Learn of a message what is known."""
        self.do(self.outbox.settle(self.stale[0], Delivered(77)))

    @rule(hours=st.integers(-3, 30))
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
            told = (row["job_id"], PostKind(row["kind"]), (row["take"], row["part"])) in self.told
            assert told == (row["delivered_at"] is not None)

    @invariant()
    def every_end_is_owed_exactly_its_own_post(self) -> None:
        result, failure = {PostKind.RESULT}, {PostKind.FAILURE}
        expected = {status: set[PostKind]() for status in Status}
        expected |= dict.fromkeys((Status.RENDERED, Status.DELIVERED), result)
        expected |= {Status.UNDELIVERABLE: result, Status.FAILED: failure}
        posted = defaultdict[int, list[Row]](list)
        for post in self.do(self.database.fetch("SELECT * FROM posts")):
            posted[post["job_id"]].append(post)
        for job in self.do(self.database.fetch("SELECT * FROM jobs")):
            status, forgotten = Status(job["status"]), job["forgotten_at"] is not None
            rows = posted[job["id"]]
            results = [row for row in rows if row["kind"] == PostKind.RESULT]
            delivered = any(row["delivered_at"] for row in results)
            ended = bool(results) and all(r["delivered_at"] or r["refused_at"] for r in results)
            assert (status is Status.DELIVERED) == (ended and delivered)
            if status is Status.CANCELLED and forgotten:
                assert not delivered
                continue
            assert (status is Status.UNDELIVERABLE) == (ended and not delivered)
            if forgotten:  # so are its reasons
                continue
            partly = status is Status.DELIVERED and any(row["refused_at"] for row in results)
            ours = status is Status.UNDELIVERABLE and job["reason"] is not None
            told = failure if partly or ours else set()
            kinds = {PostKind(row["kind"]) for row in rows} - {PostKind.PREVIEW}
            assert kinds == expected[status] | told

    @invariant()
    def a_beginning_is_owed_while_its_job_runs(self) -> None:
        owed = self.do(
            self.database.fetch(
                """
                SELECT status FROM posts JOIN jobs ON jobs.id = job_id WHERE kind = 'preview'
                AND delivered_at IS NULL AND refused_at IS NULL AND withdrawn_at IS NULL
                """
            )
        )
        assert {row["status"] for row in owed} <= {Status.RUNNING}

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
            free = Status(row["status"]) in FREE_OF_CHARGE or row["priority"] < 0
            if row["status"] == Status.CANCELLED and row["forgotten_at"] and row["heard"]:
                free = row["charged"] > PREVIEW_SECONDS * row["takes"]  # its beginning was heard
            assert 0 <= row["charged"] <= (0 if free else row["seconds"] * row["takes"])
            key = (row["user_id"], row["day"])
            days[key] = days.get(key, 0) + row["charged"]
        assert all(used <= SMALL.per_day for used in days.values())

    @invariant()
    def nothing_runs_that_had_its_tries(self) -> None:
        for job in self.do(jobs.running(self.database)):
            assert 1 <= job.attempts <= TRIES


@pytest.fixture
def life() -> Iterator[Life]:
    life = Life()
    yield life
    life.teardown()
