"""What a member asks about themselves and the service: /usage, /plans, /help, /about."""

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot.client import Fantasia, Interaction
from bot.errors import Refusal
from bot.models import About, Offer
from bot.studio import Studio
from cogs import cards, doors


class Account(commands.Cog):
    """Answers that only the caller sees."""

    def __init__(self, studio: Studio, about: About) -> None:
        self._studio = studio
        self._about = about

    @app_commands.command()
    async def usage(self, interaction: Interaction) -> None:
        """Where you stand: your tier, what is left today, your last pieces."""
        guild = in_a_server(interaction)
        usage = await self._studio.usage(guild, interaction.user.id, doors.presence(interaction))
        embed = cards.usage(usage, doors.named_roles(interaction))
        await interaction.response.send_message(embed=embed, ephemeral=True)

    @app_commands.command()
    async def plans(self, interaction: Interaction) -> None:
        """The tiers of this server and how to get each."""
        guild = in_a_server(interaction)
        offers = await self._studio.offers(guild)
        presence = doors.presence(interaction)
        held = await self._studio.membership(guild, interaction.user.id, presence)
        embed = cards.plans(offers, held, self._studio.models, doors.named_roles(interaction))
        view = premium(offers, held.tier.key)
        await interaction.response.send_message(embed=embed, view=view, ephemeral=True)

    @app_commands.command()
    @app_commands.allowed_contexts(guilds=True, dms=True)
    async def help(self, interaction: Interaction) -> None:
        """What I can do."""
        await interaction.response.send_message(
            embed=cards.help_(manager=interaction.permissions.manage_guild), ephemeral=True
        )

    @app_commands.command()
    @app_commands.allowed_contexts(guilds=True, dms=True)
    async def about(self, interaction: Interaction) -> None:
        """The version, the model and its licence, and where the code is."""
        embed = cards.about(self._about, self._studio.models)
        await interaction.response.send_message(embed=embed, ephemeral=True)


def in_a_server(interaction: Interaction) -> int:
    """Return the server's id; raise Refusal in a direct message."""
    if interaction.guild_id is None:
        raise Refusal("Tiers belong to servers: use this in a channel of one that has me.")
    return interaction.guild_id


def premium(offers: list[Offer], but: str) -> ui.View:
    """Return Discord's buttons for the tiers that it sells, all but the member's own."""
    view = ui.View(timeout=None)
    for offer in offers:
        if offer.sku and offer.tier.key != but:
            view.add_item(ui.Button(style=discord.ButtonStyle.premium, sku_id=offer.sku))
    return view


async def setup(bot: Fantasia) -> None:
    """Add the members' commands to the bot."""
    await bot.add_cog(Account(bot.studio, bot.about))
