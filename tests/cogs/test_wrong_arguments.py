"""Wrong arguments of every command in Discord: one sentence with the choices."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import discord
import simcord
from discord import AppCommandOptionType as Kind
from discord import app_commands

from bot.app import Plan
from bot.rules.tiers import DEFAULTS
from tests.support.command_line import PYTHONS
from tests.support.world import World, world

TIERS = "Its tiers: Free, Starter, Plus, Premium, Pro."
NO_LINK = "A link must begin with https:// and have at most 198 characters; “none” removes it."
MODELS = "Name models like this: small, medium, large"
NO_MODEL = "That model is not available here. Available: scripted, ace."
NO_PIECE = "There is no piece #99 here."
REASON = "A reason must have 1 to 200 characters."

WRONG: dict[str, tuple[Any, str]] = {
    "generate prompt": (" ", "The prompt must have 1 to 500 characters."),
    "generate model": ("foo", NO_MODEL),
    "song style": ("\u200b", "The style must have 1 to 500 characters."),
    "song lyrics": ("\u200b", "The lyrics must have 1 to 4,000 characters."),
    "song language": ("Klingon", "I do not know that language. Known: Arabic, Azerbaijani, "),
    "song model": ("foo", NO_MODEL),
    "piece number": (99, NO_PIECE),
    "resend number": (99, NO_PIECE),
    "quota grant reason": (" ", REASON),
    "member block reason": (" ", REASON),
    "tier map tier": ("Gold", TIERS),
    "tier unmap role": ("Gold", "That role grants no tier. Roles that do: @Singers."),
    "tier give tier": ("Gold", TIERS),
    "tier edit tier": ("Gold", TIERS),
    "tier edit name": ("Pro", "There is already a tier with that name."),
    "tier edit models": ("huge", MODELS),
    "tier edit price": (" ", "The price must have 1 to 40 characters."),
    "tier edit link": ("ftp://x", NO_LINK),
    "tier add name": ("Plus", "There is already a tier with that name."),
    "tier add price": (" ", "The price must have 1 to 40 characters."),
    "tier add models": ("huge", MODELS),
    "tier add link": ("ftp://x", NO_LINK),
    "tier remove tier": ("Gold", TIERS),
    "channel forget channel": ("music", "That channel is not on the list: <#"),
    "words add word": ("!!", "A word must have 1 to 50 letters or digits."),
    "words remove word": ("waltz", "That word is not on the list: polka."),
    "studio server id": ("of somebody else", "A server id is a number of 15 to 20 digits"),
    "studio cancel id": (99, "There is no piece #99."),
    "studio engine pause name": ("x", r"There is no engine x. Engines: cpu\-0."),
    "studio engine resume name": ("x", r"There is no engine x. Engines: cpu\-0."),
}
"""A value that Discord lets pass of each argument, and what is said of it."""

FREE = {"history words", "studio pause reason"}
"""Texts that may say anything."""

PICKED = {Kind.user, Kind.role, Kind.channel}
"""What nobody types: Discord offers what there is."""

RIGHT: dict[str, Any] = {
    "prompt": "play",
    "tier": "Plus",
    "name": "Gold",
    "price": "free",
    "reason": "because",
    "seconds-per-day": 8,
    "longest": 8,
    "seconds": 8,
    "number": 1,
    "id": 1,
    "word": "polka",
}
"""What else a command wants."""


@asynccontextmanager
async def managed(plan: Plan) -> AsyncIterator[tuple[World, simcord.MemberActor]]:
    """A world with the default tiers and something set, and a member who may do everything."""
    async with world(plan) as w:
        owned = replace(plan, owner_guild_id=w.guild.id, models=("scripted", "ace"))
        await w.restart(replace(owned, defaults=DEFAULTS))
        everything = discord.Permissions(administrator=True)
        boss = w.guild.create_role("Root", permissions=everything)
        root = w.guild.add_member(w.env.create_user("root"), roles=[boss])
        w.bot.owner_id = root.id
        singers = w.guild.create_role("Singers")
        await root.slash(w.music, "tier map", role=singers, tier="Plus")
        await root.slash(w.music, "channel allow", channel=w.music)
        await root.slash(w.music, "words add", word="polka")
        yield w, root


def options(w: World) -> dict[str, app_commands.Parameter]:
    """Return all arguments of all commands by `command option`."""
    trees = [*w.bot.tree.walk_commands(), *w.bot.tree.walk_commands(guild=w.bot.owner_guild)]
    return {
        f"{command.qualified_name} {option.display_name}": option
        for command in trees
        if isinstance(command, app_commands.Command)
        for option in command.parameters
    }


def bounded(option: app_commands.Parameter) -> bool:
    """Whether Discord itself lets nothing wrong pass."""
    if option.type in PICKED or option.choices:
        return True
    numbers = {Kind.integer, Kind.number}
    return option.type in numbers and None not in (option.min_value, option.max_value)


async def test_each_wrong_argument_is_one_sentence_that_names_the_choices(plan: Plan) -> None:
    async with managed(plan) as (w, root):
        found = options(w)
        typed = {name for name, option in found.items() if not bounded(option)}
        assert typed | WRONG.keys() == WRONG.keys() | FREE
        log = await root.slash(w.music, "log")
        right = RIGHT | {"role": w.guild.create_role("Fans"), "member": w.alice, "channel": w.music}
        for name, (value, sentence) in WRONG.items():
            command, _, wrong = name.rpartition(" ")
            given = {
                option.display_name: right[option.display_name]
                for each, option in found.items()
                if each.rpartition(" ")[0] == command and option.required
            }
            given |= {"takes": 2} if name == "tier edit tier" else {}
            shown = await root.slash(w.music, command, **given | {wrong: value})
            assert shown.response, name
            text = shown.response.content
            assert shown.ephemeral, name
            assert sentence in text, (name, text)
            assert "\n" not in text, text
            assert not PYTHONS.search(text.replace("<#", "#")), text
        after = await root.slash(w.music, "log")
        assert after.response
        assert log.response
        assert after.response.embeds == log.response.embeds, "nothing was changed"
