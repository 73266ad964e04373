"""Words and music are for who may look into the channel that they were asked for in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord
import pytest
import simcord

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.values import Actor, Status
from cogs.ui.views import view
from tests.support.deliveries import posted
from tests.support.presses import chosen, forged
from tests.support.shown import card, told
from tests.support.world import World, world

ABSENT = "There is no piece #1 here."

SECRET = "play our secret jingle"

SEE = discord.PermissionOverwrite(view_channel=True, send_messages=True)
SEE_NOT = discord.PermissionOverwrite(view_channel=False)


@asynccontextmanager
async def staffed(plan: Plan) -> AsyncIterator[tuple[World, simcord.ChannelHandle, Any]]:
    """A world in which alice had a piece made in a #staff that only she, as staff, looks into."""
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        staff = w.guild.create_role("Staff")
        assert w.bot.user
        room = w.guild.create_text_channel(
            "staff", overwrites={w.guild.default_role: SEE_NOT, staff: SEE, w.bot.user: SEE}
        )
        await w.change_role(w.alice, staff, has=True)
        await w.alice.slash(room, "generate", prompt=SECRET, duration=2)
        await posted(w)
        yield w, room, staff


async def shown(w: World, member: simcord.MemberActor, where: Any = None) -> str:
    """Return what /piece answers."""
    result = await member.slash(where or w.music, "piece", number=1)
    assert result.response
    return card(result) if result.response.embeds else told(result)


async def test_the_piece_of_a_channel_out_of_sight_is_not_there(plan: Plan) -> None:
    async with staffed(plan) as (w, _, _):
        assert await shown(w, w.bob) == ABSENT
        assert told(await w.bob.slash(w.music, "resend", number=1)) == ABSENT
        assert told(await w.bob.slash(w.music, "piece", number=99)) == ABSENT.replace("#1", "#99")


PRESSED: list[tuple[str, str]] = [
    ("again:1", ""),
    ("edit:1", ""),
    ("extend:1", ""),
    ("extend-take:1:1", ""),
    ("extend-words:1:0", ""),
    ("save:1", ""),
    ("save-take:1:1", ""),
    ("delete-now:1", ""),
    ("take:1", "1"),
    ("keep-take:1:1", ""),
    ("keep-now:1:1", ""),
    ("extend-by:1", "1:5"),
    ("save-as:1", "1:mp3"),
    ("cancel:1", ""),
    ("stop:1", ""),
    ("delete:1", ""),
    ("post-again:1", ""),
    ("queue:cancel", "1"),
]


@pytest.mark.parametrize(("custom_id", "value"), PRESSED)
async def test_no_button_opens_a_channel_out_of_sight(
    plan: Plan, custom_id: str, value: str
) -> None:
    async with staffed(plan) as (w, _, _):
        assert await forged(w, w.bob, w.music, custom_id, value) == ABSENT
        assert await w.database.fetch("SELECT id FROM jobs WHERE id > 1") == []


async def test_it_is_there_for_its_owner_for_managers_and_for_who_has_the_role(plan: Plan) -> None:
    async with staffed(plan) as (w, room, staff):
        carol = w.guild.add_member(w.env.create_user("carol"), roles=[staff])
        for member, where in (
            (w.alice, w.music),
            (w.alice, room),
            (w.admin, w.music),
            (carol, w.music),
        ):
            assert SECRET in await shown(w, member, where)
        await w.change_role(w.alice, staff, has=False)
        assert SECRET in await shown(w, w.alice)
        await w.change_role(carol, staff, has=False)
        assert await shown(w, carol) == ABSENT


async def test_it_is_there_for_who_is_let_in_by_name(plan: Plan) -> None:
    async with staffed(plan) as (w, room, _):
        await w.bot.http.edit_channel_permissions(room.id, w.bob.id, str(1 << 10), "0", 1)
        assert SECRET in await shown(w, w.bob)


async def test_once_the_channel_is_deleted_nobody_knows_who_might_look(plan: Plan) -> None:
    async with staffed(plan) as (w, room, staff):
        carol = w.guild.add_member(w.env.create_user("carol"), roles=[staff])
        await w.bot.http.delete_channel(room.id)
        assert await shown(w, carol) == ABSENT
        assert SECRET in await shown(w, w.alice)
        assert SECRET in await shown(w, w.admin)


@pytest.mark.parametrize("stage", [False, True])
async def test_what_is_written_in_a_voice_channel_is_for_who_may_join_it(
    plan: Plan, stage: bool
) -> None:
    """Everybody sees such a channel, but who may not connect cannot open its chat."""
    async with world(plan) as w:
        make = w.guild.create_stage_channel if stage else w.guild.create_voice_channel
        room = make("den")
        await w.alice.slash(room, "generate", prompt=SECRET, duration=2)
        await posted(w)
        assert SECRET in await shown(w, w.bob)
        everybody = w.guild.default_role.id
        await w.bot.http.edit_channel_permissions(room.id, everybody, "0", str(1 << 20), 0)
        assert await shown(w, w.bob) == ABSENT
        assert SECRET in await shown(w, w.alice)


