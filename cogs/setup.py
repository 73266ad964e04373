"""/setup and /settings, and how a server learns of them: when the bot joins it, or later."""

import asyncio
import contextlib
from datetime import datetime
from typing import Any

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot.client import Fantasia, Interaction, answer
from bot.discord_api.errors import UNREACHED
from bot.rules.quota import NOT_ALLOWED
from cogs.ui import permissions, server_embeds, setup_view, views


class Arrivals(commands.Cog):
    """Says in a server that the bot joined what it does, or that the operator does not allow it."""

    def __init__(self, bot: Fantasia) -> None:
        self._bot = bot
        self._server_admin = bot.services.server_admin
        self._saying = asyncio.Lock()

    @commands.Cog.listener()
    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Say it where members will see it, if the bot may post at all."""
        since = await self._server_admin.welcomes_since()
        # An unavailable server comes without the bot's own member, and without channels.
        joined: datetime | None = getattr(guild.me, "joined_at", None)
        # A server may be joined while `on_ready` goes through all of them: it is told once.
        async with self._saying:
            if await self._server_admin.turned_away(guild.id):
                if await _say(_places(guild), NOT_ALLOWED):
                    await self._server_admin.told(guild.id)
            elif joined and joined > since and await self._server_admin.welcome(guild.id):
                await self._welcome(guild)

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Tell the servers that it joined while it was offline, too."""
        await self._server_admin.welcomes_since()  # noted though it is in no server yet
        for guild in self._bot.guilds:
            await self.on_guild_join(guild)

    async def _welcome(self, guild: discord.Guild) -> None:
        places = _places(guild)
        told = await _say(places, setup_view.WELCOME, views.SET_UP.of())
        if told or not places:  # else Discord did not answer: the next start tries again
            await self._server_admin.welcomed(guild.id, told=told)


class Introduction(commands.Cog):
    """Tells the first manager who uses a command in a server of the set-up, once."""

    def __init__(self, bot: Fantasia) -> None:
        self._server_admin = bot.services.server_admin
        self._introduced: set[int] = set()
        """Servers that need not be looked up again."""

    @commands.Cog.listener("on_app_command_completion")
    @commands.Cog.listener("on_command_refused")
    async def introduce(self, interaction: Interaction, *_: object) -> None:
        """Add the line to an answer, and to a refusal as well."""
        guild = interaction.guild_id
        if guild is None or guild in self._introduced or not interaction.permissions.manage_guild:
            return
        self._introduced.add(guild)
        known = interaction.command is not None and interaction.command.name == "setup"
        if await self._server_admin.introduce(guild) and not known:
            with contextlib.suppress(*UNREACHED):
                button = views.view(views.SET_UP.of())
                await answer(interaction, setup_view.INTRODUCTION_TO_MANAGERS, view=button)


def _places(guild: discord.Guild) -> list[discord.TextChannel]:
    """Return where the bot may post, first where Discord itself welcomes members."""
    found = dict.fromkeys(filter(None, (guild.system_channel, *guild.text_channels)))
    return [channel for channel in found if channel.permissions_for(guild.me).send_messages]


async def _say(places: list[discord.TextChannel], text: str, *items: ui.Item[Any]) -> bool:
    """Post in the first channel that takes it; return whether there was one."""
    for channel in places:
        with contextlib.suppress(*UNREACHED):
            await channel.send(text, view=views.view(*items))
            return True
    return False


@app_commands.command(name="setup")
@app_commands.default_permissions(manage_guild=True)
async def set_up(interaction: discord.Interaction[Fantasia]) -> None:
    """Set up who can make how much music, and where."""
    await setup_view.show(interaction)


@app_commands.command()
@app_commands.default_permissions(manage_guild=True)
async def settings(interaction: discord.Interaction[Fantasia]) -> None:
    """Everything that is set on this server, with the command that changes it."""
    permissions.require_manager(interaction)
    embed = await server_embeds.settings(interaction)
    await answer(interaction, embed=embed, view=views.view(views.SET_UP.of()))


async def setup(bot: Fantasia) -> None:
    """Add the commands and what answers below them, and tell servers of them."""
    bot.tree.add_command(set_up)
    bot.tree.add_command(settings)
    bot.add_dynamic_items(*setup_view.SETUP_ITEMS)
    await bot.add_cog(Arrivals(bot))
    await bot.add_cog(Introduction(bot))
