"""What members have: their usage, and the tiers of a server."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import discord
from discord.utils import format_dt

from bot.engine.cards import ModelCard
from bot.rules import quota, tiers
from bot.rules.markup import escape, isolate, some
from bot.rules.wording import counted, span
from bot.values import Entry, Grant, Membership, Offer, Source, Tier, Usage
from cogs.ui.embeds import LONGEST_FIELD, VIOLET, fill

RoleNames = Mapping[int, str]
"""A server's roles by id, as they are shown."""

TIERS_PER_PAGE, LONGEST_NAMES = 5, 250
"""Tiers on a page, and characters for the roles of one and for its models, so that it fits."""

PERSONAL = "†"
"""Marks a model whose music is for personal use only."""

DELETED_ROLE = "@deleted-role"


def usage(usage: Usage, roles: RoleNames, title: str = "Your usage") -> discord.Embed:
    """Show where a member stands."""
    held = usage.membership
    everywhere = " on all servers" if held.everywhere else ""
    left = f"**{span(usage.left)}** of {span(held.per_day)}{everywhere}"
    jobs = [f"#{job} is rendering" for job in usage.running]
    jobs += [f"#{job} is waiting" for job in usage.waiting]
    facts = {
        "Tier": f"**{escape(held.tier.name)}**, {_source(held, roles)}",
        "Left today": f"{left}, resets {format_dt(usage.resets_at, 'R')}",
    }
    lists = {
        "Blocked": quota.blocked(usage.block) if usage.block else None,
        "Granted": some([_grant(grant) for grant in usage.grants], LONGEST_FIELD, "\n"),
        "Pieces": some(jobs, LONGEST_FIELD),
        "Latest entries": some([_entry(entry) for entry in usage.ledger], LONGEST_FIELD, "\n"),
    }
    embed = discord.Embed(title=title, colour=VIOLET)
    return fill(fill(embed, facts), lists, inline=False)


def plans(
    offers: Sequence[Offer], held: Membership, cards: Sequence[ModelCard], roles: RoleNames
) -> discord.Embed:
    """Show a server's tiers side by side, the member's own marked, and what is not for selling."""
    embed = discord.Embed(title="Tiers on this server", description=_personal(cards), colour=VIOLET)
    for offer in offers:
        tier = offer.tier
        lines = [
            escape(tier.price) if offer.sold else "",
            f"pieces up to {tier.longest} s",
            f"{span(tier.per_day)} of music a day",
            f"{counted(tier.takes, 'take')} per request",
            f"up to {tier.waiting} waiting",
            counted(tier.stars, "starred piece"),
            _models(tier, cards),
            _how(offer, roles),
        ]
        name = escape(tier.name)
        mine = tier.key == held.tier.key
        embed.add_field(
            name=f"★ {name} (yours)" if mine else name, value="\n".join(filter(None, lines))
        )
    # Discord shows no markup in a footer, so the role stays unnamed there.
    return embed.set_footer(text=f"Your tier: {isolate(held.tier.name)}, {_source(held)}")


def line(offer: Offer, names: RoleNames) -> str:
    """Describe a tier and the roles that grant it, in two lines."""
    roles = [names.get(role, f"`{role}` (deleted)") for role in offer.roles]
    sold = f" · subscription `{offer.sku}`" if offer.sku else ""
    return (
        f"{shown(offer.tier)} · {escape(offer.tier.price)} · {allows(offer.tier)}\n"
        f"↳ {some(roles, LONGEST_NAMES) or 'no role'}{sold} · weight {offer.tier.weight}"
    )


def shown(tier: Tier) -> str:
    return f"**{escape(tier.name)}**"


def allows(tier: Tier) -> str:
    """Say in a line what a tier allows."""
    names = ["all models"] if "*" in tier.models else map(escape, tiers.ordered(tier))
    return (
        f"pieces up to {tier.longest} s, {counted(tier.takes, 'take')} per request, "
        f"{span(tier.per_day)} a day, up to {tier.waiting} waiting, "
        f"{counted(tier.stars, 'starred piece')}, "
        f"{some(list(names), LONGEST_NAMES)}"
    )


def ending(until: datetime | None) -> str:
    """Say until when something holds; nothing where it has no end."""
    return f" until {format_dt(until, 'f')}" if until else ""


def _source(held: Membership, roles: RoleNames | None = None) -> str:
    match held.source:
        case Source.ROLE:
            role = roles.get(held.role or 0, DELETED_ROLE) if roles else ""
            where = f"from the role {role}" if role else "from a role"
        case Source.GIVEN:
            where = "given to you by an admin"
            if roles is not None:
                where += ending(held.until)
        case Source.USER_SUBSCRIPTION:
            where = "from your subscription"
        case Source.SERVER_SUBSCRIPTION:
            where = "from this server's subscription"
        case Source.DEFAULT:
            where = "the default tier"
    return f"{where}; daily seconds set by an admin" if held.override else where


def _grant(grant: Grant) -> str:
    reason = f": {escape(grant.reason, 120)}" if grant.reason else ""
    until = f", until {format_dt(grant.expires_at, 'd')}" if grant.expires_at else ""
    return f"**{span(grant.left)}** of {span(grant.seconds)}{reason}{until}"


def _entry(entry: Entry) -> str:
    sign = "−" if entry.seconds < 0 else "+"
    text = escape(entry.text, 60)
    return f"{format_dt(entry.at, 'd')} **{sign}{abs(entry.seconds)} s** {text}"


def _personal(cards: Sequence[ModelCard]) -> str | None:
    """Say what the marks of some models mean, where there are any."""
    kept = dict.fromkeys(card.licence for card in cards if card.personal)
    names = ", ".join(licence.name for licence in kept)
    return f"{PERSONAL} for personal use only: {names}" if kept else None


def _marked(card: ModelCard) -> str:
    return f"{escape(card.name)}{PERSONAL * (card.personal)}"


def _models(tier: Tier, cards: Sequence[ModelCard]) -> str:
    if "*" in tier.models:
        kept = [_marked(card) for card in cards if card.personal]
        return f"all models{f' ({some(kept, LONGEST_NAMES)})' if kept else ''}"
    here = {card.name: _marked(card) for card in cards}
    # The sketch engine stands in for any model, so with it nothing is struck through.
    absent = "{}" if all(card.stands_in for card in cards) else "~~{}~~"
    names = [here.get(name) or absent.format(escape(name)) for name in tiers.ordered(tier)]
    listed = some(names, LONGEST_NAMES)
    return f"models {listed}{' (struck through: not available here)' if '~~' in listed else ''}"


def _how(offer: Offer, roles: RoleNames) -> str:
    names = [roles[role] for role in offer.roles if role in roles]
    ways = [some(names, LONGEST_NAMES)] if names else []
    ways += [f"[get it here]({offer.tier.link})"] if offer.tier.link else []
    ways += ["subscribe with the button below"] if offer.sku else []
    return f"→ {', '.join(ways)}" if ways else ""
