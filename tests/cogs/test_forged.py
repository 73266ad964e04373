"""Ids that a member made up, or took from elsewhere, open nothing."""

from collections.abc import Callable
from typing import Any

import discord
import pytest
import simcord
from discord import ui

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.values import Status
from cogs.privacy import ForgetButton
from cogs.queue import CancelSelect
from cogs.ui.buttons import CancelButton, PostAgainButton, StopButton
from cogs.ui.pages import PageButton
from cogs.ui.request_form import AgainButton, EditButton
from cogs.ui.result_buttons import DeleteButton, ExtendButton, ExtendSelect, SaveButton, SaveSelect
from tests.cogs.test_bot import told
from tests.support.clock import until
from tests.support.world import World, world

ABSENT = "There is no piece #1 here."


def option(value: str) -> list[discord.SelectOption]:
    return [discord.SelectOption(label="Choose", value=value)]


async def posted(w: World) -> None:
    """Wait until the first piece was posted and its status message says so."""
    await w.ended(1, Status.DELIVERED)

    async def look() -> bool:
        return not await w.studio.to_show()

    await until(look)


async def forged(
    w: World,
    member: simcord.MemberActor,
    room: simcord.ChannelHandle,
    item: ui.Item[Any],
    value: str,
) -> str:
    """Press what the bot never put there, and return its answer."""
    w.tolerated = (Refusal, NotAllowed)
    view = ui.View(timeout=None).add_item(item)
    message = await w.bot.get_partial_messageable(room.id).send("Press", view=view)
    if value:
        return told(await member.select(message, values=[value]))
    return told(await member.click(message, label=item.item.label))  # type: ignore[attr-defined]


async def rows(w: World) -> list[tuple[Any, ...]]:
    """All that a press might change."""
    return [
        tuple(row)
        for table in ("jobs", "takes", "posts")
        for row in await w.database.fetch(f"SELECT * FROM {table}")
    ]


ELSEWHERE: list[tuple[Callable[[], ui.Item[Any]], str, str]] = [
    (lambda: CancelButton(1), "", ABSENT),
    (lambda: StopButton(1), "", ABSENT),
    (lambda: DeleteButton(1), "", ABSENT),
    (lambda: PostAgainButton(1), "", ABSENT),
    (lambda: AgainButton(1), "", ABSENT),
    (lambda: EditButton(1), "", ABSENT),
    (lambda: ExtendButton(1), "", ABSENT),
    (lambda: SaveButton(1), "", ABSENT),
    (lambda: ExtendSelect(1, option("1:5")), "1:5", ABSENT),
    (lambda: SaveSelect(1, option("1:mp3")), "1:mp3", ABSENT),
    (lambda: CancelSelect(option("1")), "1", ABSENT),
]


@pytest.mark.parametrize(("item", "value", "sentence"), ELSEWHERE)
async def test_nothing_of_another_server_is_reached(
    plan: Plan, item: Callable[[], ui.Item[Any]], value: str, sentence: str
) -> None:
    """The same user asks elsewhere, with every right there: the server decides all the same."""
    async with world(plan) as w:
        await w.generate("play")
        await posted(w)
        other = w.env.create_guild("Elsewhere")
        room = other.create_text_channel("music")
        manage = discord.Permissions(manage_guild=True)
        again = other.add_member(
            w.alice.user, roles=[other.create_role("Managers", permissions=manage)]
        )
        before = await rows(w)
        assert sentence in await forged(w, again, room, item(), value)
        assert await rows(w) == before


OWNERS: list[tuple[Callable[[World], ui.Item[Any]], str, str]] = [
    (lambda _: CancelButton(2), "", "Only the member who requested #2 or a manager can cancel"),
    (lambda _: StopButton(2), "", "Only the member who requested #2"),
    (lambda _: CancelSelect(option("2")), "2", "Only the member who requested #2"),
    (lambda _: DeleteButton(1), "", "Only the member who requested #1 or a manager"),
    (lambda _: PostAgainButton(1), "", "Only the member who requested #1"),
    (lambda w: ForgetButton(w.alice.id), "", "only erase your own"),
    (lambda w: PageButton("history", w.alice.id, 0), "", "Manage Server"),
    (lambda w: PageButton("log", w.alice.id, 0), "", "Manage Server"),
    (lambda _: PageButton("servers", 0, 0), "", "owner"),
]


@pytest.mark.parametrize(("item", "value", "sentence"), OWNERS)
async def test_nothing_of_another_member_is_reached(
    plan: Plan, item: Callable[[World], ui.Item[Any]], value: str, sentence: str
) -> None:
    async with world(plan) as w:
        await w.generate("play")
        await posted(w)
        await w.generate("slow")
        await w.ended(2, Status.RUNNING)
        before = [row for row in await rows(w) if row[0] == 1]
        assert sentence in await forged(w, w.bob, w.music, item(w), value)
        assert (await w.studio.job(2)).status is Status.RUNNING
        assert [row for row in await rows(w) if row[0] == 1] == before


MADE_UP: list[tuple[Callable[[], ui.Item[Any]], str, str]] = [
    (lambda: ExtendSelect(1, option("1:7")), "1:7", "not one of the choices"),
    (lambda: ExtendSelect(1, option("9:5")), "9:5", "#1 has no take 9"),
    (lambda: ExtendSelect(1, option("1:5\n")), "1:5\n", "not one of the choices"),
    (lambda: SaveSelect(1, option("1:../x")), "1:../x", "not one of the choices"),
    (lambda: SaveSelect(1, option("1:wav")), "1:wav", "not one of the choices"),
    (lambda: CancelSelect(option("1 OR 1")), "1 OR 1", "not a piece number"),
    (lambda: CancelSelect(option("٣")), "٣", "not a piece number"),
    (lambda: CancelButton(10**17), "", f"There is no piece #{10**17} here."),
    (lambda: StopButton(10**17), "", f"There is no piece #{10**17} here."),
    (lambda: DeleteButton(10**17), "", f"There is no piece #{10**17} here."),
    (lambda: PostAgainButton(10**17), "", f"There is no piece #{10**17} here."),
    (lambda: CancelSelect(option("99")), "99", "There is no piece #99 here."),
    (lambda: PageButton("tables", 1, 0), "", "That list does not exist"),
    (lambda: PageButton("history", 10**18, 10**5), "", "Manage Server"),
    (lambda: PageButton("history", 2**63, 0), "", "That list does not exist"),
    (lambda: PageButton("history", 2**64 - 1, 10**5), "", "That list does not exist"),
]


@pytest.mark.parametrize(("item", "value", "sentence"), MADE_UP)
async def test_values_that_were_never_offered_are_refused(
    plan: Plan, item: Callable[[], ui.Item[Any]], value: str, sentence: str
) -> None:
    async with world(plan) as w:
        await w.generate("play")
        await posted(w)
        before = await rows(w)
        assert sentence in await forged(w, w.alice, w.music, item(), value)
        assert await rows(w) == before
