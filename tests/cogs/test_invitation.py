"""How servers add the bot, and what is told of those that give it too little."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import discord
import pytest

from bot.app import Plan
from bot.discord_api import invitation
from bot.values import Status
from tests.support.clock import until
from tests.support.world import World, world

APPLICATION = 123456789012345678


def asked() -> discord.Permissions:
    """Return what the invite link asks for."""
    query = parse_qs(urlsplit(invitation.link(APPLICATION)).query)
    assert query["scope"] == ["bot applications.commands"]
    assert query["client_id"] == [str(APPLICATION)]
    return discord.Permissions(int(query["permissions"][0]))


def test_the_invite_link_asks_for_what_the_readme_lists() -> None:
    named = re.search(r"and the permissions (.*?)\. ", Path("README.md").read_text(), re.DOTALL)
    assert named
    listed = re.split(r", | and ", " ".join(named[1].replace("Channels", "Channel").split()))
    assert sorted(listed) == sorted(invitation.lacking(discord.Permissions.none()).split(", "))
    assert invitation.lacking(asked()) == ""


async def give(w: World, plan: Plan, held: discord.Permissions) -> None:
    """Let the bot's role on the server be worth this alone, and start it again."""
    for role in w.bot.guilds[0].me.roles:
        w.env.backend.edit_role(w.guild.id, role.id, {"permissions": held.value})
    await w.restart(plan)


async def test_what_the_invite_link_asks_for_is_enough_for_a_piece(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        commands = discord.Permissions(use_application_commands=True)  # Alice's, for everyone
        await give(w, plan, asked() | commands)
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        assert w.results()
    assert "lacks" not in caplog.text


async def test_a_server_that_gives_too_little_is_logged_once(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    async def told() -> bool:
        return "lacks" in caplog.text

    async with world(plan) as w:
        less = asked() & ~discord.Permissions(attach_files=True, send_messages_in_threads=True)
        await give(w, plan, less)
        await until(told)
        w.bot.dispatch("ready")
        await w.env.settle()
    sentence = f"server {w.guild.id}: the bot's role lacks Attach Files, Send Messages in Threads;"
    assert caplog.text.count(sentence) == caplog.text.count("lacks") == 1
