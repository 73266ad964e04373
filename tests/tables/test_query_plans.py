"""No statement on the way of a request, of a look or of the hours costs more after a long history.

What SQLite does for a statement is counted in steps of its virtual machine, which do not depend on
what the machine does besides. A walk over what has ended takes the more steps the more has ended,
whatever the plan calls it.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bot import queue
from bot.client import Services
from bot.retention.calendar import Calendar
from bot.retention.erasure import Erasure
from bot.tables import jobs, posts, removals, takes
from bot.tables.database import Database, Reader, Row, Transaction
from bot.tables.opening import open_database
from bot.values import Actor, Delivered, Keep, Limits, Panel, PostKind, Status, Wish
from tests.support import inside
from tests.support.clock import Clock
from tests.support.one_engine import opening
from tests.support.studio import GENEROUS, member, origin, rooms

FEW, MANY = 50, 1_500
"""Jobs that have ended, of other members and of other days."""

MOST, SLACK = 1.5, 30
"""How many times the steps after few a statement may take after many, and how many more."""

PAST = (
    """
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?),
    ends (place, status, fault) AS (
        VALUES (0, 'delivered', NULL), (1, 'failed', 'crash'), (2, 'cancelled', NULL),
            (3, 'undeliverable', NULL)
    )
    INSERT INTO jobs (
        status, guild_id, channel_id, user_id, user_name, application_id, token, prompt, seconds,
        takes, work, model, seed, tier, allowance_seconds, day,
        created_at, charged_at, started_at, rendered_at, ended_at, status_message_id, shown, fault
    )
    SELECT status, 10 + i % 10, 100, 100 + i, 'someone', 5, 't', 'p', 8, 1, 8, 'small', i,
        'Free', 8, date(86400 * i, 'unixepoch'), i, i, i, i, i, 7, status, fault
    FROM n JOIN ends ON place = i % 4
    """,
    "UPDATE jobs SET user_id = 99 WHERE guild_id = 10",
    """
    INSERT INTO takes (job_id, number, seed, state, charged_seconds, seconds)
    SELECT id, 1, seed, 'rendered', 8, 8 FROM jobs
    """,
    "INSERT INTO interactions (id, job_id) SELECT id + 1000000, id FROM jobs",
    """
    INSERT INTO posts (job_id, part, kind, nonce, due_at, place, delivered_at, replaced_at)
    SELECT id, 0, column1, column1 || id, created_at, 100, created_at, created_at
    FROM jobs JOIN (VALUES ('result'), ('preview'))
    """,
    """
    INSERT INTO grants (guild_id, user_id, seconds, reason, created_at)
    SELECT guild_id, user_id, 100, 'a gift', created_at FROM jobs WHERE guild_id <> 10
    """,
    """
    INSERT INTO draws (job_id, grant_id, drawn, seconds)
    SELECT jobs.id, grants.id, 8, 0 FROM jobs JOIN grants ON grants.created_at = jobs.created_at
    """,
    """
    INSERT INTO audit (guild_id, at, actor_id, actor_name, action, member_id, subject)
    SELECT guild_id, created_at, 2, 'admin', 'quota grant', user_id, 'someone' FROM jobs
    """,
)


class Steps:
    """Counts the steps of each statement, of all its runs together."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self._now = 0

    def step(self) -> None:
        self._now += 1

    def ran(self, sql: str) -> None:
        self.taken[" ".join(sql.split())] += self._now
        self._now = 0

    def begin(self) -> None:
        self._now = 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """The steps of all statements of the databases that count them."""
    counted = Steps()
    real_fetch, real_execute = Transaction.fetch, Transaction.execute

    async def fetch(self: Transaction, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        counted.begin()
        rows = await real_fetch(self, sql, parameters)
        counted.ran(sql)
        return rows

    async def execute(self: Transaction, sql: str, parameters: Sequence[Any] = ()) -> int:
        counted.begin()
        changed = await real_execute(self, sql, parameters)
        counted.ran(sql)
        return changed

    monkeypatch.setattr(Transaction, "fetch", fetch)
    monkeypatch.setattr(Transaction, "execute", execute)
    return counted


async def past(database: Database, jobs: int) -> None:
    async with database.transaction() as tx:
        for number, statement in enumerate(PAST):
            await tx.execute(statement, (jobs,) if number == 0 else ())


def parts(database: Database, folder: Path, clock: Clock) -> Services:
    limits = Limits(server_seconds_per_day=10**6)
    return rooms(database, folder, clock, GENEROUS, limits=limits, skus={1: "free"}).services


async def live(database: Database, folder: Path, clock: Clock) -> None:
    """Go the way of requests, from asking to delivery, and look as often as one looks."""
    made = parts(database, folder, clock)
    studio, member_admin, outbox = made.studio, made.member_admin, made.outbox
    someone = Actor(id=1, name="someone")
    await member_admin.grant(10, someone, someone, 10, "a gift", 3)
    await member_admin.reset(10, someone, someone)
    await member_admin.log(10, None, 0)
    await member_admin.log(10, 1, 0)
    await settings(made)
    for _ in range(4):
        job = await studio.submit(origin(), Wish(prompt="play", seconds=8))
    await outbox.shown(job, 7, Status.QUEUED)
    await made.standings.of_job(job.id)
    await made.accounts.usage(10, 1)
    await outbox.notices()
    async with database.transaction() as tx:
        first = await queue.claim(tx, opening("small"), clock())
        assert first
        assert await queue.claim(tx, opening("other"), clock())
    await jobs.running(database)
    await studio.cancel(job.id, member())
    async with database.transaction() as tx:
        await takes.rendered(tx, first.id, 1, 8.0, f"audio/{first.id}-1.wav", None)
        await jobs.rendered(tx, first.id, clock())
        await posts.add(tx, first.id, PostKind.RESULT, clock())
    (owed,) = await outbox.owed()
    await outbox.trying(owed)
    (owed,) = await outbox.owed()
    await outbox.settle(owed, Delivered(1))
    await outbox.previews_to_replace()
    assert await made.pieces.of_message(1, member()) == first.id
    async with database.transaction() as tx:
        await posts.outdate(tx, first.id)
    assert [each.post.id for each in await outbox.outdated()] == [owed.post.id]
    await outbox.updated(owed.post, stands=True)
    await made.pieces.history(10, 1, 10, 0)
    await made.pieces.history(10, 1, 10, 0, "some words")
    await made.pieces.history(10, 99, 5, 0)
    await made.shelf.stars(10, 99)
    await made.shelf.star(first.id, member(), GENEROUS)
    await made.shelf.name(first.id, member(), "a title")
    await made.standings.page(10, 0, 10)


async def settings(made: Services) -> None:
    """Read what /settings and /member list show, and what follows a panel.

    Grants are counted one by one, but those of its own server alone: admins make each by hand.
    """
    await made.accounts.offers(10)
    await made.server_admin.channels(10)
    await made.server_admin.words(10)
    await made.server_admin.limits(10)
    await made.member_admin.count(10)
    await made.member_admin.arranged(10, 0)
    await made.panels.posted(Panel(guild=10, channel=100, message=8))
    await made.panels.posted(Panel(guild=10, channel=100, message=9))
    assert await made.panels.passed() == []


async def hours(database: Database, folder: Path, clock: Clock) -> None:
    """Do what is done at the start, every few minutes, and whenever somebody looks from outside."""
    made = parts(database, folder, clock)
    archive, operations, erasure = made.archive, made.operations, made.erasure
    await archive.sweep()
    await operations.stats()
    await archive.present({*range(10, 20)})
    await archive.prune(Keep(days=0, most=0))
    await archive.left(77)
    async with database.transaction() as tx:
        await removals.repeated(tx, 1, 100, 7)
        await removals.add_repeats(tx, 1, clock())
    clock.turn(days=31)
    await archive.forget_the_left()
    await archive.forget(1)
    for removal in await erasure.due(10):
        await erasure.postponed(removal)
        await erasure.done(removal, gone=True)
    await erasure.age(Keep())


async def grown(folder: Path, clock: Clock, steps: Steps, spoil: str = "") -> dict[str, str]:
    """Return the statements that take more steps after many jobs than after few, and how many."""
    taken = []
    for number in (FEW, MANY):
        own = folder / str(number)
        own.mkdir()
        async with open_database(own / "test.db") as database:
            await past(database, number)
            calendar = Calendar(database, clock=clock, ticks=clock.ticks)
            await Erasure(database, clock=clock, calendar=calendar).age(Keep())
            if spoil:
                async with database.transaction() as tx:
                    await tx.execute(spoil)
            await inside.connection(database).set_progress_handler(steps.step, 1)
            steps.taken.clear()
            await live(database, own, clock)
            await hours(database, own, clock)
            taken.append(dict(steps.taken))
    few, many = taken
    assert len(many) > 60
    return {
        sql: f"{few.get(sql, 0)} after {FEW}, {number} after {MANY}"
        for sql, number in many.items()
        if number > MOST * few.get(sql, 0) + SLACK
    }


async def test_nothing_costs_more_after_a_long_history(
    tmp_path: Path, clock: Clock, steps: Steps
) -> None:
    assert await grown(tmp_path, clock, steps) == {}


@pytest.mark.parametrize(
    "index",
    ["draws_by_job", "draws_by_grant", "grants_by_member", "jobs_with_picture", "jobs_by_history"],
)
async def test_without_an_index_it_is_noticed(
    tmp_path: Path, clock: Clock, steps: Steps, index: str
) -> None:
    assert await grown(tmp_path, clock, steps, f"DROP INDEX {index}")


async def test_a_search_over_a_state_that_grows_is_noticed(
    tmp_path: Path, clock: Clock, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT MAX(seed) FROM jobs WHERE status = 'delivered'"

    async def searched(reader: Reader) -> int:
        (step,) = await reader.fetch(f"EXPLAIN QUERY PLAN {sql}")
        assert step["detail"].startswith("SEARCH jobs USING INDEX jobs_by_status")
        await reader.fetch(sql)
        return 0

    monkeypatch.setattr(posts, "count_owed", searched)
    assert list(await grown(tmp_path, clock, steps)) == [sql]
