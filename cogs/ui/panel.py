"""The message of /panel, for those who do not type commands; and how it stays in sight."""

from typing import Any

import discord

from bot.client import Fantasia, Interaction
from bot.discord_api import invitation
from bot.values import Panel
from cogs.ui import permissions, submit, views
from cogs.ui.embeds import VIOLET

PANEL = (
    "Press **Generate**, say what the music should be, such as *mozart fantasia*, and how long. "
    "The piece is posted here when it is done."
)

NEAR_MESSAGES = 6
"""How many messages below a panel leave it where it is: results with pictures fill a screen."""

SEARCHED_FOR_PANELS = 100
"""How many of a channel's latest messages are looked at, which is one request to Discord."""


async def post(interaction: Interaction) -> None:
    """Post it in the channel, in the place of the one before; raise Refusal where it cannot be."""
    permissions.require_manager(interaction)
    submit.require_permissions(interaction)
    assert isinstance(interaction.channel, discord.abc.Messageable)
    message = await interaction.channel.send(**_letter())
    panel = Panel(
        guild=permissions.guild_of(interaction), channel=message.channel.id, message=message.id
    )
    await interaction.client.services.panels.posted(panel)


async def keep_near(bot: Fantasia, panel: Panel) -> None:
    """Post a panel again where too much stands below it; raise what Discord answers instead.

    One that somebody deleted stays deleted. Where the bot lacks a permission for it, it stays.
    """
    guild = bot.get_guild(panel.guild)
    channel = guild and guild.get_channel_or_thread(panel.channel)
    if not guild or not isinstance(channel, discord.abc.Messageable):
        return
    needed = (*invitation.needed_in(channel), "read_message_history")
    if invitation.lacking(channel.permissions_for(guild.me), needed):
        return
    latest = [message async for message in channel.history(limit=SEARCHED_FOR_PANELS)]
    # Not the known one alone: a crash may have left one that was posted and not noted.
    there = [message.id for message in latest if _is_panel(bot, message)]
    if there and there[0] in (message.id for message in latest[:NEAR_MESSAGES]):
        last = there[0]
    else:
        if panel.message not in there:
            await channel.fetch_message(panel.message)
        last = (await channel.send(**_letter())).id
    moved = Panel(guild=panel.guild, channel=panel.channel, message=last)
    await bot.services.panels.posted(moved, there)


def _is_panel(bot: Fantasia, message: discord.Message) -> bool:
    rows = [row for row in message.components if isinstance(row, discord.ActionRow)]
    ids = [getattr(item, "custom_id", None) for row in rows for item in row.children]
    return bot.user is not None and message.author.id == bot.user.id and views.GENERATE.name in ids


def _letter() -> dict[str, Any]:
    embed = discord.Embed(title="Words into music", description=PANEL, colour=VIOLET)
    return {"embed": embed, "view": views.view(views.GENERATE.of())}
