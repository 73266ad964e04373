"""Panels of several channels: what happens to one is nothing to the others."""

import asyncio

import pytest

from bot.admin.panels import Panels
from bot.tables import panels
from bot.tables.database import Database
from bot.values import Panel
from tests.support.clock import Clock

ONE = Panel(guild=1, channel=10, message=100)
OTHER = Panel(guild=1, channel=20, message=200)


@pytest.fixture
async def room(database: Database, clock: Clock) -> Panels:
    """With a panel in each of two channels."""
    made = Panels(database, clock=clock)
    for panel in (ONE, OTHER):
        await made.posted(panel)
    return made


async def stand(database: Database) -> set[int]:
    """Return the messages of all panels."""
    return {row["message_id"] for row in await database.fetch("SELECT message_id FROM panels")}


async def post_below(database: Database, panel: Panel) -> None:
    async with database.transaction() as tx:
        await panels.passed(tx, panel.channel)


async def test_only_what_something_was_posted_below_is_passed_and_that_once(
    database: Database, clock: Clock, room: Panels
) -> None:
    clock.turn(minutes=6)
    assert await room.passed() == []
    await post_below(database, OTHER)
    assert await room.passed() == [OTHER]
    assert await room.passed() == []
    await post_below(database, ONE)
    await post_below(database, OTHER)
    assert await room.passed() == [ONE], "the other rests"
    clock.turn(minutes=5)
    assert await room.passed() == []
    clock.turn(seconds=1)
    assert await room.passed() == [OTHER]


async def test_of_two_looks_at_once_only_one_finds_a_panel_passed(
    database: Database, clock: Clock, room: Panels
) -> None:
    await post_below(database, ONE)
    clock.turn(minutes=6)
    assert sorted(await asyncio.gather(room.passed(), room.passed())) == [[], [ONE]]


async def test_a_panel_that_was_looked_at_by_a_clock_that_was_ahead_does_not_rest(
    database: Database, clock: Clock, room: Panels
) -> None:
    await post_below(database, ONE)
    assert await room.passed() == []
    clock.set(seconds=-1)
    assert await room.passed() == [ONE]


async def test_a_new_panel_takes_the_place_of_its_own_channels_alone(
    database: Database, room: Panels
) -> None:
    await room.posted(Panel(guild=1, channel=20, message=300))
    assert await stand(database) == {ONE.message, 300}
    gone = await database.fetch("SELECT message_id, channel_id FROM removals")
    assert [(*row,) for row in gone] == [(OTHER.message, OTHER.channel)]


async def test_a_panel_that_was_deleted_is_no_longer_one(database: Database, room: Panels) -> None:
    await room.gone(OTHER)
    assert await stand(database) == {ONE.message}
