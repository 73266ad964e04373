"""Questions before something is lost, with a red button that does it."""

import discord
from discord import ui

from bot.client import Interaction, answer
from bot.rules.markup import escape, isolate
from bot.rules.wording import counted, span
from bot.values import Actor, Grant
from cogs.ui import permissions
from cogs.ui.buttons import ManagersItem, PressableItem
from cogs.ui.tier_embeds import shown
from cogs.ui.views import DANGER, NUMBER, NamedButton, view

WHO = "(?P<who>[0-9]{1,20}):(?P<name>.{1,40})"
"""A member in a custom id: nothing else says the name that the audit log keeps."""


async def ask(interaction: Interaction, question: str, label: str, custom_id: str) -> None:
    """Ask before it is done what the button under the question does."""
    await answer(interaction, question, view=view(NamedButton(custom_id, label, DANGER).of()))


def named(member: discord.User | discord.Member) -> str:
    """Return a member as a custom id has them."""
    return f"{member.id}:{member.name[:40]}"


def grants_view(member: discord.User, grants: list[Grant]) -> ui.View:
    """Return the choice of a member's grants."""
    options = [
        discord.SelectOption(
            label=f"{span(grant.left)} of {span(grant.seconds)}",
            value=str(grant.id),
            description=isolate(grant.reason, 100) or None,
        )
        for grant in grants[:25]
    ]
    return view(ui.Select(custom_id=f"grant:{named(member)}", options=options))


class RemoveTierButton(ManagersItem, template="remove-tier:(?P<key>.{1,40})"):
    """Removes a tier."""

    async def change(self, interaction: Interaction) -> str:
        removed = await interaction.client.services.tier_admin.remove_tier(
            *permissions.admin(interaction), self.match["key"]
        )
        return (
            f"Removed {shown(removed.tier)} from {counted(removed.roles, 'role')} and "
            f"{counted(removed.members, 'member')}. Queued pieces are not affected."
        )


class ResetTiersButton(ManagersItem, template="reset-tiers"):
    """Brings the default tiers back."""

    async def change(self, interaction: Interaction) -> str:
        await interaction.client.services.tier_admin.reset_tiers(*permissions.admin(interaction))
        return "This server has the default tiers again: see `/tier list`."


class ResetUsageButton(ManagersItem, template=f"reset-usage:{WHO}"):
    """Lets what a member has used today no longer count."""

    async def change(self, interaction: Interaction) -> str:
        freed = await interaction.client.services.member_admin.reset(
            *permissions.admin(interaction), _member(self)
        )
        who = f"<@{self.match['who']}>"
        return f"Reset: {span(freed)} of today's usage no longer count for {who}."


class GrantSelect(ManagersItem, template=f"grant:{WHO}"):
    """Asks whether the chosen grant of a member is to end."""

    async def change(self, interaction: Interaction) -> str | None:
        (number,) = self.chosen("([0-9]{1,18})")
        who = _member(self)
        found = await interaction.client.services.member_admin.open_grants(
            permissions.guild_of(interaction), who.id
        )
        grant = next((each for each in found if each.id == int(number)), None)
        if grant is None:
            return "That grant is used up or has ended already."
        why = f" ({escape(grant.reason)})" if grant.reason else ""
        await interaction.response.edit_message(
            content=f"Take back the {span(grant.left)} that <@{who.id}> still has of a grant of "
            f"{span(grant.seconds)}{why}? What was used of it stays used.",
            view=view(NamedButton(f"revoke:{number}:{who.id}:{who.name}", "Revoke", DANGER).of()),
        )
        return None


class RevokeButton(ManagersItem, template=f"revoke:{NUMBER}:{WHO}"):
    """Ends a grant."""

    async def change(self, interaction: Interaction) -> str:
        who = _member(self)
        left = await interaction.client.services.member_admin.revoke(
            *permissions.admin(interaction), who, self.number
        )
        return f"Revoked: <@{who.id}> has {span(left)} less."


CONFIRMATIONS = (RemoveTierButton, ResetTiersButton, ResetUsageButton, GrantSelect, RevokeButton)
"""What answers below these questions."""


def _member(pressed: PressableItem) -> Actor:
    return Actor(id=permissions.known(pressed.match["who"]), name=pressed.match["name"])