@asynccontextmanager
async def threaded(
    plan: Plan, kind: discord.ChannelType
) -> AsyncIterator[tuple[World, simcord.ChannelHandle]]:
    """A world in which alice had a piece made in a thread of #music."""
    async with world(plan) as w:
        channel = w.bot.get_channel(w.music.id)
        assert isinstance(channel, discord.TextChannel)
        made = await channel.create_thread(name="aside", type=kind)
        await made.add_user(discord.Object(w.alice.id))
        (thread,) = w.music.threads
        await w.alice.slash(thread, "generate", prompt=SECRET, duration=2)
        await posted(w)
        yield w, thread


def uncached(w: World, thread: simcord.ChannelHandle) -> None:
    """Let the bot know as little of a thread as of one that was archived before it started."""
    guild = w.bot.get_guild(w.guild.id)
    assert guild
    guild._threads.pop(thread.id)


@pytest.mark.parametrize("cached", [True, False])
async def test_a_private_thread_is_for_its_owner_and_for_who_manages_threads(
    plan: Plan, cached: bool
) -> None:
    async with threaded(plan, discord.ChannelType.private_thread) as (w, thread):
        if not cached:
            uncached(w, thread)
        may = discord.Permissions(manage_threads=True)
        keeper = w.guild.create_role("Keepers", permissions=may)
        carol = w.guild.add_member(w.env.create_user("carol"), roles=[keeper])
        assert await shown(w, w.bob) == ABSENT
        for member in (w.alice, w.admin, carol):
            assert SECRET in await shown(w, member)


async def test_a_private_thread_is_open_from_within(plan: Plan) -> None:
    async with threaded(plan, discord.ChannelType.private_thread) as (w, thread):
        await w.bot.http.add_user_to_thread(thread.id, w.bob.id)
        assert await shown(w, w.bob) == ABSENT
        assert SECRET in await shown(w, w.bob, thread)


@pytest.mark.parametrize("cached", [True, False])
async def test_a_public_thread_is_for_who_looks_into_its_channel(plan: Plan, cached: bool) -> None:
    async with threaded(plan, discord.ChannelType.public_thread) as (w, thread):
        if not cached:
            uncached(w, thread)
        other = w.guild.create_text_channel("other")
        assert SECRET in await shown(w, w.bob, other)
        await w.bot.http.edit_channel_permissions(w.music.id, w.bob.id, "0", str(1 << 10), 1)
        assert await shown(w, w.bob, other) == ABSENT


async def test_a_thread_of_which_nothing_was_stored_stays_closed(plan: Plan) -> None:
    """As of pieces that were asked for before that was."""
    async with threaded(plan, discord.ChannelType.public_thread) as (w, thread):
        uncached(w, thread)
        async with w.database.transaction() as tx:
            await tx.execute("UPDATE jobs SET channel_kind = NULL, parent_id = NULL")
        assert await shown(w, w.bob) == ABSENT


@pytest.mark.parametrize(
    ("command", "option", "shown"),
    [
        ("channel forget", "channel", "#staff"),
        ("words remove", "word", "unspeakable"),
        ("tier unmap", "role", "@Staff"),
    ],
)
async def test_what_admins_are_offered_is_for_managers(
    plan: Plan, command: str, option: str, shown: str
) -> None:
    """A server may let others use such a command, whom it refuses, and whom nothing is offered."""
    async with staffed(plan) as (w, room, staff):
        somebody = Actor(id=1, name="somebody")
        await w.bot.services.server_admin.allow_channel(
            w.guild.id, somebody, Actor(id=room.id, name="staff")
        )
        await w.admin.slash(w.music, "words add", word="unspeakable")
        await w.admin.slash(w.music, "tier map", role=staff, tier="Generous")
        for known in await w.bot.tree.fetch_commands():
            w.guild.set_command_permissions(known, {w.bob: True})
        for member, offered in ((w.admin, [shown]), (w.bob, [])):
            choices = await member.autocomplete(w.music, command, option, "")
            assert [choice["name"] for choice in choices] == offered


async def test_the_rest_of_a_private_piece_is_not_had_through_what_goes_on_from_it(
    plan: Plan,
) -> None:
    """Again on an extension would go on from the piece itself, which stays where it was asked."""
    async with staffed(plan) as (w, _, _):
        extend = view(chosen("extend-by:1", "1:5"))
        message = await w.bot.get_partial_messageable(w.music.id).send("Choose", view=extend)
        await w.alice.select(message, values=["1:5"])
        await w.ended(2, Status.DELIVERED)
        assert await forged(w, w.bob, w.music, "again:2") == ABSENT
