"""/quota, /member and /log: what admins can do for individual members, and what was done."""

import discord
from discord import app_commands
from discord.utils import format_dt

from bot.admin.members import LONGEST_REASON, MOST_DAYS, MOST_GRANTED
from bot.client import Fantasia, Interaction, Listing, answer
from bot.discord_api.errors import UNREACHED
from bot.errors import Refusal
from bot.rules.markup import escape
from bot.rules.tiers import MOST_PER_DAY
from bot.rules.wording import counted, span
from bot.values import Arrangement, Change, Presence
from cogs.ui import confirmations, pages, permissions, tier_embeds
from cogs.ui.permissions import actor, admin, guild_of
from cogs.ui.tier_embeds import ending

LONGEST_SUBJECT, LONGEST_CHANGE = 60, 120
"""Characters of a line in the log for what was changed, and for how; a reason has the rest."""

Days = app_commands.Range[int, 1, MOST_DAYS]
Reason = app_commands.Range[str, 1, LONGEST_REASON]


class Quota(permissions.AdminGroup, name="quota", description="Seconds for individual members"):
    """The seconds of music that a member has."""

    @app_commands.command()
    @app_commands.describe(member="Whose tier and usage")
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
    @app_commands.describe(
        member="Who gets them",
        seconds="Seconds of music",
        reason="Why; the member reads it",
        days="Days until they expire (default: never)",
    )
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
    @app_commands.describe(member="Who was granted seconds")
    async def revoke(self, interaction: Interaction, member: discord.User) -> None:
        """Take back what is left of a grant. Asks first."""
        found = await self._services.member_admin.open_grants(guild_of(interaction), member.id)
        if not found:
            raise Refusal(f"{escape(member.name)} has no open grant.")
        question = f"Which grant of {member.mention} is to end?"
        await answer(interaction, question, view=confirmations.grants_view(member, found))

    @app_commands.command()
    @app_commands.rename(per_day="seconds-per-day")
    @app_commands.describe(member="Whose day", per_day="Seconds of music per UTC day")
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
    @app_commands.describe(member="Who has daily seconds of their own")
    async def clear(self, interaction: Interaction, member: discord.User) -> None:
        """Put a member back on their tier's daily seconds."""
        await self._services.member_admin.allow(*admin(interaction), actor(member), None)
        await answer(interaction, f"{member.mention} is back to their tier's daily seconds.")

    @app_commands.command()
    @app_commands.describe(member="Whose day begins anew")
    async def reset(self, interaction: Interaction, member: discord.User) -> None:
        """Reset what a member has used today. Asks first."""
        await confirmations.ask(
            interaction,
            f"Reset what {member.mention} has used today? It no longer counts, and nothing brings "
            "it back.",
            "Reset",
            f"reset-usage:{confirmations.named(member)}",
        )

    @app_commands.command()
    @app_commands.describe(member="Only changes about this member")
    async def log(self, interaction: Interaction, member: discord.User) -> None:
        """What admins changed for a member, newest first."""
        await pages.show(interaction, "log", member.id)


class Members(permissions.AdminGroup, name="member", description="Who can request music"):
    """Blocking and unblocking, and for whom something is set."""

    @app_commands.command(name="list")
    async def list_(self, interaction: Interaction) -> None:
        """Who is blocked, was given a tier or daily seconds, or has an open grant."""
        await pages.show(interaction, "members")

    @app_commands.command()
    @app_commands.describe(
        member="Who may request no more music",
        reason="Why; the member reads it",
        days="For how many days (default: until unblocked)",
    )
    async def block(
        self,
        interaction: Interaction,
        member: discord.User,
        reason: Reason,
        days: Days | None = None,
    ) -> None:
        """Block a member from requesting music. Queued pieces continue."""
        _require_blockable(interaction, member)
        until = await self._services.member_admin.block(
            *admin(interaction), actor(member), reason, days
        )
        await answer(interaction, f"{member.mention} is blocked{ending(until)}.")

    @app_commands.command()
    @app_commands.describe(member="Who is blocked")
    async def unblock(self, interaction: Interaction, member: discord.User) -> None:
        """Let a member request music again."""
        await self._services.member_admin.unblock(*admin(interaction), actor(member))
        await answer(interaction, f"{member.mention} can request music again.")


def _require_blockable(interaction: Interaction, member: discord.User | discord.Member) -> None:
    """Raise Refusal for those who request no music, or could lift the block themselves."""
    if member.id == interaction.user.id:
        raise Refusal("You cannot block yourself.")
    if member.bot:
        raise Refusal(f"{member.mention} is a bot: it cannot request music.")
    if isinstance(member, discord.Member):
        # Those that Discord sent with the command know of roles that are not cached.
        may = member.resolved_permissions or member.guild_permissions
        if may.manage_guild:
            raise Refusal(
                f"{member.mention} manages this server, and could lift the block at any time."
            )


@app_commands.command()
@app_commands.default_permissions(manage_guild=True)
async def log(interaction: discord.Interaction[Fantasia]) -> None:
    """What admins changed in this server, newest first."""
    await pages.show(interaction, "log")


async def arranged(interaction: Interaction, _: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the members for whom something is set."""
    permissions.require_manager(interaction)
    found = await interaction.client.services.member_admin.arranged(guild_of(interaction), page)
    shown, more = pages.cut(found)
    lines = [standing(each) for each in shown]
    return pages.card("Members with settings of their own", lines), more


def standing(member: Arrangement) -> str:
    """Say in a line what is set for a member."""
    settings, told = member.settings, []
    if settings.block:
        why = f": {escape(settings.block.reason, 100)}" if settings.block.reason else ""
        told.append(f"blocked{ending(settings.block.until)}{why}")
    if settings.tier:
        told.append(f"given **{escape(settings.tier)}**{ending(settings.tier_until)}")
    if settings.per_day is not None:
        told.append(f"{span(settings.per_day)} a day")
    if member.grants:
        left = sum(grant.left for grant in member.grants)
        told.append(f"{span(left)} left of {counted(len(member.grants), 'grant')}")
    return f"<@{member.member}> {' · '.join(told)}"


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
    text = f"{format_dt(change.at, 'f')} **{who}** `/{change.action}` {subject}"
    if change.before or change.after:
        told = " → ".join(filter(None, (change.before, change.after)))
        text += f" ({escape(told, LONGEST_CHANGE)})"
    why = change.reason and escape(change.reason, pages.LONGEST_LINE - len(text) - 3)
    return f"{text} — {why}" if why else text


async def setup(bot: Fantasia) -> None:
    """Add /quota, /member and the pages' buttons to the bot."""
    bot.add_listing(Listing(name="log", lines=changes, by_age=True))
    bot.add_listing(Listing(name="members", lines=arranged))
    bot.tree.add_command(log)
    bot.tree.add_command(Quota(bot.services))
    bot.tree.add_command(Members(bot.services))
    bot.add_dynamic_items(pages.PageButton, *confirmations.CONFIRMATIONS)
