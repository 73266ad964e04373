"""What admins and the operator can do for a whole server: tiers, roles, channels, words."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.admin.members import called, named
from bot.engine.cards import LONGEST_PIECE
from bot.errors import Refusal
from bot.rules import bounds, tiers, wordfilter
from bot.rules.markup import clean, escape
from bot.rules.terms import Terms
from bot.rules.wording import span
from bot.tables import audit, members, server_tiers, servers
from bot.tables.database import Database, Transaction
from bot.values import Actor, Limits, Tier

LONGEST_NAME = 40
LONGEST_WORD = 50
MOST_WORDS = 500
MOST_CHANNELS = 100
MOST_ROLES = 250

TIER_BOUNDS = {
    "longest": (1, LONGEST_PIECE),
    "takes": (1, bounds.MOST_TAKES),
    "per_day": (0, tiers.MOST_PER_DAY),
    "waiting": (1, tiers.MOST_WAITING),
}
NAMES = {field: field for field in TIER_BOUNDS} | {"per_day": "seconds-per-day"}
"""What the commands call them."""


class ServerAdmin:
    """Each change is one transaction with its line in the audit log."""

    def __init__(self, database: Database, terms: Terms, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock

    async def paid_servers(self) -> int:
        """Return the number of servers where a role grants a tier that costs money."""
        paid, usual = set(), self._terms.tiers
        for guild, key in await server_tiers.all_mapped(self._database):
            found = {tier.key: tier for tier in await server_tiers.of(self._database, guild, usual)}
            if key in found and found[key].price.casefold() != tiers.FREE.price:
                paid.add(guild)
        return len(paid)

    async def role_names(self, guild: int) -> dict[int, str]:
        """Return the mapped roles and the names that they had then."""
        return await server_tiers.role_names(self._database, guild)

    async def map_role(self, guild: int, actor: Actor, role: Actor, name: str) -> Tier:
        """Make a role grant a tier; return it."""
        async with self._database.transaction() as tx:
            known = await server_tiers.of(tx, guild, self._terms.tiers)
            tier = named(known, name)
            before = await server_tiers.roles(tx, guild)
            if role.id not in before and len(before) >= MOST_ROLES:
                raise Refusal(f"At most {MOST_ROLES} roles can be mapped.")
            await server_tiers.mapped(tx, guild, role.id, role.name, tier.key)
            await self._note(
                tx,
                guild,
                actor,
                "tier map",
                f"@{role.name}",
                called(known, before.get(role.id)),
                tier.name,
            )
        return tier

    async def unmap_role(self, guild: int, actor: Actor, role: int) -> str:
        """Remove the tier of a role, which may be deleted by now; return the role's name."""
        async with self._database.transaction() as tx:
            name = (await server_tiers.role_names(tx, guild)).get(role)
            if name is None:
                raise Refusal("That role does not grant a tier. Choose one from the list.")
            key = (await server_tiers.roles(tx, guild))[role]
            before = called(await server_tiers.of(tx, guild, self._terms.tiers), key)
            await server_tiers.unmapped(tx, guild, role)
            await self._note(tx, guild, actor, "tier unmap", f"@{name}", before)
        return name

    async def role_deleted(self, guild: int, role: int) -> None:
        """Remove the tier of a role that was deleted."""
        if role in await server_tiers.roles(self._database, guild):
            await self.unmap_role(guild, Actor(id=0, name="Discord (role deleted)"), role)

    async def edit_tier(
        self, guild: int, actor: Actor, name: str, changes: Mapping[str, Any]
    ) -> Tier:
        """Change a tier's fields, all but its weight; return it as it is now."""
        wanted = _checked({field: value for field, value in changes.items() if value is not None})
        if not wanted:
            raise Refusal("Nothing to change: give at least one option.")
        async with self._database.transaction() as tx:
            known = await self._own(tx, guild)
            before = named(known, name)
            _require_free_name(known, wanted.get("name"), but=before)
            after = replace(before, **wanted)
            await server_tiers.put(tx, guild, after)
            changed = [field for field in wanted if getattr(before, field) != wanted[field]]
            await self._note(
                tx,
                guild,
                actor,
                "tier edit",
                before.name,
                _told(before, changed),
                _told(after, changed),
            )
        return after

    async def add_tier(self, guild: int, actor: Actor, fields: Mapping[str, Any]) -> Tier:
        """Add a tier; its weight in the queue is that of the default tier below it."""
        wanted = _checked(dict(fields))
        tier = Tier(
            key=f"own-{secrets.token_hex(4)}", weight=tiers.weight(wanted["per_day"]), **wanted
        )
        async with self._database.transaction() as tx:
            known = await self._own(tx, guild)
            if len(known) >= tiers.MOST_TIERS:
                raise Refusal(f"A server can have at most {tiers.MOST_TIERS} tiers.")
            _require_free_name(known, tier.name)
            await server_tiers.put(tx, guild, tier)
            await self._note(tx, guild, actor, "tier add", tier.name, None, _told(tier, wanted))
        return tier

    async def remove_tier(self, guild: int, actor: Actor, name: str) -> tuple[Tier, int, int]:
        """Remove a tier; return it and how many roles and members it was taken from."""
        async with self._database.transaction() as tx:
            known = await self._own(tx, guild)
            tier = named(known, name)
            if tier.key == tiers.FREE.key:
                shown = escape(tier.name)
                raise Refusal(f"{shown} is the default tier: it can be edited, not removed.")
            roles = sum(key == tier.key for key in (await server_tiers.roles(tx, guild)).values())
            await server_tiers.removed(tx, guild, tier.key)
            given = await members.untiered(tx, guild, tier.key)
            await self._note(tx, guild, actor, "tier remove", tier.name, _told(tier, TIER_BOUNDS))
        return tier, roles, given

    async def channels(self, guild: int) -> list[int]:
        """Return the ids of the channels where music can be requested; none means everywhere."""
        return await servers.channels(self._database, guild)

    async def allow_channel(self, guild: int, actor: Actor, channel: Actor) -> None:
        """Allow requests in a channel, and from then on only in allowed ones."""
        async with self._database.transaction() as tx:
            if len(await servers.channels(tx, guild)) >= MOST_CHANNELS:
                raise Refusal(f"At most {MOST_CHANNELS} channels can be allowed.")
            if not await servers.channel_allowed(tx, guild, channel.id):
                raise Refusal("That channel is already allowed.")
            await self._note(tx, guild, actor, "channel allow", f"#{channel.name}")

    async def forget_channel(self, guild: int, actor: Actor, channel: Actor) -> bool:
        """Remove a channel from the list; return whether others are left on it."""
        async with self._database.transaction() as tx:
            if not await servers.channel_forgotten(tx, guild, channel.id):
                raise Refusal("That channel is not on the list.")
            await self._note(tx, guild, actor, "channel forget", f"#{channel.name}")
            return bool(await servers.channels(tx, guild))

    async def words(self, guild: int) -> list[str]:
        """Return the words that a server blocks in prompts."""
        return await servers.words(self._database, guild)

    async def add_word(self, guild: int, actor: Actor, word: str) -> str:
        """Block a word, or words in that order; return it as it is matched."""
        folded = wordfilter.folded(word)
        if not 1 <= len(folded) <= LONGEST_WORD:
            raise Refusal(f"A word must have 1 to {LONGEST_WORD} letters or digits.")
        async with self._database.transaction() as tx:
            if len(await servers.words(tx, guild)) >= MOST_WORDS:
                raise Refusal(f"At most {MOST_WORDS} words can be blocked.")
            if not await servers.word_added(tx, guild, folded):
                raise Refusal("That word is already blocked.")
            await self._note(tx, guild, actor, "words add", folded)
        return folded

    async def remove_word(self, guild: int, actor: Actor, word: str) -> str:
        """Unblock a word; return it."""
        wanted = wordfilter.folded(word)
        async with self._database.transaction() as tx:
            # Words listed by an earlier version may have been folded differently.
            listed = [each for each in await servers.words(tx, guild) if each in (word, wanted)]
            if not listed or not await servers.word_removed(tx, guild, listed[0]):
                raise Refusal("That word is not on the list.")
            await self._note(tx, guild, actor, "words remove", listed[0])
        return listed[0]

    async def limits(self, guild: int) -> Limits:
        """Return the operator's limits as they hold for a server."""
        return await servers.limits(self._database, guild, self._terms.limits)

    async def known_servers(self) -> list[int]:
        """Return the ids of the servers with settings of their own."""
        return list(await servers.known(self._database))

    async def allow_server(self, guild: int, actor: Actor, allowed: bool | None) -> Limits:
        """Allow or refuse a server, whatever the list says; None follows the list again."""
        async with self._database.transaction() as tx:
            before = await servers.limits(tx, guild, self._terms.limits)
            await servers.allowed(tx, guild, allowed)
            after = await servers.limits(tx, guild, self._terms.limits)
            await self._note(
                tx,
                guild,
                actor,
                "studio server",
                str(guild),
                _word(before, guild),
                _word(after, guild),
            )
        return after

    async def limit_server(
        self, guild: int, actor: Actor, changes: Mapping[str, int | None]
    ) -> Limits:
        """Set a server's own limits; None changes nothing, too small a number means as in .env."""
        async with self._database.transaction() as tx:
            before = await servers.limits(tx, guild, self._terms.limits)
            await servers.limited(tx, guild, changes)
            after = await servers.limits(tx, guild, self._terms.limits)
            await self._note(
                tx, guild, actor, "studio server", str(guild), described(before), described(after)
            )
        return after

    async def turned_away(self, guild: int) -> bool:
        """Whether a server has yet to be told that it may not use the studio."""
        if (await self.limits(guild)).allows(guild):
            return False
        return not await servers.was_told(self._database, guild)

    async def told(self, guild: int) -> None:
        """Note that a server was told that it may not use the studio."""
        async with self._database.transaction() as tx:
            await servers.told(tx, guild, self._clock())

    async def _own(self, tx: Transaction, guild: int) -> list[Tier]:
        """Return the server's tiers, after copying the defaults if it has none of its own."""
        known = await server_tiers.of(tx, guild, self._terms.tiers)
        if not await server_tiers.of(tx, guild, ()):
            for tier in known:
                await server_tiers.put(tx, guild, tier)
        return known

    async def _note(
        self,
        tx: Transaction,
        guild: int,
        actor: Actor,
        action: str,
        subject: str,
        before: str | None = None,
        after: str | None = None,
    ) -> None:
        now = self._clock()
        await audit.note(tx, guild, now, actor, action, subject, before=before, after=after)


