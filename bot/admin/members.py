"""What a server's admins can do for individual members: grants, allowances, tiers, blocks."""

from dataclasses import replace
from datetime import datetime, timedelta

from bot.admin.audited import Audited
from bot.admin.tiers import called, named
from bot.errors import Refusal
from bot.rules import days, tiers
from bot.rules.markup import clean, escape
from bot.tables import audit, grants, ledger, members, server_tiers
from bot.values import Actor, Arranged, Arrangement, Change, Grant

MOST_GRANTED = 1_000_000
MOST_DAYS = 3650
LONGEST_REASON = 200
ARRANGED_PER_PAGE = 10


class MemberAdmin(Audited):
    """Seconds, tiers and blocks; until a time, or for good."""

    async def grant(
        self, guild: int, actor: Actor, member: Actor, seconds: int, reason: str, days: int | None
    ) -> datetime | None:
        """Give a member seconds beyond the allowance; return when they end."""
        _within("A grant", seconds, 1, MOST_GRANTED)
        until, why = self._until(days), _reason(reason)
        async with self._database.transaction() as tx:
            await grants.add(tx, guild, member.id, seconds, why, self._clock(), until)
            after = f"{seconds} s{_ending(until)}"
            await self._note(tx, guild, actor, "quota grant", member, None, after, why)
        return until

    async def open_grants(self, guild: int, member: int) -> list[Grant]:
        """Return the grants of a member that still hold something."""
        return await grants.open_ones(self._database, guild, member, self._clock())

    async def revoke(self, guild: int, actor: Actor, member: Actor, grant: int) -> int:
        """End a member's grant, given by its id; return the seconds that it still held."""
        async with self._database.transaction() as tx:
            found = await grants.open_ones(tx, guild, member.id, self._clock())
            left = next((each.left for each in found if each.id == grant), None)
            if left is None or not await grants.revoked(tx, guild, member.id, grant, self._clock()):
                raise Refusal("That grant is used up or has ended already.")
            await self._note(tx, guild, actor, "quota revoke", member, f"{left} s left")
        return left

    async def allow(self, guild: int, actor: Actor, member: Actor, per_day: int | None) -> None:
        """Set a member's seconds a day instead of the tier's; None goes back to the tier's."""
        if per_day is not None:
            _within("An allowance", per_day, 0, tiers.MOST_PER_DAY)
        async with self._database.transaction() as tx:
            before = (await members.find(tx, guild, member.id, self._clock())).per_day
            if before is None and per_day is None:
                raise Refusal(f"{escape(member.name)} is already on their tier's daily seconds.")
            await members.allowed(tx, guild, member.id, per_day)
            action = "quota clear" if per_day is None else "quota set"
            old, new = _a_day(before), _a_day(per_day)
            await self._note(tx, guild, actor, action, member, old, new)

    async def reset(self, guild: int, actor: Actor, member: Actor) -> int:
        """Reset what a member has used today; return the seconds that no longer count."""
        async with self._database.transaction() as tx:
            day = days.day(self._clock())
            before = await ledger.used(tx, guild, member.id, day)
            await ledger.forgiven(tx, guild, member.id, day)
            after = await ledger.used(tx, guild, member.id, day)
            old, new = f"{before} s used today", f"{after} s used today"
            await self._note(tx, guild, actor, "quota reset", member, old, new)
        return before - after

    async def give(
        self, guild: int, actor: Actor, member: Actor, name: str, days: int | None
    ) -> datetime | None:
        """Give a member a tier by its name; return when it ends."""
        until = self._until(days)
        async with self._database.transaction() as tx:
            known = await server_tiers.of(tx, guild, self._terms.tiers)
            tier = named(known, name)
            before = (await members.find(tx, guild, member.id, self._clock())).tier
            await members.given(tx, guild, member.id, tier.key, until)
            old, new = called(known, before), f"{tier.name}{_ending(until)}"
            await self._note(tx, guild, actor, "tier give", member, old, new)
        return until

    async def take(self, guild: int, actor: Actor, member: Actor) -> None:
        """Take a given tier back."""
        async with self._database.transaction() as tx:
            before = (await members.find(tx, guild, member.id, self._clock())).tier
            if before is None:
                name = escape(member.name)
                raise Refusal(
                    f"{name} was not given a tier. One from a role or subscription cannot be taken "
                    "back here."
                )
            await members.given(tx, guild, member.id, None, None)
            old = called(await server_tiers.of(tx, guild, self._terms.tiers), before)
            await self._note(tx, guild, actor, "tier take", member, old)

    async def block(
        self, guild: int, actor: Actor, member: Actor, reason: str, days: int | None
    ) -> datetime | None:
        """Block a member from requesting music; return until when. Queued jobs continue."""
        until, why = self._until(days), _reason(reason)
        async with self._database.transaction() as tx:
            await members.blocked(tx, guild, member.id, why, self._clock(), until)
            after = f"blocked{_ending(until)}"
            await self._note(tx, guild, actor, "member block", member, None, after, why)
        return until

    async def unblock(self, guild: int, actor: Actor, member: Actor) -> None:
        """Let a member request music again."""
        async with self._database.transaction() as tx:
            if (await members.find(tx, guild, member.id, self._clock())).block is None:
                raise Refusal(f"{escape(member.name)} is not blocked.")
            await members.unblocked(tx, guild, member.id)
            # The reason is in the line of the block.
            await self._note(tx, guild, actor, "member unblock", member, "blocked")

    async def arranged(self, guild: int, page: int) -> list[Arrangement]:
        """Return a page of the members for whom something is set, and one more if there are more.

        What has run out is none of it.
        """
        now, skip = self._clock(), page * ARRANGED_PER_PAGE
        async with self._database.snapshot() as tx:
            known = await server_tiers.of(tx, guild, self._terms.tiers)
            found = []
            for user in await members.arranged(tx, guild, now, ARRANGED_PER_PAGE + 1, skip):
                settings = await members.find(tx, guild, user, now)
                settings = replace(settings, tier=called(known, settings.tier))
                held = tuple(await grants.open_ones(tx, guild, user, now))
                found.append(Arrangement(member=user, settings=settings, grants=held))
        return found

    async def count(self, guild: int) -> Arranged:
        """Return for how many members something is set."""
        return await members.count(self._database, guild, self._clock())

    async def log(self, guild: int, member: int | None, page: int) -> list[Change]:
        """Return a page of the audit log, newest first, and one line more if there are more."""
        return await audit.page(self._database, guild, member, page)

    def _until(self, days: int | None) -> datetime | None:
        if days is None:
            return None
        _within("A number of days", days, 1, MOST_DAYS)
        return self._clock() + timedelta(days=days)


def _within(what: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise Refusal(f"{what} must be a whole number from {least} to {most}.")


def _reason(text: str) -> str:
    reason = clean(text)
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise Refusal(f"A reason must have 1 to {LONGEST_REASON} characters.")
    return reason


def _a_day(seconds: int | None) -> str:
    return "the tier's" if seconds is None else f"{seconds} s a day"


def _ending(until: datetime | None) -> str:
    return f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
