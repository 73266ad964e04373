"""What a server's admins can do for individual members: grants, allowances, tiers, blocks."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from bot.errors import Refusal
from bot.rules import days, tiers
from bot.rules.markup import LISTED, clean, escape, some
from bot.rules.terms import Terms
from bot.tables import audit, grants, ledger, members, server_tiers
from bot.tables.database import Database
from bot.values import Actor, Change, Tier

MOST_GRANTED = 1_000_000
MOST_DAYS = 3650
LONGEST_REASON = 200


class MemberAdmin:
    """Each change is one transaction with its line in the audit log."""

    def __init__(self, database: Database, terms: Terms, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock

    async def grant(
        self, guild: int, actor: Actor, member: Actor, seconds: int, reason: str, days: int | None
    ) -> datetime | None:
        """Give a member seconds beyond the allowance; return when they end."""
        _within("A grant", seconds, 1, MOST_GRANTED)
        until = self._until(days)
        async with self._database.transaction() as tx:
            now = self._clock()
            await grants.add(tx, guild, member.id, seconds, _reason(reason), now, until)
            await audit.note(
                tx,
                guild,
                now,
                actor,
                "quota grant",
                member.name,
                member=member.id,
                after=f"{seconds} s{_ending(until)}",
                reason=_reason(reason),
            )
        return until

    async def allow(self, guild: int, actor: Actor, member: Actor, per_day: int | None) -> None:
        """Set a member's seconds a day instead of the tier's; None goes back to the tier's."""
        if per_day is not None:
            _within("An allowance", per_day, 0, tiers.MOST_PER_DAY)
        async with self._database.transaction() as tx:
            now = self._clock()
            before = (await members.find(tx, guild, member.id, now)).per_day
            if before is None and per_day is None:
                raise Refusal(f"{escape(member.name)} is already on their tier's daily seconds.")
            await members.allowed(tx, guild, member.id, per_day)
            await audit.note(
                tx,
                guild,
                now,
                actor,
                "quota clear" if per_day is None else "quota set",
                member.name,
                member=member.id,
                before="the tier's" if before is None else f"{before} s a day",
                after="the tier's" if per_day is None else f"{per_day} s a day",
            )

    async def reset(self, guild: int, actor: Actor, member: Actor) -> int:
        """Reset what a member has used today; return the seconds that no longer count."""
        async with self._database.transaction() as tx:
            now = self._clock()
            day = days.day(now)
            before = await ledger.used(tx, guild, member.id, day)
            await ledger.forgiven(tx, guild, member.id, day)
            after = await ledger.used(tx, guild, member.id, day)
            await audit.note(
                tx,
                guild,
                now,
                actor,
                "quota reset",
                member.name,
                member=member.id,
                before=f"{before} s used today",
                after=f"{after} s used today",
            )
        return before - after

    async def give(
        self, guild: int, actor: Actor, member: Actor, name: str, days: int | None
    ) -> datetime | None:
        """Give a member a tier by its name; return when it ends."""
        until = self._until(days)
        async with self._database.transaction() as tx:
            now = self._clock()
            known = await server_tiers.of(tx, guild, self._terms.tiers)
            tier = named(known, name)
            before = await members.find(tx, guild, member.id, now)
            await members.given(tx, guild, member.id, tier.key, until)
            await audit.note(
                tx,
                guild,
                now,
                actor,
                "tier give",
                member.name,
                member=member.id,
                before=called(known, before.tier),
                after=f"{tier.name}{_ending(until)}",
            )
        return until

    async def take(self, guild: int, actor: Actor, member: Actor) -> None:
        """Take a given tier back."""
        async with self._database.transaction() as tx:
            now = self._clock()
            before = (await members.find(tx, guild, member.id, now)).tier
            if before is None:
                name = escape(member.name)
                raise Refusal(
                    f"{name} was not given a tier. One from a role or subscription cannot be taken "
                    "back here."
                )
            await members.given(tx, guild, member.id, None, None)
            await audit.note(
                tx,
                guild,
                now,
                actor,
                "tier take",
                member.name,
                member=member.id,
                before=called(await server_tiers.of(tx, guild, self._terms.tiers), before),
            )

    async def block(
        self, guild: int, actor: Actor, member: Actor, reason: str, days: int | None
    ) -> datetime | None:
        """Block a member from requesting music; return until when. Queued jobs continue."""
        until = self._until(days)
        async with self._database.transaction() as tx:
            now = self._clock()
            await members.blocked(tx, guild, member.id, _reason(reason), now, until)
            await audit.note(
                tx,
                guild,
                now,
                actor,
                "member block",
                member.name,
                member=member.id,
                after=f"blocked{_ending(until)}",
                reason=_reason(reason),
            )
        return until

    async def unblock(self, guild: int, actor: Actor, member: Actor) -> None:
        """Let a member request music again."""
        async with self._database.transaction() as tx:
            now = self._clock()
            if (await members.find(tx, guild, member.id, now)).block is None:
                raise Refusal(f"{escape(member.name)} is not blocked.")
            await members.unblocked(tx, guild, member.id)
            await audit.note(
                tx,
                guild,
                now,
                actor,
                "member unblock",
                member.name,
                member=member.id,
                before="blocked",  # the reason is in the line of the block
            )

    async def log(self, guild: int, member: int | None, page: int) -> list[Change]:
        """Return a page of the audit log, newest first, and one line more if there are more."""
        return await audit.page(self._database, guild, member, page)

    def _until(self, days: int | None) -> datetime | None:
        if days is None:
            return None
        _within("A number of days", days, 1, MOST_DAYS)
        return self._clock() + timedelta(days=days)


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


def _within(what: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise Refusal(f"{what} must be a whole number from {least} to {most}.")


def _reason(text: str) -> str:
    reason = clean(text)
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise Refusal(f"A reason must have 1 to {LONGEST_REASON} characters.")
    return reason


def _ending(until: datetime | None) -> str:
    return f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
