"""All that is set on a server, on one page."""

import discord

from bot.admin.servers import described
from bot.client import Interaction
from bot.rules.markup import escape, some
from bot.rules.wording import counted
from bot.values import Arranged, Tier
from cogs.ui.embeds import VIOLET, fill
from cogs.ui.permissions import guild_of
from cogs.ui.setup_page import Rows, rows
from cogs.ui.tier_embeds import allows, shown

LONGEST_LIST = 600
"""Characters of a list, so that all of them fit into one embed."""


async def settings(interaction: Interaction) -> discord.Embed:
    """Show what is set, each with the command that changes it."""
    services, guild = interaction.client.services, guild_of(interaction)
    found = await rows(interaction)
    words = await services.server_admin.words(guild)
    where = found.places(LONGEST_LIST, "everywhere")
    limits = described(await services.server_admin.limits(guild))
    fields = {
        "Tiers": f"{_tiers(found, services.terms.tiers)}\n"
        "↳ `/tier list` · `edit` · `add` · `remove` · `reset`",
        "Everybody": f"{shown(found.least)}: {allows(found.least)}\n↳ `/setup`",
        "Roles": f"{some(found.roles(), LONGEST_LIST, chr(10)) or 'none grants a tier'}\n"
        "↳ `/tier map` · `unmap`",
        "Where": f"{where}\n↳ `/channel allow` · `forget` · `list`",
        "Blocked words": f"{some([escape(word) for word in words], LONGEST_LIST) or 'none'}\n"
        "↳ `/words add` · `remove` · `list`",
        "Members": f"{_members(await services.member_admin.count(guild))}\n↳ `/member list`",
        "By whoever runs this bot": limits,
    }
    embed = discord.Embed(title="Settings of this server", colour=VIOLET)
    return fill(embed, fields, inline=False).set_footer(text="/log shows who changed what.")


def _tiers(found: Rows, usual: tuple[Tier, ...]) -> str:
    now = [offer.tier for offer in found.offers]
    names = some([escape(tier.name) for tier in now], LONGEST_LIST)
    return f"{names} ({'the defaults' if set(now) == set(usual) else 'changed here'})"


def _members(count: Arranged) -> str:
    return (
        f"{count.blocked} blocked (`/member unblock`), {count.tiers} given a tier (`/tier take`), "
        f"{count.allowances} with daily seconds of their own (`/quota clear`), "
        f"{counted(count.grants, 'open grant')} (`/quota revoke`)"
    )
