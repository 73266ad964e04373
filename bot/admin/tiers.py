"""What admins can do with the tiers of their server, and with the roles that grant them."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.admin.audited import Audited
from bot.engine.cards import LONGEST_PIECE, SKETCH
from bot.errors import Refusal
from bot.rules import bounds, tiers
from bot.rules.markup import LISTED, clean, escape, some
from bot.rules.terms import Terms
from bot.tables import members, server_tiers
from bot.tables.database import Database, Reader, Transaction
from bot.values import Actor, Tier

LONGEST_NAME = 40
MOST_ROLES = 250

TIER_BOUNDS = {
    "longest": (1, LONGEST_PIECE),
    "takes": (1, bounds.MOST_TAKES),
    "per_day": (0, tiers.MOST_PER_DAY),
    "waiting": (1, tiers.MOST_WAITING),
    "stars": (0, tiers.MOST_STARS),
}
NAMES = {field: field for field in TIER_BOUNDS} | {"per_day": "seconds-per-day"}
"""What the commands call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A tier, and how many roles and members have it; or would lose it."""

    tier: Tier
    roles: int
    members: int


class TierAdmin(Audited):
    """A server has the operator's tiers until its admins change one: then it has its own.

    `models` are the names of those that are loaded, which tiers may name besides the known ones.
    """

    def __init__(
        self,
        database: Database,
        terms: Terms,
        *,
        models: Iterable[str] = (),
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(database, terms, clock=clock)
        self._models = [*dict.fromkeys((*tiers.SIZES.split()[1:], SKETCH.name, *models))]

    async def paid(self) -> dict[int, list[Tier]]:
        """Return the tiers that cost money and that a role grants, by server."""
        paid, usual = dict[int, list[Tier]](), self._terms.tiers
        for guild, key in await server_tiers.all_mapped(self._database):
            found = {tier.key: tier for tier in await server_tiers.of(self._database, guild, usual)}
            if key in found and found[key].price.casefold() != tiers.FREE.price:
                paid.setdefault(guild, []).append(found[key])
        return paid

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
            old = called(known, before.get(role.id))
            await self._note(tx, guild, actor, "tier map", _at(role.name), old, tier.name)
        return tier

    async def unmap_role(self, guild: int, actor: Actor, role: int) -> str:
        """Remove the tier of a role, which may be deleted by now; return the role's name."""
        async with self._database.transaction() as tx:
            names = await server_tiers.role_names(tx, guild)
            name = names.get(role)
            if name is None:
                listed = some([f"@{escape(each)}" for each in names.values()], LISTED)
                raise Refusal(f"That role grants no tier. Roles that do: {listed or 'none'}.")
            key = (await server_tiers.roles(tx, guild))[role]
            before = called(await server_tiers.of(tx, guild, self._terms.tiers), key)
            await server_tiers.unmapped(tx, guild, role)
            await self._note(tx, guild, actor, "tier unmap", _at(name), before)
        return name

    async def role_deleted(self, guild: int, role: int) -> None:
        """Remove the tier of a role that was deleted."""
        if role in await server_tiers.roles(self._database, guild):
            await self.unmap_role(guild, Actor(id=0, name="Discord (role deleted)"), role)

    async def edit_tier(
        self, guild: int, actor: Actor, name: str, changes: Mapping[str, Any]
    ) -> Tier:
        """Change a tier's fields, all but its weight; return it as it is now."""
        given = {field: value for field, value in changes.items() if value is not None}
        wanted = _checked(given, self._models)
        if not wanted:
            raise Refusal("Nothing to change: give at least one option.")
        async with self._database.transaction() as tx:
            known = await self._own(tx, guild)
            before = named(known, name)
            _require_free_name(known, wanted.get("name"), but=before)
            after = replace(before, **wanted)
            await server_tiers.put(tx, guild, after)
            changed = [field for field in wanted if getattr(before, field) != wanted[field]]
            old, new = _told(before, changed), _told(after, changed)
            await self._note(tx, guild, actor, "tier edit", before.name, old, new)
        return after

    async def add_tier(self, guild: int, actor: Actor, fields: Mapping[str, Any]) -> Tier:
        """Add a tier; its weight in the queue is that of the default tier below it."""
        wanted = _checked(dict(fields), self._models)
        # The key is nothing that admins see: a tier may be renamed and keeps its roles and members.
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

    async def removable(self, guild: int, name: str) -> Carried:
        """Return a tier that may be removed, and who would lose it; raise Refusal for others."""
        async with self._database.snapshot() as tx:
            return await self._removable(tx, guild, name)

    async def remove_tier(self, guild: int, actor: Actor, name: str) -> Carried:
        """Remove a tier; return it and how many roles and members it was taken from."""
        async with self._database.transaction() as tx:
            await self._own(tx, guild)
            removed = await self._removable(tx, guild, name)
            await self._taken(tx, guild, removed.tier)
            told = _told(removed.tier, TIER_BOUNDS)
            await self._note(tx, guild, actor, "tier remove", removed.tier.name, told)
        return removed

    async def resettable(self, guild: int) -> tuple[list[str], list[Carried]]:
        """Return what a reset changes: tiers that get their first fields back, and those that go.

        Raises Refusal if the server has the default tiers.
        """
        async with self._database.snapshot() as tx:
            return await self._resettable(tx, guild)

    async def reset_tiers(self, guild: int, actor: Actor) -> None:
        """Go back to the default tiers; roles and members keep those of them that they have."""
        async with self._database.transaction() as tx:
            _, going = await self._resettable(tx, guild)
            before = [tier.name for tier in await server_tiers.of(tx, guild, ())]
            for lost in going:
                await self._taken(tx, guild, lost.tier)
            await server_tiers.reset(tx, guild)
            old, new = some(before, LISTED), some([tier.name for tier in self._terms.tiers], LISTED)
            await self._note(tx, guild, actor, "tier reset", "all tiers", old, new)

    async def _resettable(self, reader: Reader, guild: int) -> tuple[list[str], list[Carried]]:
        own = {tier.key: tier for tier in await server_tiers.of(reader, guild, ())}
        usual = {tier.key: tier for tier in self._terms.tiers}
        if not own or own == usual:
            raise Refusal("This server has the default tiers already.")
        changed = [tier.name for key, tier in usual.items() if own.get(key) != tier]
        going = [tier for key, tier in own.items() if key not in usual]
        return changed, [await self._carried(reader, guild, tier) for tier in going]

    async def _removable(self, reader: Reader, guild: int, name: str) -> Carried:
        tier = named(await server_tiers.of(reader, guild, self._terms.tiers), name)
        if tier.key == tiers.FREE.key:
            shown = escape(tier.name)
            raise Refusal(f"{shown} is the default tier: it can be edited, not removed.")
        return await self._carried(reader, guild, tier)

    async def _carried(self, reader: Reader, guild: int, tier: Tier) -> Carried:
        roles = (await server_tiers.roles(reader, guild)).values()
        given = await members.count_given(reader, guild, tier.key)
        return Carried(tier=tier, roles=sum(key == tier.key for key in roles), members=given)

    async def _taken(self, tx: Transaction, guild: int, tier: Tier) -> None:
        """Remove a tier from the server, its roles and its members."""
        await server_tiers.removed(tx, guild, tier.key)
        await members.untiered(tx, guild, tier.key)

    async def _own(self, tx: Transaction, guild: int) -> list[Tier]:
        """Return the server's tiers, after copying the defaults if it has none of its own."""
        known = await server_tiers.of(tx, guild, self._terms.tiers)
        # All of them, for a server that has one tier of its own has none of the operator's.
        if not await server_tiers.of(tx, guild, ()):
            for tier in known:
                await server_tiers.put(tx, guild, tier)
        return known


