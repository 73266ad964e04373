"""/tier: what a server's tiers allow, and which roles and members have them."""

from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Range
from discord.ext import commands

from bot.admin.members import MOST_DAYS
from bot.admin.tiers import LONGEST_NAME, TIER_BOUNDS, Carried, TierAdmin
from bot.client import LONGEST_MESSAGE, Fantasia, Interaction, Listing, answer
from bot.rules.markup import LISTED, escape, some
from bot.rules.tiers import FREE
from bot.rules.wording import counted
from cogs.ui import confirmations, pages, permissions
from cogs.ui.autocomplete import offered
from cogs.ui.parameters import REQUIRED, taking
from cogs.ui.permissions import actor, admin, guild_of
from cogs.ui.tier_embeds import TIERS_PER_PAGE, allows, ending, line, shown

TierName = Range[str, 1, LONGEST_NAME]

FIELDS = {
    "longest": (Range[int, *TIER_BOUNDS["longest"]], "The longest piece, in seconds"),
    "takes": (Range[int, *TIER_BOUNDS["takes"]], "Takes per request"),
    "per_day": (Range[int, *TIER_BOUNDS["per_day"]], "Seconds of music per UTC day"),
    "waiting": (Range[int, *TIER_BOUNDS["waiting"]], "How many pieces may wait at a time"),
    "stars": (
        Range[int, *TIER_BOUNDS["stars"]],
        "How many pieces a member may star, which keeps their music",
    ),
    "models": (Range[str, 1, 200], "Models: small medium …, or * for all"),
    "price": (TierName, "The price to show, such as: $5 / month"),
    "link": (Range[str, 4, 198], "Where to get it, https://…; “none” removes it"),
}
"""What is set of a tier besides its name, and what Discord says of it."""

NEW: dict[str, Any] = dict.fromkeys(("price", "longest", "per_day"), REQUIRED)
NEW |= {"takes": 1, "waiting": 1, "stars": FREE.stars, "models": "small", "link": None}
"""What of it a new tier has, unless it is said."""


