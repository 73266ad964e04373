"""/panel: a message with a button that opens the request form, kept near its channel's end."""

import logging

import discord
from discord import app_commands
from discord.ext import commands

from bot.client import Fantasia, answer
from bot.discord_api.errors import UNREACHED, brief
from cogs.ui import panel as panels

log = logging.getLogger(__name__)


class PanelsInSight(commands.Cog):
    """Moves the panels that results have pushed out of sight."""

    def __init__(self, bot: Fantasia) -> None:
        self._bot = bot

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Look at those below which something was posted, each after a rest."""
        for panel in await self._bot.services.panels.passed():
            try:
                await panels.keep_near(self._bot, panel)
            except discord.NotFound:  # somebody deleted it, or its channel: it is not wanted
                await self._bot.services.panels.gone(panel)
            except UNREACHED as error:
                log.info("the panel in channel %d stays: %s", panel.channel, brief(error))


@app_commands.command()
@app_commands.default_permissions(manage_guild=True)
async def panel(interaction: discord.Interaction[Fantasia]) -> None:
    """Post a message with a button that opens the request form."""
    await panels.post(interaction)
    await answer(
        interaction,
        "Posted. When many messages stand below it, it is posted anew at the end of this channel; "
        "delete it when you no longer want it.",
    )


async def setup(bot: Fantasia) -> None:
    bot.tree.add_command(panel)
    await bot.add_cog(PanelsInSight(bot))
