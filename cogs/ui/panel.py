"""The message of /panel, for those who do not type commands."""

import discord

from bot.client import Interaction
from cogs.ui import permissions, submit, views
from cogs.ui.embeds import VIOLET

PANEL = (
    "Press **Generate**, say what the music should be, such as *mozart fantasia*, and how long. "
    "The piece is posted here when it is done."
)


async def post(interaction: Interaction) -> None:
    """Post it in the channel; raise Refusal where no music could be posted."""
    permissions.require_manager(interaction)
    submit.require_permissions(interaction)
    assert isinstance(interaction.channel, discord.abc.Messageable)
    embed = discord.Embed(title="Words into music", description=PANEL, colour=VIOLET)
    await interaction.channel.send(embed=embed, view=views.view(views.generate_button()))