def _at(role: str) -> str:
    """Return a role as the log has it: that of everybody has its @ in its name."""
    return f"@{role.removeprefix('@')}"


def named(known: list[Tier], name: str) -> Tier:
    """Return the tier with this name or key; raise Refusal that lists the existing names."""
    wanted = tiers.key(name)
    for tier in known:
        if wanted in (tier.key, tiers.key(tier.name)):
            return tier
    names = some([escape(tier.name) for tier in known], LISTED)
    raise Refusal(f"This server has no tier with that name. Its tiers: {names}.")


def called(known: Iterable[Tier], key: str | None) -> str | None:
    """Return the name that people read for a tier's key."""
    return next((tier.name for tier in known if tier.key == key), key)


def _checked(fields: dict[str, Any], models: Iterable[str]) -> dict[str, Any]:
    for field, (least, most) in TIER_BOUNDS.items():
        if field in fields and not least <= fields[field] <= most:
            raise Refusal(f"`{NAMES[field]}` must be a whole number from {least} to {most}.")
    for field in ("name", "price"):
        if field in fields:
            fields[field] = clean(fields[field])
            if not 1 <= len(fields[field]) <= LONGEST_NAME:
                raise Refusal(f"The {field} must have 1 to {LONGEST_NAME} characters.")
    if "models" in fields:
        fields["models"] = _models(fields["models"], [*models])
    if fields.get("link") is not None:
        fields["link"] = _link(fields["link"])
    return fields


def _models(text: str, known: list[str]) -> frozenset[str]:
    names = text.casefold().replace(",", " ").split()
    unknown = [name for name in names if name not in {*known, "*"}]
    if unknown or not names:
        shown = [f"There is no model “{escape(name, tiers.LONGEST_MODEL)}”. " for name in unknown]
        raise Refusal(
            f"{''.join(shown[:1])}Name models like this: "
            f"{some([escape(name) for name in known], LISTED)}; or * for all."
        )
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
