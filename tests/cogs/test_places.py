"""Where commands work: in servers that have the bot, whatever of them is cached, and by itself."""

from dataclasses import replace
from typing import Any

import discord
import pytest
import simcord
from simcord import interactions

from bot.app import Plan
from bot.client import NO_MEMBER, NotAllowed
from bot.errors import Refusal
from bot.rules import tiers
from bot.values import Status
from tests.support import inside
from tests.support.shown import card, told
from tests.support.world import World, world

ALONE = {"forget me", "help", "about"}
"""What is offered in the bot's own direct messages."""

ABROAD = 777_000_000_000_000_000


def unavailable(w: World) -> None:
    """Let the bot know as little of its server as after a start during an outage of Discord's."""
    state = inside.cached(w.bot)
    state._guilds.pop(w.guild.id)
    state._add_guild_from_data({"id": str(w.guild.id), "unavailable": True})


def payload(w: World, name: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Return what Discord sends when alice uses a command in #music."""
    root = w.env.backend.find_command(name, None, type=1)
    assert root
    data = {
        "id": root["id"],
        "name": name,
        "type": 1,
        "options": [
            {"name": key, "type": 3 if isinstance(value, str) else 4, "value": value}
            for key, value in options.items()
        ],
    }
    return interactions.base_payload(
        w.env.backend,
        type=2,
        channel_id=w.music.id,
        guild_id=w.guild.id,
        user_id=w.alice.id,
        data=data,
    )


async def sent(w: World, record: Any, sent: dict[str, Any]) -> simcord.InteractionResult:
    """Let the bot have an interaction as it is."""
    w.env.backend.emit("INTERACTION_CREATE", sent)
    await inside.settle(w.env, "INTERACTION_CREATE")
    return simcord.InteractionResult(w.env, record)


async def test_all_commands_are_for_servers_that_install_the_bot(plan: Plan) -> None:
    async with world(plan) as w:
        for command in w.bot.tree.get_commands():
            told_discord = command.to_dict(w.bot.tree)
            alone = any(name.split()[0] == command.name for name in ALONE)
            assert told_discord["integration_types"] == [0], command.name
            assert told_discord["contexts"] == ([0, 1] if alone else [0]), command.name


async def test_in_direct_messages_one_may_be_forgotten_and_ask_for_help(plan: Plan) -> None:
    async with world(plan) as w:
        user = w.env.create_user("carol")
        assert "/generate" in card(await user.slash("help"))
        assert "Fantasia" in card(await user.slash("about"))
        shown = await user.slash("forget me")
        assert shown.response
        await user.click(shown.response.message, label="Erase everything")
        assert "Erased" in str(shown.response.content)
        for command, options in (("usage", {}), ("generate", {"prompt": "play"})):
            with pytest.raises(simcord.SetupError):
                await user.slash(command, **options)


@pytest.mark.parametrize("owners", [{"1": "888000000000000000"}, {"0": str(ABROAD)}, {}])
async def test_where_the_bot_is_no_member_nothing_is_made(
    plan: Plan, owners: dict[str, str]
) -> None:
    """By a user install, or by one without the scope `bot`; each such server is a fresh quota."""
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        record, abroad = payload(w, "generate", prompt="play", duration=2)
        abroad["guild_id"] = str(ABROAD)
        abroad["guild"] = {"id": str(ABROAD), "locale": "en-US", "features": []}
        abroad["channel_id"] = abroad["channel"]["id"] = str(ABROAD + 1)
        abroad["authorizing_integration_owners"] = owners
        assert told(await sent(w, record, abroad)) == NO_MEMBER
        assert await w.database.fetch("SELECT id FROM jobs") == []


async def test_no_button_makes_anything_where_the_bot_was_removed(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        message = await w.result()
        inside.cached(w.bot)._guilds.pop(w.guild.id)
        assert told(await w.alice.click(message, label="Again")) == NO_MEMBER
        assert await w.database.fetch("SELECT id FROM jobs WHERE id > 1") == []


async def test_a_channel_of_an_unknown_kind_is_called_that(plan: Plan) -> None:
    async with world(plan) as w:
        record, odd = payload(w, "generate", prompt="play", duration=2)
        odd["channel_id"] = odd["channel"]["id"] = str(ABROAD)
        odd["channel"]["type"] = 99
        assert "do not know this kind of channel" in told(await sent(w, record, odd))


async def test_a_role_counts_while_its_server_is_unavailable(plan: Plan) -> None:
    async with world(replace(plan, defaults=tiers.DEFAULTS, models=("small",))) as w:
        role = w.guild.create_role("Patrons")
        await w.admin.slash(w.music, "tier map", role=role, tier="Pro")
        carol = w.guild.add_member(w.env.create_user("carol"), roles=[role])
        await w.admin.slash(w.music, "tier map", role=w.guild.default_role, tier="Plus")
        unavailable(w)
        assert f"**Pro**, from the role <@&{role.id}>" in card(await carol.slash(w.music, "usage"))
        assert "**Plus**" in card(await w.bob.slash(w.music, "usage"))
        await w.gone(await w.generate("play", 30, by=carol))


@pytest.mark.parametrize("lost", ["the server", "the parent"])
async def test_a_thread_works_whatever_of_its_surroundings_is_cached(plan: Plan, lost: str) -> None:
    async with world(plan) as w:
        channel = w.bot.get_channel(w.music.id)
        assert isinstance(channel, discord.TextChannel)
        await channel.create_thread(name="aside", type=discord.ChannelType.public_thread)
        (thread,) = w.music.threads
        await w.admin.slash(w.music, "channel allow", channel=w.music)
        if lost == "the server":
            unavailable(w)
        else:
            channel.guild._channels.pop(w.music.id)
        for command in ("usage", "plans", "queue", "history"):
            assert "went wrong" not in card(await w.alice.slash(thread, command))
        shown = await w.alice.slash(thread, "generate", prompt="play", duration=2)
        await w.gone(shown)


async def test_the_category_of_a_threads_channel_counts(plan: Plan) -> None:
    async with world(plan) as w:
        category = w.guild.create_category("Arts")
        room = w.guild.create_text_channel("hall", category=category)
        channel = w.bot.get_channel(room.id)
        assert isinstance(channel, discord.TextChannel)
        await channel.create_thread(name="aside", type=discord.ChannelType.public_thread)
        (thread,) = room.threads
        await w.admin.slash(w.music, "channel allow", channel=category)
        shown = await w.alice.slash(thread, "generate", prompt="play", duration=2)
        await w.gone(shown)
