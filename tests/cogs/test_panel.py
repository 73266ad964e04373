"""The panel stays near the end of its channel: moved, never doubled, gone when it is deleted."""

import asyncio
from dataclasses import replace
from unittest.mock import patch

import discord
import pytest

from bot.admin.panels import Panels
from bot.app import Plan
from cogs.ui.panel import NEAR_MESSAGES
from tests.support.clock import Clock, until
from tests.support.world import World, world


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    return replace(plan, clock=clock)


def panels(w: World) -> list[discord.Message]:
    return [each for each in w.messages() if each.embeds and each.embeds[0].title == TITLE]


TITLE = "Words into music"


async def passed(w: World, clock: Clock) -> None:
    """Let a piece be posted, so much talk follow it, and the panel's rest end."""
    await w.generate("play")
    await w.result(len(w.results()) + 1)
    for number in range(NEAR_MESSAGES):
        await w.alice.send(w.music, f"{number}, how lovely")
    clock.turn(minutes=6)


async def looked(w: World) -> None:
    """Wait until each look of the bot has ended, its ticker's too, and nothing is left to do."""

    async def look() -> bool:
        w.bot.dispatch("look")
        await asyncio.wait([task for task in asyncio.all_tasks() if "on_look" in task.get_name()])
        open_ = "SELECT 1 FROM panels WHERE passed = 1 UNION ALL SELECT 1 FROM removals"
        return not await w.database.fetch(open_)

    await until(look)


async def test_a_panel_that_has_scrolled_away_is_posted_anew_at_the_end(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "panel")
        (first,) = panels(w)
        await passed(w, clock)
        await w.restart(plan)
        await looked(w)
        (second,) = panels(w)
        assert second == w.messages()[-1]
        assert second != first
        assert await w.alice.click(second, label="Generate")


async def test_a_panel_stays_while_it_is_near_or_was_moved_a_moment_ago(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "panel")
        (first,) = panels(w)
        await w.generate("play")
        await w.result()
        clock.turn(minutes=6)
        await looked(w)
        assert panels(w) == [first]  # one result is not far
        await passed(w, clock)
        clock.turn(seconds=-61)
        await w.look()
        assert panels(w) == [first]
        clock.turn(seconds=61)
        await looked(w)
        assert panels(w) == [w.messages()[-1]]


async def test_a_channel_has_one_panel_however_often_it_is_asked_for(plan: Plan) -> None:
    async with world(plan) as w:
        for _ in range(3):
            await w.admin.slash(w.music, "panel")
        await looked(w)
        assert len(panels(w)) == 1


async def test_a_panel_that_was_posted_before_a_crash_is_found_again(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "panel")
        await passed(w, clock)
        with patch.object(Panels, "posted", side_effect=ZeroDivisionError):
            w.tolerated = (*w.tolerated, ZeroDivisionError)

            async def twice() -> bool:
                w.bot.dispatch("look")
                await w.env.settle()
                return len(panels(w)) == 2

            await until(twice)
        await passed(w, clock)
        await looked(w)
        assert panels(w) == [w.messages()[-1]]


async def test_a_panel_that_somebody_deleted_does_not_come_back(plan: Plan, clock: Clock) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "panel")
        await w.admin_deletes(panels(w)[0])
        await passed(w, clock)
        await looked(w)
        assert panels(w) == []
        assert not await w.database.fetch("SELECT 1 FROM panels")


async def test_a_panel_stays_where_the_bot_may_not_read_what_is_below_it(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "panel")
        (first,) = panels(w)
        await passed(w, clock)
        channel = w.bot.get_channel(w.music.id)
        assert isinstance(channel, discord.TextChannel)
        blind = discord.Permissions.none()
        with patch.object(discord.TextChannel, "permissions_for", return_value=blind):
            await looked(w)
        assert panels(w) == [first]
