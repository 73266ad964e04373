"""The books of some members beside a straightforward recount: a machine for Hypothesis."""

import math
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from bot.errors import Refusal
from bot.rules import days
from bot.tables import takes
from bot.values import Actor, Delivered, Fault, Job, Status, Unsent, Wish
from tests.support.one_engine import ENGINE
from tests.support.recount import ADMIN, GUILDS, MEMBERS, USERS, Bill, Given, Recount
from tests.support.studio import member, origin


class Books(Recount):
    """Drives members, admins and the engine, and keeps books of its own."""

    @rule(
        guild=st.sampled_from(GUILDS),
        user=st.sampled_from(USERS),
        seconds=st.integers(1, 8),
        number=st.integers(1, 3),
    )
    def submit(self, guild: int, user: int, seconds: int, number: int) -> None:
        cost = seconds * number
        draws = self.charge(guild, user, cost)
        waiting = len(self.do(self.accounts.usage(guild, user)).waiting)
        asked = self.studio.submit(
            origin(user, guild),
            Wish(prompt="play", seconds=seconds, takes=number),
            self.presence(guild, user),
        )
        today = days.day(self.clock())
        unposted = [
            bill for bill in self.bills.values() if bill.user == user and bill.unposted >= today
        ]
        idle = draws is None and self.may_idle(guild, user)
        if idle:
            draws, cost = [], 0
        if waiting >= 4 or len(unposted) >= 2 or draws is None:
            kind = (
                "waiting" if waiting >= 4 else "Post again" if len(unposted) >= 2 else "left today"
            )
            with pytest.raises(Refusal, match=kind):
                self.do(asked)
            return
        job = self.do(asked)
        for grant, drawn in draws:
            grant.drawn += drawn
        self.bills[job.id] = Bill(
            guild=guild,
            user=user,
            day=days.day(self.clock()),
            cost=cost,
            everywhere=self.holds(guild, user)[1],
            charged=cost,
            draws=draws,
            idle=idle,
        )

    def may_idle(self, guild: int, user: int) -> bool:
        """Whether a member has used up a day that held something, and nobody waits."""
        per_day = self.holds(guild, user)[0]
        left = max(0, per_day - self.used(guild, user)) or self.open_grants(guild, user)
        waits = self.do(self.database.fetch("SELECT 1 FROM jobs WHERE status = 'queued'"))
        return per_day > 0 and not left and not waits

    @rule(member=st.sampled_from(MEMBERS), fits=st.lists(st.integers(1, 9), min_size=2, max_size=3))
    def submit_on_grants(self, member: tuple[int, int], fits: list[int]) -> None:
        """Give a member several grants and let them ask for more than the day's allowance."""
        for seconds in fits:
            self.grant(member, seconds, seconds % 3 or None)
        guild, user = member
        self.submit(guild, user, 8, 1)

    @rule(data=st.data(), length=st.floats(0.1, 8), whole=st.booleans())
    def finish(self, data: Any, length: float, whole: bool) -> None:
        """Render a job, whole or stopped early."""
        if not self.running:
            return
        job = data.draw(st.sampled_from(self.running))
        self.running.remove(job)
        seconds = job.request.seconds if whole else min(length, job.request.seconds)
        self.do(self._rendered(job, seconds))
        if self.do(self.studio.job(job.id)).status is Status.RENDERED:
            self.bills[job.id].lower(math.ceil(round(seconds, 6)) * job.request.takes)

    async def _rendered(self, job: Job, seconds: float) -> None:
        async with self.database.transaction() as tx:
            for number in range(1, job.request.takes + 1):
                name = f"{job.id}-{number}.wav"
                (self.folder / name).touch()
                await takes.rendered(tx, job.id, number, seconds, name, None)
        await self.endings.rendered(job)

    @rule(data=st.data())
    def fail(self, data: Any) -> None:
        if self.running:
            job = data.draw(st.sampled_from(self.running))
            self.running.remove(job)
            self.do(self.endings.failed(job, Fault.REQUEST, "no"))
            self.ended(job.id)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        if self.bills:
            number = data.draw(st.sampled_from(sorted(self.bills)))
            guild = self.bills[number].guild
            with suppress(Refusal):
                self.do(self.studio.cancel(number, member(9, guild, manager=True)))
            self.ended(number)

    def ended(self, number: int) -> None:
        if self.do(self.studio.job(number)).status in (Status.FAILED, Status.CANCELLED):
            self.bills[number].lower(0)

    @rule(gently=st.booleans())
    def restart(self, gently: bool) -> None:
        if gently:
            self.do(self.endings.hand_back(ENGINE))
        self.do(self.endings.recover())
        for job in self.running:
            self.ended(job.id)
        self.running.clear()

    @rule(refused=st.booleans())
    def deliver(self, refused: bool) -> None:
        for owed in self.do(self.outbox.owed())[:1]:
            if not refused:
                self.do(self.outbox.settle(owed, Delivered(77)))
                if self.do(self.studio.job(owed.job.id)).status is Status.DELIVERED:
                    self.bills[owed.job.id].unposted = ""
                continue
            for _ in range(3):
                found = [now for now in self.do(self.outbox.owed()) if now.post.id == owed.post.id]
                for now in found:
                    self.do(self.outbox.settle(now, Unsent.REFUSED))
            if self.is_undeliverable(owed.job.id):
                self.bills[owed.job.id].lower(0)
                self.bills[owed.job.id].unposted = days.day(self.clock())

    @rule(data=st.data())
    def post_again(self, data: Any) -> None:
        if not self.bills:
            return
        refused = [number for number in self.bills if self.is_undeliverable(number)]
        number = data.draw(st.sampled_from(refused or sorted(self.bills)))
        bill, job = self.bills[number], self.do(self.studio.job(number))
        price = 0 if bill.idle else self.do(self.music(number))
        draws = self.charge(bill.guild, bill.user, price)
        asked = self.studio.post_again(
            number, self.presence(bill.guild, bill.user), member(bill.user, bill.guild)
        )
        gone = job.deleted or job.forgotten
        if job.status is not Status.UNDELIVERABLE or gone or draws is None:
            with pytest.raises(Refusal):
                self.do(asked)
            return
        everywhere = self.holds(bill.guild, bill.user)[1]
        self.do(asked)
        for grant, drawn in draws:
            grant.drawn += drawn
        bill.charged, bill.draws, bill.forgiven = price, draws, False
        bill.day, bill.everywhere = days.day(self.clock()), everywhere

    def is_undeliverable(self, number: int) -> bool:
        return self.do(self.studio.job(number)).status is Status.UNDELIVERABLE

    async def music(self, number: int) -> int:
        """Return the whole seconds of music that a job has."""
        return sum(
            -int(-(take.seconds or 0) // 1) for take in await takes.of(self.database, number)
        )

    @rule(
        member=st.sampled_from(MEMBERS),
        seconds=st.integers(1, 20),
        days=st.one_of(st.none(), st.integers(1, 3)),
    )
    def grant(self, member: tuple[int, int], seconds: int, days: int | None) -> None:
        guild, user = member
        someone = Actor(id=user, name="someone")
        self.do(self.member_admin.grant(guild, ADMIN, someone, seconds, "a gift", days))
        ends = None if days is None else self.clock() + timedelta(days=days)
        self.grants[member].append(Given(seconds=seconds, ends=ends))

    @rule(member=st.sampled_from(MEMBERS))
    def reset(self, member: tuple[int, int]) -> None:
        guild, user = member
        self.do(self.member_admin.reset(guild, ADMIN, Actor(id=user, name="someone")))
        for bill in self.bills.values():
            today = bill.day == days.day(self.clock())
            if (bill.guild, bill.user) == member and today and not bill.everywhere:
                bill.forgiven = True

    @rule(member=st.sampled_from(MEMBERS), per_day=st.one_of(st.none(), st.integers(0, 40)))
    def allow(self, member: tuple[int, int], per_day: int | None) -> None:
        guild, user = member
        with suppress(Refusal):
            self.do(self.member_admin.allow(guild, ADMIN, Actor(id=user, name="someone"), per_day))
        self.overrides.pop(member, None)
        if per_day is not None:
            self.overrides[member] = per_day

    @rule(member=st.sampled_from(MEMBERS), way=st.sampled_from(["given", "role", "subscription"]))
    def toggle(self, member: tuple[int, int], way: str) -> None:
        """Give a member the higher tier in one of its ways, or take it away."""
        if way == "role":
            self.with_role ^= {member}
        elif way == "subscription":
            self.subscribers ^= {member[1]}
        else:
            someone = Actor(id=member[1], name="someone")
            if member in self.given:
                self.do(self.member_admin.take(member[0], ADMIN, someone))
            else:
                self.do(self.member_admin.give(member[0], ADMIN, someone, "Plus", None))
            self.given ^= {member}

    @rule(guild=st.sampled_from(GUILDS), per_day=st.integers(13, 40))
    def edit(self, guild: int, per_day: int) -> None:
        self.do(self.tier_admin.edit_tier(guild, ADMIN, "Plus", {"per_day": per_day}))
        self.plus[guild] = per_day

    @rule(user=st.sampled_from(USERS))
    def forget(self, user: int) -> None:
        """Forget a member: what was not posted yet is not, and is refunded."""
        theirs = [number for number, bill in self.bills.items() if bill.user == user]
        before = {number: self.do(self.studio.job(number)).status for number in theirs}
        self.do(self.archive.forget(user))
        for number, status in before.items():
            if status in (Status.QUEUED, Status.RUNNING, Status.RENDERED):
                self.bills[number].lower(0)

    @rule(data=st.data(), what=st.sampled_from(["stop", "delete"]))
    def let_be(self, data: Any, what: str) -> None:
        """Stop a piece, or delete it: neither changes what it is charged by itself."""
        if self.bills:
            number = data.draw(st.sampled_from(sorted(self.bills)))
            act = self.studio.stop if what == "stop" else self.archive.delete
            with suppress(Refusal):
                self.do(act(number, member(9, self.bills[number].guild, manager=True)))

    @rule(hours=st.integers(-3, 30))
    def wait(self, hours: int) -> None:
        self.clock.turn(hours=hours, seconds=7)

    # What must hold.

    @invariant()
    def members_see_the_recount(self) -> None:
        """And of one with few entries all are shown: their sum is what was used and given."""
        for guild, user in MEMBERS:
            usage = self.do(self.accounts.usage(guild, user, self.presence(guild, user)))
            per_day, everywhere = self.holds(guild, user)
            assert (usage.membership.per_day, usage.membership.everywhere) == (per_day, everywhere)
            used = self.used(guild, user)
            assert (usage.used, usage.left) == (used, max(0, per_day - used))
            lefts = [grant.seconds - grant.drawn for grant in self.open_grants(guild, user)]
            assert [grant.left for grant in usage.grants] == lefts
            if len(usage.ledger) < 10:
                theirs = [b for b in self.bills.values() if (b.guild, b.user) == (guild, user)]
                given = sum(grant.seconds for grant in self.grants[guild, user])
                total = sum(entry.seconds for entry in usage.ledger)
                assert total == given - sum(bill.charged for bill in theirs)

    @invariant()
    def nothing_is_given_away_or_taken_twice(self) -> None:
        free = {Status.FAILED, Status.CANCELLED, Status.UNDELIVERABLE}
        rows = self.do(
            self.database.fetch(
                """
                SELECT jobs.id, status, SUM(charged_seconds) AS charged FROM jobs
                JOIN takes ON takes.job_id = jobs.id GROUP BY jobs.id
                """
            )
        )
        assert {row["id"]: row["charged"] for row in rows} == {
            number: bill.charged for number, bill in self.bills.items()
        }
        for row in rows:
            most = 0 if row["status"] in free else self.bills[row["id"]].cost
            assert 0 <= row["charged"] <= most
        for grants in self.grants.values():
            assert all(0 <= grant.drawn <= grant.seconds for grant in grants)


class Only:
    """Draws the one thing there is."""

    def draw(self, _: Any) -> Any:
        return self.thing

    def __init__(self, thing: Any) -> None:
        self.thing = thing


@pytest.fixture
def books() -> Iterator[Books]:
    machine = Books()
    yield machine
    machine.members_see_the_recount()
    machine.nothing_is_given_away_or_taken_twice()
    machine.teardown()


def lefts(books: Books) -> list[int]:
    return [grant.left for grant in books.do(books.accounts.usage(10, 1)).grants]


def play(books: Books, seconds: float) -> None:
    """Render what was asked for, as so many seconds."""
    books.claim()
    books.finish(Only(books.running[0]), seconds, whole=False)
