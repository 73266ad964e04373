"""A database that a bot left when it was stopped at work: it opens, and its jobs are kept.

`data/schema_13.sql` is the backup of a bot that rendered and posted in two servers, at schema 13.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.app import Plan, compose
from bot.rules.tiers import DEFAULTS
from bot.studio import Studio
from bot.tables import backlog, jobs, posts, tallies
from bot.tables.opening import open_database
from bot.values import Actor, Fault, Job, PostKind, Route, Share, Status
from tests.support import inside
from tests.support.clock import Clock, until
from tests.support.studio import member

WRITTEN = Path(__file__).parents[1] / "data" / "schema_13.sql"
SERVER, OTHER = 1456074443980800018, 1456074443980800028
ALICE, BOB, CAROL, ERIN, FRANK = (
    *(1456074443980800023, 1456074443980800024, 1456074443980800026),
    *(1456074443980800032, 1456074443980800103),
)

ENDED = {
    Status.DELIVERED: {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
    Status.FAILED: {3, 15},
    Status.UNDELIVERABLE: {16},
    Status.CANCELLED: {17},
}
USED = {ALICE: 2 + 6 + 4 + 40 + 2 + 16 + 8 + 9 + 15, BOB: 5 + 1, CAROL: 4, FRANK: 4}
"""Seconds of the day's allowance; what was drawn from a grant is none of it."""


@pytest.fixture
def written(plan: Plan) -> Plan:
    """A bot on what the other one left, minutes later."""
    plan.folder.mkdir()
    with closing(sqlite3.connect(plan.folder / "fantasia.db")) as connection:
        connection.executescript(WRITTEN.read_text())
    clock = Clock()
    clock.time = datetime(2026, 11, 26, 20, tzinfo=UTC)
    return replace(plan, clock=clock)


async def all_of(studio: Studio) -> dict[int, Job]:
    return {number: await studio.job(number) for number in range(1, 23)}


async def test_a_database_left_at_work_keeps_what_ended_and_goes_on_with_the_rest(
    written: Plan,
) -> None:
    async with compose(written) as bot:
        studio, found = bot.services.studio, await all_of(bot.services.studio)
        by_status = {
            status: {number for number, job in found.items() if job.status is status}
            for status in ENDED
        }
        assert by_status == ENDED
        assert found[18].status is Status.RENDERED
        for number in (19, 20, 21, 22):
            assert found[number].status in (Status.QUEUED, Status.RUNNING)
        assert (found[8].request.prompt, found[8].origin.user_name) == ("", "")
        assert found[15].reason == "The engine stopped twice while rendering it."
        assert found[12].idle
        # What the engine was at has begun again, and would never end; then the rest is rendered.
        await studio.cancel(19, member(0, SERVER, manager=True))

        async def rendered() -> bool:
            late = [await studio.job(number) for number in (20, 21, 22)]
            return all(job.status is Status.RENDERED for job in late)

        await until(rendered)


async def test_a_database_left_at_work_keeps_every_sum(written: Plan) -> None:
    async with compose(written) as bot:
        usages = {user: await bot.services.accounts.usage(SERVER, user) for user in USED}
        assert {user: usage.used for user, usage in usages.items()} == USED
        (prize,) = usages[BOB].grants
        assert (prize.seconds, prize.left) == (20, 20 - 7 - 6 - 2)
        assert (usages[BOB].membership.per_day, usages[FRANK].left) == (6, 0)
        # Refused where no tier was given by hand.
        await bot.services.member_admin.take(
            SERVER, Actor(id=1, name="admin"), Actor(id=CAROL, name="carol")
        )
        assert (await bot.services.accounts.usage(OTHER, ERIN)).used == 10
        blocked = await bot.services.accounts.usage(SERVER, 1456074443980800027)
        assert blocked.block
        assert blocked.block.reason == "loud nights"


