"""What members can look up about themselves and the service: /usage, /plans, /help, /about."""

from typing import Any

import discord
from discord import app_commands, ui
from discord.ext import commands

from bot.client import Fantasia, Interaction, Listing, answer
from cogs.ui import pages, permissions, studio_embeds, submit, tier_embeds


class Account(commands.Cog):
    """Answers that only the caller sees."""

    @app_commands.command()
    async def usage(self, interaction: Interaction) -> None:
        """Your tier, what is left today, and your latest pieces."""
        guild, presence = permissions.guild_of(interaction), permissions.presence(interaction)
        accounts = interaction.client.services.accounts
        usage = await accounts.usage(guild, interaction.user.id, presence)
        embed = tier_embeds.usage(usage, permissions.named_roles(interaction))
        await answer(interaction, embed=embed)

    @app_commands.command()
    async def plans(self, interaction: Interaction) -> None:
        """The tiers on this server and how to get each."""
        await pages.show(interaction, "plans")

    @app_commands.command()
    @app_commands.allowed_contexts(guilds=True, dms=True)
    async def help(self, interaction: Interaction) -> None:
        """What I can do."""
        embed = studio_embeds.help_(manager=interaction.permissions.manage_guild)
        await answer(interaction, embed=embed)

    @app_commands.command()
    @app_commands.allowed_contexts(guilds=True, dms=True)
    async def about(self, interaction: Interaction) -> None:
        """The version, the models and their licences, and where the code is."""
        services = interaction.client.services
        embed = studio_embeds.about(services.about, services.studio.cards)
        await answer(interaction, embed=embed)


async def plans(interaction: Interaction, _: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the tiers, as members see them."""
    services = interaction.client.services
    held, _longest = await submit.allowed(interaction)
    offers = await services.accounts.offers(permissions.guild_of(interaction))
    found, more = pages.cut(offers, page, tier_embeds.TIERS_PER_PAGE)
    names = permissions.named_roles(interaction)
    return tier_embeds.plans(found, held, services.studio.cards, names), more


async def premium(interaction: Interaction) -> list[ui.Item[Any]]:
    """Return Discord's buy buttons for the tiers it sells, except the member's own."""
    held, _ = await submit.allowed(interaction)
    offers = await interaction.client.services.accounts.offers(permissions.guild_of(interaction))
    return [
        ui.Button(style=discord.ButtonStyle.premium, sku_id=offer.sku)
        for offer in offers
        if offer.sku and offer.tier.key != held.tier.key
    ]


async def setup(bot: Fantasia) -> None:
    bot.add_listing(Listing(name="plans", lines=plans, items=premium))
    await bot.add_cog(Account())