def described(limits: Limits) -> str:
    """Say what the operator allows a server."""
    per_day = limits.server_seconds_per_day
    return (
        f"pieces up to {limits.max_seconds} s, up to {limits.waiting_per_server} waiting, "
        f"{'no daily limit' if per_day is None else f'{span(per_day)} a day'}"
    )


def _word(limits: Limits, guild: int) -> str:
    return "allowed" if limits.allows(guild) else "refused"


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    for field, (least, most) in TIER_BOUNDS.items():
        if field in fields and not least <= fields[field] <= most:
            raise Refusal(f"`{NAMES[field]}` must be a whole number from {least} to {most}.")
    for field in ("name", "price"):
        if field in fields:
            fields[field] = clean(fields[field])
            if not 1 <= len(fields[field]) <= LONGEST_NAME:
                raise Refusal(f"The {field} must have 1 to {LONGEST_NAME} characters.")
    if "models" in fields:
        fields["models"] = _models(fields["models"])
    if fields.get("link") is not None:
        fields["link"] = _link(fields["link"])
    return fields


def _models(text: str) -> frozenset[str]:
    names = re.split(r"[\s,]+", text.casefold().strip(" ,"))
    known = rf"[\w.-]{{1,{tiers.LONGEST_MODEL}}}|\*"
    if not all(re.fullmatch(known, name) for name in names) or len(names) > 20:
        raise Refusal("Name models like this: small, medium, large, stereo-small; or * for all.")
    return frozenset(names)


def _link(text: str) -> str | None:
    link = clean(text)
    if link.casefold() == "none":
        return None
    if not re.fullmatch(r"https://[^\s<>()\[\]]{3,190}", link):
        raise Refusal(
            "A link must begin with https:// and have at most 198 characters; “none” removes it."
        )
    return link


def _require_free_name(known: list[Tier], name: str | None, but: Tier | None = None) -> None:
    taken = {key for tier in known if tier != but for key in (tier.key, tiers.key(tier.name))}
    if name is not None and tiers.key(name) in taken:
        raise Refusal("There is already a tier with that name.")


def _told(tier: Tier, fields: Iterable[str]) -> str:
    parts = []
    for field in fields:
        value = getattr(tier, field)
        shown = " ".join(sorted(value)) if isinstance(value, frozenset) else value
        parts.append(f"{field.replace('_', ' ')}: {shown}")
    return ", ".join(parts)
