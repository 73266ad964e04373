"""What is read of the tables, against the same said of all their rows in Python."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import pytest

from bot.tables import backlog, erasures, jobs, ledger, notices, posts, shelf, takes, tallies
from bot.tables.database import Database
from bot.values import Fault, Status
from tests.support.rows import put
from tests.support.tables import NOW, Rows, Tables, ours, tables

__all__ = ["tables"]

PAST = {"delivered", "undeliverable", "failed", "cancelled"}


def numbers(found: Any) -> list[int]:
    return [each.id for each in found]


def ids(rows: Rows, matches: Callable[[dict[str, Any]], object]) -> list[int]:
    return [row["id"] for row in rows if matches(row)]


async def test_a_members_jobs(database: Database, tables: Tables) -> None:
    def heard(job: dict[str, Any]) -> bool:
        gone = job["deleted_at"] or job["forgotten_at"]
        return ours(job) and bool(job["rendered_at"]) and not gone

    def said(job: dict[str, Any]) -> bool:
        words = f"#{job['id']} {job['title'] or ''} {job['prompt']}".casefold()
        return heard(job) and "slow" in words and "polka" in words

    def first(matches: Callable[[dict[str, Any]], bool]) -> list[int]:
        return ids(sorted(tables.jobs, key=lambda job: (-job["starred"], -job["id"])), matches)

    newest, starred = first(heard), ids(tables.jobs, lambda job: heard(job) and job["starred"])
    assert numbers(await shelf.history(database, 10, 1, 3, 0)) == newest[:3]
    assert numbers(await shelf.history(database, 10, 1, 50, 2)) == newest[2:]
    assert numbers(await shelf.history(database, 10, 1, 50, 0, "pOLKA slow")) == first(said)
    assert await shelf.count(database, 10, 1) == len(starred) > 0
    for read, status in ((backlog.of, "queued"), (backlog.rendering, "running")):
        mine = ids(tables.jobs, lambda job: ours(job) and job["status"] == status)  # noqa: B023
        assert await read(database, 10, 1) == mine != []
    async with database.transaction() as tx:
        of_member = await erasures.of_member(tx, 1, 100)
        assert len(await erasures.of_member(tx, 1, 2)) == 2
    kept = ids(tables.jobs, lambda job: job["user_id"] == 1 and not job["forgotten_at"])
    assert sorted(numbers(of_member)) == kept
    unposted = ids(
        tables.jobs,
        lambda job: (
            job["user_id"] == 1
            and job["status"] in ("undeliverable", "rendered")
            and job["ended_at"] in (999, 1000)
            and (job["reason"] is None or job["status"] == "rendered")
        ),
    )
    assert unposted
    assert await ledger.unposted(database, 1, NOW - timedelta(seconds=1), NOW) == unposted


async def test_what_is_of_one_job(database: Database, tables: Tables) -> None:
    for job in tables.jobs[::9]:
        of_takes = [take["id"] for take in tables.takes_of(job)]
        of_posts = ids(tables.posts, lambda post: post["job_id"] == job["id"])  # noqa: B023
        assert numbers(await takes.of(database, job["id"])) == of_takes
        assert numbers(await posts.of(database, job["id"])) == of_posts
        found = await jobs.find(database, job["id"])
        assert found
        assert (found.id, found.status) == (job["id"], job["status"])
        take = await takes.find(database, of_takes[1])
        assert take
        assert (take.id, take.number) == (of_takes[1], 2)
    assert await jobs.find(database, 999) is None
    assert await takes.find(database, 999) is None


async def test_every_server_whose_members_wait_is_found(database: Database) -> None:
    async with database.transaction() as tx:
        for guild in (12, 10, 11, 10):
            await put(tx, "jobs", status="queued", guild_id=guild)
        await put(tx, "jobs", status="running", guild_id=13)
        assert await backlog.servers(tx) == [10, 11, 12]


async def test_the_queue(database: Database, tables: Tables) -> None:
    queued = [job for job in tables.jobs if job["status"] == "queued"]
    here = [job for job in queued if job["guild_id"] == 10]
    assert await backlog.count(database, 10) == (len(queued), len(here))
    line = await backlog.line(database)
    assert sorted(job.id for job in line) == sorted(job["id"] for job in queued)

    def whose(job: dict[str, Any]) -> tuple[Any, ...]:
        return job["guild_id"], job["user_id"], job["model"], job["priority"]

    heads = {next(of_one)["id"] for _, of_one in groupby(sorted(queued, key=whose), whose)}
    async with database.transaction() as tx:
        servers = await backlog.servers(tx)
        assert servers == sorted({job["guild_id"] for job in queued})
        lanes = [await backlog.heads(tx, servers, idle=idle) for idle in (False, True)]
        assert sorted(head.id for lane in lanes for head in lane) == sorted(heads)
        assert [{head.idle for head in lane} for lane in lanes] == [{False}, {True}]
        aged = [waiting.id for waiting in await backlog.by_age(tx, 0, idle=False)]
        assert aged == [job["id"] for job in queued if job["priority"] >= 0][:50]
    running = [job for job in tables.jobs if job["status"] == "running"]
    running.sort(key=lambda job: (job["started_at"] or 0, job["id"]))
    found = await backlog.under_way(database)
    assert [(each.id, each.attempts, progress, each.engine) for each, progress in found] == [
        (job["id"], job["attempts"] - 1, job["progress"], job["engine"]) for job in running
    ]
    assert numbers(await jobs.running(database)) == sorted(job["id"] for job in running)
    for guild in (None, 10):
        everybody = ids(
            tables.jobs,
            lambda job: job["status"] in ("queued", "running") and guild in (None, job["guild_id"]),  # noqa: B023
        )
        assert numbers(await jobs.open_ones(database, guild)) == everybody


async def test_shares(database: Database, tables: Tables) -> None:
    def whose(job: dict[str, Any]) -> tuple[int, int]:
        return job["guild_id"], job["user_id"]

    started = [job for job in tables.jobs if 999 < (job["started_at"] or 0) <= 1000]
    expected: list[tuple[int, int, object, object]] = []
    for (guild, user), group in groupby(sorted(started, key=whose), whose):
        mine = list(group)
        among_members = sum(job["work"] / job["weight"] for job in mine)
        among_servers = sum(job["work"] / job["server_weight"] for job in mine)
        expected.append((guild, user, pytest.approx(among_members), pytest.approx(among_servers)))
    found = await backlog.shares(database, NOW - timedelta(seconds=1), NOW)
    assert [*sorted(found)] == expected


@pytest.mark.parametrize(("priority", "pays"), [(0, True), (1, True), (-1, False)])
@pytest.mark.parametrize("status", Status)
async def test_who_waits_and_pays(
    database: Database, priority: int, pays: bool, status: Status
) -> None:
    async with database.transaction() as tx:
        await put(tx, "jobs", priority=priority, status=status)
        assert await backlog.somebody_pays(tx, "cpu-0") == (pays and status is Status.QUEUED)


async def test_what_may_be_out_of_date(database: Database, tables: Tables) -> None:
    def stale(job: dict[str, Any]) -> bool:
        moves = job["status"] in ("queued", "running")
        return job["status_message_id"] is not None and (moves or job["shown"] != job["status"])

    found = await notices.to_show(database)
    assert [notice.job for notice in found] == ids(tables.jobs, stale)


async def test_how_the_studio_does(database: Database, tables: Tables) -> None:
    states = Counter(Status(job["status"]) for job in tables.jobs)
    assert await tallies.counts(database) == states
    faults = Counter(
        job["fault"] or "request" for job in tables.jobs if job["status"] == Status.FAILED
    )
    assert await tallies.faults(database) == faults
    oldest = await backlog.oldest(database)
    queued = [job["created_at"] for job in tables.jobs if job["status"] == "queued"]
    assert oldest
    assert oldest.timestamp() == min(queued)
    made = [job for job in tables.jobs if (job["started_at"] or 0) > 1000 and job["rendered_at"]]
    music = sum(job["work"] for job in made)
    assert await tallies.rendered_since(database, NOW) == (len(made), music)
    async with database.transaction() as tx:
        for job in tables.jobs:
            await jobs.failed(tx, job["id"], "broke", Fault.TIME, NOW)
    failed = states[Status.FAILED] + states[Status.RUNNING]
    expected = states | {Status.FAILED: failed}
    expected.pop(Status.RUNNING)
    assert await tallies.counts(database) == expected
    assert await tallies.faults(database) == faults + Counter(time=states[Status.RUNNING])


async def test_servers_that_were_left(database: Database, tables: Tables) -> None:
    kept = ids(tables.jobs, lambda job: job["guild_id"] == 10 and not job["forgotten_at"])
    at = datetime.fromtimestamp(801, UTC)
    async with database.transaction() as tx:
        assert sorted(numbers(await erasures.of_left_servers(tx, at, 100))) == kept
        assert len(await erasures.of_left_servers(tx, at, 3)) == 3
        assert await erasures.of_left_servers(tx, datetime.fromtimestamp(800, UTC), 100) == []
    without = ("queued", "running", "cancelled", "failed")
    unmade = ids(tables.jobs, lambda job: job["status"] in without and job["id"] < 40)
    assert sorted(numbers(await jobs.unmade(database, range(40)))) == unmade


async def test_files_and_what_needs_them(database: Database, tables: Tables) -> None:
    names = ("audio", "codes", "preview")
    assert await takes.files(database) == {
        take[name] for take in tables.takes for name in names if take[name]
    }
    assert await jobs.pictures(database) == {
        job["picture"] for job in tables.jobs if job["picture"]
    }
    ended = [
        (take, tables.job(take["job_id"])) for take in tables.takes if any(map(take.get, names))
    ]
    expected = [
        (job["starred"], job["status"] == "delivered", job["ended_at"] or job["created_at"])
        for _, job in ended
        if job["status"] in PAST
    ]
    found = await takes.kept(database, 0, 1000)
    assert [(*kept[2:4], kept.ended_at.timestamp()) for kept in found] == expected
    assert await takes.kept(database, found[3].take, 2) == found[4:6]
    needed = {
        take["job_id"]
        for take in tables.takes
        for job in tables.jobs
        if job["parent_take"] == take["id"] and job["status"] in ("queued", "running")
    }
    async with database.transaction() as tx:
        for job in tables.jobs:
            may_go = job["status"] in PAST and job["id"] not in needed
            assert await takes.dispensable(tx, job["id"], starred=True) == may_go
            may_go = may_go and not job["starred"]
            assert await takes.dispensable(tx, job["id"], starred=False) == may_go


@pytest.mark.usefixtures("tables")
async def test_what_is_starred_is_kept_music_of_whoever_has_a_star_left(database: Database) -> None:
    def there(job: dict[str, Any]) -> bool:
        return not (job["deleted_at"] or job["forgotten_at"])

    async with database.transaction() as tx:
        await tx.execute("UPDATE jobs SET status = 'delivered' WHERE id % 2")
    tables, found = await Tables.of(database), []
    for job in tables.jobs:
        have = sum(
            1
            for other in tables.jobs
            if ours(other, job["guild_id"], job["user_id"])
            and (there(other) and other["starred"] and other["rendered_at"])
        )
        kept = any(take["audio"] for take in tables.takes_of(job))
        may = there(job) and job["status"] == "delivered" and not job["starred"] and kept
        async with database.transaction() as tx:
            assert not await shelf.starred(tx, job["id"], have)
            assert await shelf.starred(tx, job["id"], have + 1) == may
            if may:
                await shelf.unstarred(tx, job["id"])
            await shelf.named(tx, job["id"], "a title")
        found.append(may)
    assert set(found) == {True, False}
    named = [job["title"] == "a title" for job in (await Tables.of(database)).jobs]
    assert named == [there(job) for job in tables.jobs]


async def test_a_kind_of_failure_is_counted_from_the_first(database: Database) -> None:
    async with database.transaction() as tx:
        await put(tx, "jobs", status="failed", fault="time")
    assert await tallies.faults(database) == {"time": 1}


@pytest.mark.usefixtures("tables")
async def test_whose_words_are_erased_and_which(database: Database) -> None:
    words = {"prompt": "", "user_name": "", "token": "", "reason": None}
    marks: dict[str, Any] = {"title": None, "starred": 0, "forgotten_at": 1000.0}
    async with database.transaction() as tx:
        await tx.execute("UPDATE jobs SET prompt = 'a', user_name = 'b', token = 'c', reason = 'd'")
        await tx.execute("UPDATE takes SET audio = NULL WHERE job_id % 3")
        await tx.execute("UPDATE takes SET codes = NULL WHERE job_id % 5")
    before = await Tables.of(database)

    def erased(job: dict[str, Any]) -> bool:
        music = any(take["audio"] or take["codes"] for take in before.takes_of(job))
        old = job["ended_at"] is not None and job["ended_at"] < 1000
        return old and job["forgotten_at"] is None and job["picture"] is None and not music

    expected = [job for job in before.jobs if erased(job)]
    assert expected
    async with database.transaction() as tx:
        assert await erasures.words_erased(tx, NOW, NOW, 1000) == len(expected)
    after = await Tables.of(database)
    for was, now in zip(before.jobs, after.jobs, strict=True):
        assert now == (was | words | marks if was in expected else was)


async def test_what_is_owed(database: Database, tables: Tables) -> None:
    owed = [post for post in tables.posts if not (post["delivered_at"] or post["refused_at"])]
    assert await posts.count_owed(database) == len(owed)

    def overtakes(post: dict[str, Any]) -> bool:
        return any(
            earlier["place"] == post["place"]
            and earlier["id"] < post["id"]
            and earlier["due_at"] > 1000
            and earlier["holds"]
            for earlier in owed
        )

    due = [post["id"] for post in owed if post["due_at"] <= 1000 and not overtakes(post)]
    assert numbers(await posts.undelivered(database, NOW)) == due
    previews = [post for post in tables.posts if post["kind"] == "preview" and post["delivered_at"]]

    def later(post: dict[str, Any]) -> bool:
        return any(
            other["job_id"] == post["job_id"] and other["part"] > post["part"] for other in previews
        )

    to_replace = [
        post["id"]
        for post in previews
        if not post["replaced_at"] and (tables.job(post["job_id"])["status"] in PAST or later(post))
    ]
    assert sorted(numbers(await posts.previews_to_replace(database))) == to_replace
