"""What a member has: a tier, what it allows and what is left of it."""

from collections.abc import Callable
from datetime import datetime

from bot.rules import days
from bot.rules.terms import Terms
from bot.tables import backlog, grants, ledger, members, server_tiers, servers
from bot.tables.database import Database, Reader
from bot.values import NOBODY, MemberSettings, Membership, Offer, Presence, Usage


class Accounts:
    """Members' accounts in each server, and the tiers that there are."""

    def __init__(self, database: Database, terms: Terms, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock

    async def usage(self, guild: int, user: int, presence: Presence = NOBODY) -> Usage:
        """Return where a member stands: tier, what is left today, jobs and the ledger."""
        now = self._clock()
        async with self._database.snapshot() as tx:
            set_for = await members.find(tx, guild, user, now)
            held = await self._membership(tx, guild, set_for, presence)
            used = await ledger.used(tx, guild, user, days.day(now), everywhere=held.everywhere)
            return Usage(
                membership=held,
                used=used,
                left=max(0, held.per_day - used),
                resets_at=days.resets_at(now),
                grants=tuple(await grants.open_ones(tx, guild, user, now)),
                waiting=tuple(await backlog.of(tx, guild, user)),
                running=tuple(await backlog.rendering(tx, guild, user)),
                ledger=tuple(await ledger.last(tx, guild, user)),
                block=set_for.block,
            )

    async def allowed(self, guild: int, user: int, presence: Presence) -> tuple[Membership, int]:
        """Return a member's tier, and the seconds of the longest piece that they may request."""
        async with self._database.snapshot() as tx:
            set_for = await members.find(tx, guild, user, self._clock())
            held = await self._membership(tx, guild, set_for, presence)
            limits = await servers.limits(tx, guild, self._terms.limits)
        return held, min(held.tier.longest, limits.max_seconds)

    async def offers(self, guild: int) -> list[Offer]:
        """Return a server's tiers and how to get each, lowest first."""
        async with self._database.snapshot() as tx:
            known = await server_tiers.of(tx, guild, self._terms.tiers)
            return self._terms.offers(guild, known, await server_tiers.roles(tx, guild))

    async def _membership(
        self, reader: Reader, guild: int, set_for: MemberSettings, presence: Presence
    ) -> Membership:
        known = await server_tiers.of(reader, guild, self._terms.tiers)
        roles = await server_tiers.roles(reader, guild)
        return self._terms.membership(known, roles, set_for, presence)