async def test_a_database_left_at_work_keeps_what_is_owed_and_what_was_ruled(
    written: Plan,
) -> None:
    async with compose(written) as bot:
        owed = await bot.services.outbox.owed()
        # Discord called both takes too large for one message, and was down for each by itself.
        assert [(each.job.id, each.post.route) for each in owed] == [(18, Route.CHANNEL)] * 2
        assert [each.post.share for each in owed] == [Share(1), Share(2)]
        assert len({each.post.nonce for each in owed}) == 2
        shares = [each.share for each in await posts.of(inside.database(bot.services.studio), 14)]
        assert shares == [Share(1, part) for part in (1, 2, 3, 4)]
        again = await bot.services.pieces.takes(13, member(ALICE, SERVER))
        assert [take.charged_seconds for take in again[1]] == [8, 8]
        assert await bot.services.erasure.left() == 2
        assert await bot.services.server_admin.words(SERVER) == ["kazoo"]
        assert await bot.services.server_admin.words(OTHER) == ["tuba"]
        assert len(await bot.services.server_admin.channels(SERVER)) == 1
        known = [offer.tier for offer in await bot.services.accounts.offers(SERVER)]
        assert "Choir" in [tier.name for tier in known]
        for tier in known:
            usual = [each.stars for each in DEFAULTS if each.per_day <= max(8, tier.per_day)]
            assert tier.stars == max(usual)
        limits = await bot.services.server_admin.limits(OTHER)
        assert (limits.max_seconds, limits.waiting_per_server) == (90, 12)
        changes = await bot.services.member_admin.log(SERVER, None, 0)
        assert Counter(change.action for change in changes)["quota set"] == 2


async def test_what_a_job_makes_and_costs_is_summed_as_it_was_before_its_row_said_so(
    written: Plan,
) -> None:
    path, began, now = (
        written.folder / "fantasia.db",
        datetime.fromtimestamp(0, UTC),
        written.clock(),
    )
    with closing(sqlite3.connect(path)) as connection:
        shares = connection.execute(
            """
            SELECT guild_id, user_id, SUM(1.0 * seconds * takes / weight),
                SUM(1.0 * seconds * takes / server_weight)
            FROM jobs WHERE started_at > 0 GROUP BY guild_id, user_id
            """
        ).fetchall()
        (rendered,) = connection.execute(
            "SELECT COUNT(*), SUM(seconds * takes) FROM jobs WHERE rendered_at IS NOT NULL"
        )
        prices = connection.execute("SELECT id, price FROM jobs").fetchall()
    assert len(shares) > 3
    async with open_database(path) as database:
        assert await backlog.shares(database, began, now) == shares
        assert await tallies.rendered_since(database, began) == rendered
        kept = await database.fetch("SELECT id, price FROM jobs")
        assert list(map(tuple, kept)) == prices


async def test_what_one_number_said_of_a_message_is_said_by_two(written: Plan) -> None:
    path = written.folder / "fantasia.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(5, 1, "preview"), (5, 102, "preview"), (3, 2, "failure")]
        connection.executemany(
            "INSERT INTO posts (job_id, part, kind, nonce, due_at) VALUES (?, ?, ?, ?2 || ?3, 0)",
            rows,
        )
    async with open_database(path) as database:
        found = {number: await posts.of(database, number) for number in (1, 3, 5)}
    shares = {number: [(each.kind, each.share) for each in of] for number, of in found.items()}
    preview, failure, result = PostKind.PREVIEW, PostKind.FAILURE, PostKind.RESULT
    assert shares == {
        1: [(result, Share())],
        3: [(failure, Share()), (failure, Share(part=2))],
        5: [(preview, Share()), (result, Share())]
        + [(preview, Share(part=part)) for part in (1, 102)],
    }


async def test_why_music_cannot_be_posted_is_known_whatever_its_words_say(written: Plan) -> None:
    path = written.folder / "fantasia.db"
    gone, ours = "Its music is gone from the studio's disk.", "The studio failed to post it."
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "UPDATE jobs SET status = 'undeliverable', reason = ? WHERE id = ?",
            [(gone, 12), (ours, 13), (None, 14)],
        )
    async with open_database(path) as database:
        found = [await jobs.find(database, number) for number in (12, 13, 14)]
    assert [job.fault for job in found if job] == [Fault.GONE, Fault.POSTING, None]
