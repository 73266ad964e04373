"""What was typed into a refused form: whose it is, for how long, and with whom it goes."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from bot.belongings.drafts import Drafts
from bot.errors import Refusal
from bot.tables import drafts
from bot.tables.database import Database, Transaction
from tests.support.clock import Clock

Erase = Callable[[Transaction, datetime], Awaitable[object]]

SECOND = timedelta(seconds=1)

HERE, THERE = 1, 2
ALICE, BOB = 10, 20


@pytest.fixture
async def typed(database: Database, clock: Clock) -> Drafts:
    """By a member of one server, and by one of another."""
    room = Drafts(database, clock=clock)
    await room.keep(THERE, ALICE, "edit:1", {"prompt": "before"})
    await room.keep(HERE, ALICE, "edit:1", {"prompt": "alice's"})
    await room.keep(THERE, BOB, "edit:1", {"prompt": "bob's"})
    return room


async def left(database: Database) -> list[str]:
    rows = await database.fetch("SELECT said FROM drafts ORDER BY user_id")
    return [json.loads(row["said"])["prompt"] for row in rows]


async def test_what_was_typed_is_found_where_it_was_typed_for_fifteen_minutes(
    typed: Drafts, clock: Clock
) -> None:
    clock.turn(minutes=15)
    assert (await typed.last(HERE, ALICE)).said == {"prompt": "alice's"}
    assert (await typed.last(THERE, BOB)).said == {"prompt": "bob's"}
    with pytest.raises(Refusal):
        await typed.last(THERE, ALICE)
    clock.turn(seconds=1)
    with pytest.raises(Refusal, match="kept for 15 minutes only"):
        await typed.last(HERE, ALICE)


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize(
    ("erase", "kept"),
    [
        (lambda tx, _: drafts.forgotten(tx, ALICE), ["bob's"]),
        (lambda tx, _: drafts.left(tx, THERE), ["alice's"]),
        (lambda tx, now: drafts.aged(tx, now, now), ["alice's", "bob's"]),
        (lambda tx, now: drafts.aged(tx, now + SECOND, now), []),
    ],
    ids=["a member's", "a server's", "none", "all that are old"],
)
async def test_what_was_typed_goes_with_its_member_its_server_and_its_time(
    database: Database, clock: Clock, erase: Erase, kept: list[str]
) -> None:
    async with database.transaction() as tx:
        await erase(tx, clock())
    assert await left(database) == kept
