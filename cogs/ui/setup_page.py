"""The set-up of a server as it is shown: what is set, and the selects that change it."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import discord
from discord import ChannelType, ui

from bot.client import Interaction
from bot.rules.markup import isolate, some
from bot.values import Offer, Tier
from cogs.ui import permissions
from cogs.ui.autocomplete import MOST_CHOICES
from cogs.ui.embeds import LONGEST_FIELD, VIOLET, fill
from cogs.ui.permissions import guild_of
from cogs.ui.tier_embeds import RoleNames, allows, shown
from cogs.ui.views import view

PLACES = ChannelType.text, ChannelType.voice, ChannelType.forum, ChannelType.category
"""The kinds of channels in which music can be requested."""


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
        given = self.tier_of(self.everybody) or self.default
        return max(self.default, given, key=attrgetter("rank"))

    def roles(self) -> list[str]:
        """Say in a line of each role what it grants, the tiers in their order."""
        return [
            f"{self.names.get(role, f'`{role}` (deleted)')} → {shown(offer.tier)}"
            for offer in self.offers
            for role in offer.roles
            if role != self.everybody
        ]

    def places(self, most: int, everywhere: str) -> str:
        """Say where music can be requested, in so many characters."""
        return some([f"<#{channel}>" for channel in self.channels], most) or everywhere


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


def embed(found: Rows) -> discord.Embed:
    embed = discord.Embed(
        title="Set up Fantasia",
        description="Each choice holds at once, and can be changed or left as it is.",
        colour=VIOLET,
    )
    fields = {
        "1 · Everybody": f"{shown(found.least)}: {allows(found.least)}",
        "2 · Roles": some(found.roles(), LONGEST_FIELD, "\n") or "No role grants more yet",
        "3 · Where": found.places(LONGEST_FIELD, "Every channel where I can post"),
        "4 · Panel": "A message with a button, for those who do not type commands. It is posted in "
        "the channel that you are in; delete it there to be rid of it.",
    }
    return fill(embed, fields, inline=False)


def controls(interaction: Interaction, found: Rows) -> ui.View:
    items: list[ui.Item[Any]] = [
        tier_select("setup:everybody", f"1 · Everybody has {found.least.name}", found),
        ui.RoleSelect(custom_id="setup:role", placeholder="2 · A role that grants a tier"),
    ]
    here = listed_here(interaction, found)
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


def listed_here(interaction: Interaction, found: Rows) -> list[int]:
    """Return the allowed channels that a select can show: neither deleted ones nor threads."""
    guild = interaction.guild
    known = (guild and guild.get_channel(number) for number in found.channels)
    return [channel.id for channel in known if channel and channel.type in PLACES]


def tier_select(
    custom_id: str, placeholder: str, found: Rows, none: str | None = None
) -> ui.Select[Any]:
    """Return a choice of the tiers; with words for `none`, of none of them too."""
    options = [
        discord.SelectOption(
            label=isolate(offer.tier.name, 100),
            value=offer.tier.key,
            description=isolate(allows(offer.tier).replace("\\", ""), 100),
        )
        for offer in found.offers
    ]
    if none:
        options.append(discord.SelectOption(label=none, value=NO_TIER))
    # None is marked as chosen: Discord would show it in the place of what the choice is about.
    return ui.Select(custom_id=custom_id, placeholder=isolate(placeholder, 150), options=options)


NO_TIER = "-"
"""The choice of none, which is no tier's key."""