@permissions.for_managers
async def tier_names(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Offer the server's tiers by name."""
    offers = await interaction.client.services.accounts.offers(guild_of(interaction))
    return offered(((offer.tier.name, offer.tier.name) for offer in offers), typed)


@permissions.for_managers
async def mapped_roles(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Offer the roles that grant a tier, by the name they had when they were mapped."""
    names = await interaction.client.services.tier_admin.role_names(guild_of(interaction))
    return offered(((f"@{name}", str(role)) for role, name in names.items()), typed)


class Tiers(permissions.AdminGroup, name="tier", description="What members can request"):
    """The tiers of a server, the roles that grant them, the members who were given one."""

    @app_commands.command(name="list")
    async def list_(self, interaction: Interaction) -> None:
        """The server's tiers and the roles that grant them."""
        await pages.show(interaction, "tiers")

    @app_commands.command()
    @app_commands.autocomplete(tier=tier_names)
    @app_commands.describe(role="Whoever has this role", tier="The tier that they get")
    async def map(self, interaction: Interaction, role: discord.Role, tier: TierName) -> None:
        """Make a role grant a tier."""
        mapped = await self._services.tier_admin.map_role(*admin(interaction), actor(role), tier)
        whose = "Everybody" if role.is_default() else f"Whoever has {role.mention}"
        await answer(interaction, f"{whose} now has the tier {shown(mapped)}.")

    @app_commands.command()
    @app_commands.autocomplete(role=mapped_roles)
    @app_commands.describe(role="A role that grants a tier")
    async def unmap(self, interaction: Interaction, role: str) -> None:
        """Remove a role's tier (works for deleted roles too)."""
        # A text, since Discord lets nobody pick a role that is gone.
        name = await self._services.tier_admin.unmap_role(
            *admin(interaction), permissions.snowflake(role) or 0
        )
        await answer(interaction, f"The role @{escape(name)} no longer grants a tier.")

    @app_commands.command()
    @app_commands.autocomplete(tier=tier_names)
    @app_commands.describe(
        member="Who gets it",
        tier="The tier that they get",
        days="For how many days (default: until taken back)",
    )
    async def give(
        self,
        interaction: Interaction,
        member: discord.User,
        tier: TierName,
        days: Range[int, 1, MOST_DAYS] | None = None,
    ) -> None:
        """Give a member a tier."""
        until = await self._services.member_admin.give(
            *admin(interaction), actor(member), tier, days
        )
        await answer(interaction, f"{member.mention} has the tier {escape(tier)}{ending(until)}.")

    @app_commands.command()
    @app_commands.describe(member="Who was given a tier")
    async def take(self, interaction: Interaction, member: discord.User) -> None:
        """Take back a tier given to a member."""
        await self._services.member_admin.take(*admin(interaction), actor(member))
        told = f"{member.mention} is back to the tier from their roles and subscriptions."
        await answer(interaction, told)

    @app_commands.command()
    @app_commands.autocomplete(tier=tier_names)
    @app_commands.describe(tier="The tier to change", name="A new name")
    @app_commands.rename(per_day="seconds-per-day")
    @taking(FIELDS, dict.fromkeys(FIELDS))
    async def edit(
        self,
        interaction: Interaction,
        tier: TierName,
        name: TierName | None = None,
        **fields: int | str | None,
    ) -> None:
        """Change a tier. Queued pieces are not affected."""
        changed = await self._services.tier_admin.edit_tier(
            *admin(interaction), tier, {"name": name, **fields}
        )
        await answer(interaction, f"{shown(changed)}: {allows(changed)}")

    @app_commands.command()
    @app_commands.describe(name="Its name")
    @app_commands.rename(per_day="seconds-per-day")
    @taking(FIELDS, NEW)
    async def add(
        self, interaction: Interaction, name: TierName, **fields: int | str | None
    ) -> None:
        """Add a tier."""
        said = {"name": name} | {field: fields[field] for field in FIELDS}
        added = await self._services.tier_admin.add_tier(*admin(interaction), said)
        await answer(interaction, f"Added {shown(added)}: {allows(added)}")

    @app_commands.command()
    @app_commands.autocomplete(tier=tier_names)
    @app_commands.describe(tier="The tier to remove")
    async def remove(self, interaction: Interaction, tier: TierName) -> None:
        """Remove a tier, also from the roles and members that have it. Asks first."""
        lost = await self._services.tier_admin.removable(guild_of(interaction), tier)
        await confirmations.ask(
            interaction,
            f"Remove {shown(lost.tier)} ({allows(lost.tier)})? {_losing(lost)} "
            "`/tier reset` brings a default tier back, but not who had it.",
            "Remove",
            f"remove-tier:{lost.tier.key}",
        )

    @app_commands.command()
    async def reset(self, interaction: Interaction) -> None:
        """Go back to the default tiers. Asks first."""
        changed, going = await self._services.tier_admin.resettable(guild_of(interaction))
        told = ["Go back to the default tiers?"]
        if changed:
            names = some([escape(name) for name in changed], LISTED)
            told.append(f"What was changed of these is lost: {names}.")
        told += [f"{shown(lost.tier)} is removed. {_losing(lost)}" for lost in going]
        told.append("Roles and members keep the default tiers that they have.")
        question = some(told, LONGEST_MESSAGE, "\n")
        await confirmations.ask(interaction, question, "Reset all tiers", "reset-tiers")


def _losing(lost: Carried) -> str:
    return f"{counted(lost.roles, 'role')} and {counted(lost.members, 'member')} lose it."


class Roles(commands.Cog):
    """Forgets a role's tier when the role is deleted."""

    def __init__(self, tier_admin: TierAdmin) -> None:
        self._tier_admin = tier_admin

    @commands.Cog.listener()
    async def on_guild_role_delete(self, role: discord.Role) -> None:
        """Unmap a role that is gone."""
        await self._tier_admin.role_deleted(role.guild.id, role.id)


async def tiers(interaction: Interaction, _: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the tiers."""
    permissions.require_manager(interaction)
    offers = await interaction.client.services.accounts.offers(guild_of(interaction))
    names = permissions.named_roles(interaction)
    found, more = pages.cut(offers, page, TIERS_PER_PAGE)
    return pages.card("Tiers on this server", [line(offer, names) for offer in found]), more


async def setup(bot: Fantasia) -> None:
    bot.add_listing(Listing(name="tiers", lines=tiers))
    bot.tree.add_command(Tiers(bot.services))
    await bot.add_cog(Roles(bot.services.tier_admin))
