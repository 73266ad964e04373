"""The set-up of a server in one message, and what its selects and buttons change at once.

Nothing is remembered between two presses: each shows the rows as they are then.
"""

from typing import Any

from discord import ui

from bot.client import Interaction, answer
from bot.values import Actor
from cogs.ui import panel, permissions, setup_page
from cogs.ui.buttons import ManagersItem
from cogs.ui.permissions import admin
from cogs.ui.setup_page import NO_TIER, Rows, rows
from cogs.ui.tier_embeds import shown
from cogs.ui.views import SET_UP, view

WELCOME = (
    "I turn words into music: `/generate` takes a prompt such as *mozart fantasia* and a length, "
    "and the piece is posted in the channel. For now everybody can make a little each day; see "
    "`/plans`. Whoever manages this server decides how much everybody can make, which roles get "
    "more, and where:"
)
"""What a server that the bot joins reads, above the button."""

INTRODUCTION_TO_MANAGERS = (
    "You manage this server: **Set up** shows and changes how much everybody can make, which roles "
    "get more, and where. `/setup` opens the same at any time."
)

DONE = (
    "This holds from now on. `/setup` opens it again; `/settings` shows everything that is set, "
    "with the command that changes it."
)


async def show(interaction: Interaction) -> None:
    """Answer with the set-up, for the manager who asks alone."""
    permissions.require_manager(interaction)
    found = await rows(interaction)
    await answer(
        interaction, embed=setup_page.embed(found), view=setup_page.controls(interaction, found)
    )


async def _again(interaction: Interaction, note: str | None = None) -> None:
    """Show it as it is now in the message that was pressed."""
    found = await rows(interaction)
    again = setup_page.controls(interaction, found)
    await interaction.response.edit_message(content=note, embed=setup_page.embed(found), view=again)


async def _set(interaction: Interaction, found: Rows, role: Actor, key: str) -> None:
    """Let a role grant a tier, or none."""
    tiers, before = interaction.client.services.tier_admin, found.tier_of(role.id)
    if key == NO_TIER:
        if before:
            await tiers.unmap_role(*admin(interaction), role.id)
    elif not before or before.key != key:
        await tiers.map_role(*admin(interaction), role, key)


class SetupItem(ManagersItem, template="(?!)"):
    """A part of the set-up."""

    async def change(self, interaction: Interaction) -> None:
        """Do what it is for, and show what is set then."""
        await _again(interaction)


class SetupButton(SetupItem, template=SET_UP.name):
    """Opens the set-up."""

    async def change(self, interaction: Interaction) -> None:
        await show(interaction)


class SetupBackButton(SetupItem, template="setup:back"):
    """Goes back to the whole from one role."""


class EverybodySelect(SetupItem, template="setup:everybody"):
    """Sets the tier of everybody."""

    async def change(self, interaction: Interaction) -> None:
        (key,) = self.chosen("(.{1,40})")
        found = await rows(interaction)
        everyone = Actor(id=found.everybody, name="@everyone")
        # Everybody has the default tier without any role.
        key = NO_TIER if key == found.default.key else key
        await _set(interaction, found, everyone, key)
        await _again(interaction)


class RoleSelect(SetupItem, template="setup:role"):
    """Asks which tier a role is to grant."""

    async def change(self, interaction: Interaction) -> None:
        role = self.item.values[0]
        found = await rows(interaction)
        if role.id == found.everybody:
            await _again(interaction)
            return
        before = found.tier_of(role.id)
        told = f"{role.mention} grants {shown(before) if before else 'no tier'}. What shall it be?"
        select = setup_page.tier_select(
            f"setup:role:{role.id}", f"2 · What @{role.name} grants", found, none="No tier"
        )
        back = ui.Button[Any](label="Back", custom_id="setup:back")
        await interaction.response.edit_message(content=told, embed=None, view=view(select, back))


class RoleTierSelect(SetupItem, template="setup:role:(?P<number>[0-9]{1,20})"):
    """Lets a role grant a tier."""

    async def change(self, interaction: Interaction) -> None:
        (key,) = self.chosen("(.{1,40})")
        number = permissions.known(self.match["number"])
        role = interaction.guild and interaction.guild.get_role(number)
        named = Actor(id=number, name=role.name if role else str(number))
        await _set(interaction, await rows(interaction), named, key)
        await _again(interaction)


class WhereSelect(SetupItem, template="setup:where"):
    """Sets the channels in which music can be requested."""

    async def change(self, interaction: Interaction) -> None:
        chosen = {channel.id: channel.name for channel in self.item.values}
        found, servers = await rows(interaction), interaction.client.services.server_admin
        here = set(setup_page.listed_here(interaction, found))
        for number in chosen.keys() - here - set(found.channels):
            channel = Actor(id=number, name=chosen[number])
            await servers.allow_channel(*admin(interaction), channel)
        for number in here - chosen.keys():
            gone = interaction.guild and interaction.guild.get_channel(number)
            channel = Actor(id=number, name=gone.name if gone else str(number))
            await servers.forget_channel(*admin(interaction), channel)
        await _again(interaction)


class PanelButton(SetupItem, template="setup:panel"):
    """Posts the panel where the manager is."""

    async def change(self, interaction: Interaction) -> None:
        await panel.post(interaction)
        await _again(interaction, f"The panel is posted in <#{interaction.channel_id}>.")


class DoneButton(SetupItem, template="setup:done"):
    """Ends with a summary."""

    async def change(self, interaction: Interaction) -> None:
        embed = setup_page.embed(await rows(interaction)).remove_field(-1)
        embed.title, embed.description = "What is set up", DONE
        await interaction.response.edit_message(content=None, embed=embed, view=None)


SETUP_ITEMS = (
    *(SetupButton, SetupBackButton, EverybodySelect, RoleSelect, RoleTierSelect, WhereSelect),
    *(PanelButton, DoneButton),
)
"""All that can be pressed of it."""
