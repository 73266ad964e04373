"""The set-up of a server in one message: what is set, and selects that change it at once.

Nothing is remembered between two presses: each shows the rows as they are then.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import discord
from discord import ui

from bot.client import Interaction, answer
from bot.rules.markup import isolate, some
from bot.values import Actor, Offer, Tier
from cogs.ui import panel, permissions
from cogs.ui.autocomplete import MOST_CHOICES
from cogs.ui.buttons import PressableItem
from cogs.ui.embeds import LONGEST_FIELD, VIOLET, fill
from cogs.ui.permissions import admin, guild_of
from cogs.ui.tier_embeds import RoleNames, allows, shown
from cogs.ui.views import view

PLACES = (
    discord.ChannelType.text,
    discord.ChannelType.voice,
    discord.ChannelType.forum,
    discord.ChannelType.category,
)
"""The kinds of channels in which music can be requested."""

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


class Rows(NamedTuple):
    """What is set in a server, and the names of its roles."""

    offers: Sequence[Offer]
    default: Tier
    channels: Sequence[int]
    names: RoleNames
    everybody: int
    """The id of the role that everybody has."""

    def tier_of(self, role: int) -> Tier | None:
        """Return the tier that a role grants."""
        return next((offer.tier for offer in self.offers if role in offer.roles), None)

    @property
    def least(self) -> Tier:
        """What everybody has."""
        return max((self.default, self.tier_of(self.everybody) or self.default), key=_rank)

    def roles(self) -> list[str]:
        """Say in a line of each role what it grants, the tiers in their order."""
        return [
            f"{self.names.get(role, f'`{role}` (deleted)')} → {shown(offer.tier)}"
            for offer in self.offers
            for role in offer.roles
            if role != self.everybody
        ]

    def places(self) -> str:
        """Say where music can be requested."""
        listed = some([f"<#{channel}>" for channel in self.channels], LONGEST_FIELD)
        return listed or "Every channel where I can post"


async def rows(interaction: Interaction) -> Rows:
    """Read what is set."""
    services, guild = interaction.client.services, guild_of(interaction)
    offers = await services.accounts.offers(guild)
    default = services.terms.tiers[0].key
    return Rows(
        offers=offers,
        default=next(offer.tier for offer in offers if offer.tier.key == default),
        channels=await services.server_admin.channels(guild),
        names=permissions.named_roles(interaction),
        everybody=guild,
    )


def setup_button() -> ui.Button[Any]:
    """Return the button that opens the set-up."""
    return ui.Button(label="Set up", custom_id="setup", style=discord.ButtonStyle.primary)


async def show(interaction: Interaction) -> None:
    """Answer with the set-up, for the manager who asks alone."""
    permissions.require_manager(interaction)
    found = await rows(interaction)
    await answer(interaction, embed=_embed(found), view=_controls(interaction, found))


async def _again(interaction: Interaction, note: str | None = None) -> None:
    """Show it as it is now in the message that was pressed."""
    found = await rows(interaction)
    controls = _controls(interaction, found)
    await interaction.response.edit_message(content=note, embed=_embed(found), view=controls)


def _embed(found: Rows) -> discord.Embed:
    embed = discord.Embed(
        title="Set up Fantasia",
        description="Each choice holds at once, and can be changed or left as it is.",
        colour=VIOLET,
    )
    fields = {
        "1 · Everybody": f"{shown(found.least)}: {allows(found.least)}",
        "2 · Roles": some(found.roles(), LONGEST_FIELD, "\n") or "No role grants more yet",
        "3 · Where": found.places(),
        "4 · Panel": "A message with a button, for those who do not type commands. It is posted in "
        "the channel that you are in; delete it there to be rid of it.",
    }
    return fill(embed, fields, inline=False)


def _controls(interaction: Interaction, found: Rows) -> ui.View:
    items: list[ui.Item[Any]] = [
        _tier_select("setup:everybody", "1 · What everybody can make", found, found.least),
        ui.RoleSelect(custom_id="setup:role", placeholder="2 · A role that grants a tier"),
    ]
    here = _listed_here(interaction, found)
    if len(here) <= MOST_CHOICES:  # else Discord could not show them all as chosen
        items.append(
            ui.ChannelSelect(
                custom_id="setup:where",
                placeholder="3 · Channels for requests (none: everywhere)",
                channel_types=[*PLACES],
                min_values=0,
                max_values=MOST_CHOICES,
                default_values=[discord.Object(number) for number in here],
            )
        )
    done = ui.Button[Any](label="Done", custom_id="setup:done", style=discord.ButtonStyle.success)
    return view(*items, ui.Button(label="Post the panel here", custom_id="setup:panel"), done)


def _listed_here(interaction: Interaction, found: Rows) -> list[int]:
    """Return the allowed channels that a select can show: neither deleted ones nor threads."""
    guild = interaction.guild
    known = (guild and guild.get_channel(number) for number in found.channels)
    return [channel.id for channel in known if channel and channel.type in PLACES]


def _tier_select(
    custom_id: str, placeholder: str, found: Rows, current: Tier | None, none: str | None = None
) -> ui.Select[Any]:
    """Return a choice of the tiers; with words for `none`, of none of them too."""
    options = [
        discord.SelectOption(
            label=isolate(offer.tier.name, 100),
            value=offer.tier.key,
            description=isolate(allows(offer.tier).replace("\\", ""), 100),
            default=current is not None and offer.tier.key == current.key,
        )
        for offer in found.offers
    ]
    if none:
        options.append(discord.SelectOption(label=none, value=NO_TIER, default=current is None))
    return ui.Select(custom_id=custom_id, placeholder=placeholder, options=options)


NO_TIER = "-"
"""The choice of none, which is no tier's key."""


def _rank(tier: Tier) -> tuple[int, int, int, str]:
    return tier.rank


async def _set(interaction: Interaction, found: Rows, role: Actor, key: str) -> None:
    """Let a role grant a tier, or none."""
    tiers, before = interaction.client.services.tier_admin, found.tier_of(role.id)
    if key == NO_TIER:
        if before:
            await tiers.unmap_role(*admin(interaction), role.id)
    elif not before or before.key != key:
        await tiers.map_role(*admin(interaction), role, key)


class SetupItem(PressableItem, template="(?!)"):
    """A part of the set-up: for managers alone, whoever sees it."""

    async def press(self, interaction: Interaction) -> None:
        permissions.require_manager(interaction)
        await self.change(interaction)

    async def change(self, interaction: Interaction) -> None:
        """Do what it is for, and show what is set then."""
        await _again(interaction)


class SetupButton(SetupItem, template="setup"):
    """Opens the set-up."""

    async def change(self, interaction: Interaction) -> None:
        await show(interaction)


class BackButton(SetupItem, template="setup:back"):
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
        select = _tier_select(
            f"setup:role:{role.id}", "The tier that it grants", found, before, none="No tier"
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
        here = set(_listed_here(interaction, found))
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
        embed = _embed(await rows(interaction)).remove_field(-1)
        embed.title, embed.description = "What is set up", DONE
        await interaction.response.edit_message(content=None, embed=embed, view=None)


ITEMS = (
    *(SetupButton, BackButton, EverybodySelect, RoleSelect, RoleTierSelect, WhereSelect),
    *(PanelButton, DoneButton),
)
"""All that can be pressed of it."""
