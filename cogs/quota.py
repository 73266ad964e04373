"""/quota and /member: what admins can do for individual members."""

import discord
from discord import app_commands
from discord.utils import format_dt

from bot.admin.members import LONGEST_REASON, MOST_DAYS, MOST_GRANTED
from bot.client import Fantasia, Interaction, Listing, answer
from bot.discord_api.errors import UNREACHED
from bot.rules.markup import escape
from bot.rules.tiers import MOST_PER_DAY
from bot.rules.wording import span
from bot.values import Change, Presence
from cogs.ui import pages, permissions, tier_embeds
from cogs.ui.permissions import actor, admin, guild_of
from cogs.ui.tier_embeds import ending

LONGEST_SUBJECT, LONGEST_CHANGE = 60, 120
"""Characters of a line in the log for what was changed, and for how; a reason has the rest."""

Days = app_commands.Range[int, 1, MOST_DAYS]
Reason = app_commands.Range[str, 1, LONGEST_REASON]


class Quota(permissions.AdminGroup, name="quota", description="Seconds for individual members"):
    """The seconds of music that a member has."""

    @app_commands.command()
    async def show(self, interaction: Interaction, member: discord.User) -> None:
        """Show a member's tier and usage, as they see it in /usage."""
        # Only then is Discord asked what they bought, which may take longer than the three seconds
        # within which it wants an answer.
        if self._services.terms.skus:
            await interaction.response.defer(ephemeral=True)
        note = ""
        try:
            presence = await permissions.presence_of(interaction, member)
        except UNREACHED:
            note = "Discord did not answer about their subscriptions, so these are left out."
            presence = Presence(roles=permissions.roles(member))
        usage = await self._services.accounts.usage(guild_of(interaction), member.id, presence)
        title = f"Usage of {escape(member.display_name)}"
        embed = tier_embeds.usage(usage, permissions.named_roles(interaction), title)
        await answer(interaction, note, embed=embed)

    @app_commands.command()
    @app_commands.describe(days="Days until they expire (default: never)")
    async def grant(
        self,
        interaction: Interaction,
        member: discord.User,
        seconds: app_commands.Range[int, 1, MOST_GRANTED],
        reason: Reason,
        days: Days | None = None,
    ) -> None:
        """Give a member extra seconds on top of the daily allowance."""
        until = await self._services.member_admin.grant(
            *admin(interaction), actor(member), seconds, reason, days
        )
        await answer(interaction, f"{member.mention} has {span(seconds)} more{ending(until)}.")

    @app_commands.command()
    @app_commands.rename(per_day="seconds-per-day")
    async def set(
        self,
        interaction: Interaction,
        member: discord.User,
        per_day: app_commands.Range[int, 0, MOST_PER_DAY],
    ) -> None:
        """Set a member's daily seconds, overriding their tier."""
        await self._services.member_admin.allow(*admin(interaction), actor(member), per_day)
        told = f"{member.mention} has {span(per_day)} a day from the next request on."
        await answer(interaction, told)

    @app_commands.command()
    async def clear(self, interaction: Interaction, member: discord.User) -> None:
        """Put a member back on their tier's daily seconds."""
        await self._services.member_admin.allow(*admin(interaction), actor(member), None)
        await answer(interaction, f"{member.mention} is back to their tier's daily seconds.")

    @app_commands.command()
    async def reset(self, interaction: Interaction, member: discord.User) -> None:
        """Reset what a member has used today."""
        freed = await self._services.member_admin.reset(*admin(interaction), actor(member))
        told = f"Reset: {span(freed)} of today's usage no longer count for {member.mention}."
        await answer(interaction, told)

    @app_commands.command()
    @app_commands.describe(member="Only changes about this member")
    async def log(self, interaction: Interaction, member: discord.User | None = None) -> None:
        """What admins changed, newest first."""
        await pages.show(interaction, "log", member.id if member else 0)


class Members(permissions.AdminGroup, name="member", description="Who can request music"):
    """Blocking and unblocking."""

    @app_commands.command()
    @app_commands.describe(days="For how many days (default: until unblocked)")
    async def block(
        self,
        interaction: Interaction,
        member: discord.User,
        reason: Reason,
        days: Days | None = None,
    ) -> None:
        """Block a member from requesting music. Queued pieces continue."""
        until = await self._services.member_admin.block(
            *admin(interaction), actor(member), reason, days
        )
        await answer(interaction, f"{member.mention} is blocked{ending(until)}.")

    @app_commands.command()
    async def unblock(self, interaction: Interaction, member: discord.User) -> None:
        """Let a member request music again."""
        await self._services.member_admin.unblock(*admin(interaction), actor(member))
        await answer(interaction, f"{member.mention} can request music again.")


async def changes(interaction: Interaction, member: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the audit log."""
    permissions.require_manager(interaction)
    member_admin = interaction.client.services.member_admin
    found = await member_admin.log(guild_of(interaction), member or None, page)
    shown, more = pages.cut(found)
    return pages.card("Changes", [line(change) for change in shown]), more


def line(change: Change) -> str:
    """Say in a line who changed what, and why."""
    subject = (
        f"<@{change.member_id}>" if change.member_id else escape(change.subject, LONGEST_SUBJECT)
    )
    who = escape(change.actor.name) or "a forgotten user"
    text = f"{format_dt(change.at, 'd')} **{who}** `/{change.action}` {subject}"
    if change.before or change.after:
        told = " → ".join(filter(None, (change.before, change.after)))
        text += f" ({escape(told, LONGEST_CHANGE)})"
    why = change.reason and escape(change.reason, pages.LONGEST_LINE - len(text) - 3)
    return f"{text} — {why}" if why else text


async def setup(bot: Fantasia) -> None:
    """Add /quota, /member and the pages' buttons to the bot."""
    bot.add_listing(Listing(name="log", lines=changes, by_age=True))
    bot.tree.add_command(Quota(bot.services))
    bot.tree.add_command(Members(bot.services))
    bot.add_dynamic_items(pages.PageButton)
