"""Who may ask for what: a member's tier, and every limit that a request must pass."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.errors import Refusal
from bot.rules import quota, tiers, wordfilter
from bot.rules.quota import UsedUp
from bot.tables import grants, jobs, ledger, members, server_tiers, servers
from bot.tables.database import Reader, Transaction
from bot.values import (
    Grant,
    Job,
    Limits,
    Membership,
    Offer,
    Origin,
    Presence,
    Promise,
    Request,
    Source,
    Tier,
)


class Admission:
    """The rules as they stand in the database, below the operator's.

    `defaults` are the tiers that a server begins with, everybody's first; `skus` says which of them
    a Discord subscription is worth, as the operator sells it.
    """

    def __init__(
        self, *, defaults: Sequence[Tier], limits: Limits, skus: Mapping[int, str]
    ) -> None:
        self._defaults = tuple(defaults)
        self._limits = limits
        self.skus = frozenset(skus)
        self._sold = {
            sku: tier for sku, key in skus.items() for tier in defaults if tier.key == key
        }

    async def admit(
        self, tx: Transaction, origin: Origin, presence: Presence, request: Request, now: datetime
    ) -> Promise:
        """Return what a request is accepted under; raise Refusal with the limit that it hits."""
        guild, user = origin.guild_id, origin.user_id
        limits = await self.limits(tx, guild)
        _check_server(limits, guild, request)
        await _check_house(tx, guild, user, presence, request, now)
        held = await self.membership(tx, guild, user, presence, now)
        offers = await self.offers(tx, guild)
        quota.check(held, request, offers)
        quota.check_waiting(held, await jobs.waiting(tx, guild, user), offers)
        waiting = await jobs.count_waiting(tx, guild)
        quota.check_studio(limits, *waiting)
        unposted = await jobs.unposted(tx, user, quota.day_began(now), now)
        quota.check_unposted(unposted, now)
        try:
            return await self._paid(tx, origin, held, request, quota.cost(request), now)
        except UsedUp as used_up:
            # The lane is for who has used up a day; who was given none, or has some left, has not.
            if limits.idle_lane and held.per_day and not used_up.left and not any(waiting):
                return Promise(membership=held, idle=True)
            raise

    async def admit_again(
        self, tx: Transaction, job: Job, price: int, presence: Presence, now: datetime
    ) -> Promise:
        """Return what music that is there is charged under; raise Refusal if it is too much.

        `price` is what it comes to, in seconds of music.
        """
        origin, request = job.origin, job.request
        guild, user = origin.guild_id, origin.user_id
        _check_server(await self.limits(tx, guild), guild, request)
        await _check_house(tx, guild, user, presence, request, now)
        held = await self.membership(tx, guild, user, presence, now)
        if job.idle:
            return Promise(membership=held, idle=True)
        return await self._paid(tx, origin, held, request, price, now)

    async def membership(
        self,
        reader: Reader,
        guild: int,
        user: int,
        presence: Presence,
        now: datetime,
    ) -> Membership:
        """Return the highest tier that a member has by role, by hand or by subscription."""
        own = {tier.key: tier for tier in await self.tiers(reader, guild)}
        set_for = await members.find(reader, guild, user, now)
        held = [_held(own[self._defaults[0].key], Source.DEFAULT)]
        if given := own.get(set_for.tier or ""):
            held.append(_held(given, Source.GIVEN, until=set_for.tier_until))
        for role, key in (await server_tiers.roles(reader, guild)).items():
            if role in presence.roles and key in own:
                held.append(_held(own[key], Source.ROLE, role=role))
        for sku, tier in self._sold.items():
            if sku in presence.server_skus:
                held.append(_held(tier, Source.SERVER_SUBSCRIPTION))
            if sku in presence.user_skus:
                held.append(_held(tier, Source.USER_SUBSCRIPTION))
        best = tiers.highest(held)
        if set_for.per_day is None:
            return best
        sold = [each for each in held if each.source.sold and each.per_day >= set_for.per_day]
        if sold:  # an admin takes away nothing that the operator sold
            return tiers.highest(sold)
        return replace(best, per_day=set_for.per_day, override=True)

    async def tiers(self, reader: Reader, guild: int) -> list[Tier]:
        """Return a server's tiers, lowest first."""
        return sorted(await server_tiers.of(reader, guild) or self._defaults, key=tiers.rank)

    async def offers(self, reader: Reader, guild: int) -> list[Offer]:
        """Return a server's tiers and how to get each, lowest first."""
        roles = await server_tiers.roles(reader, guild)
        skus = {tier.key: sku for sku, tier in self._sold.items()}
        return [
            Offer(
                tier=tier,
                roles=tuple(role for role, key in roles.items() if key == tier.key),
                sku=skus.get(tier.key),
            )
            for tier in await self.tiers(reader, guild)
        ]

    async def limits(self, reader: Reader, guild: int) -> Limits:
        """Return the operator's limits as they hold for a server."""
        return await servers.limits(reader, guild, self._limits)

    async def used(
        self, reader: Reader, guild: int, user: int, held: Membership, now: datetime
    ) -> int:
        """Return the seconds used today of what a membership allows."""
        count = ledger.used_everywhere if held.everywhere else ledger.used
        return await count(reader, guild, user, quota.day(now))

    async def grants(self, reader: Reader, guild: int, user: int, now: datetime) -> list[Grant]:
        """Return a member's open grants in the order they are drawn from."""
        return await grants.open_ones(reader, guild, user, now)

    async def _paid(
        self,
        tx: Transaction,
        origin: Origin,
        held: Membership,
        request: Request,
        price: int,
        now: datetime,
    ) -> Promise:
        guild, user = origin.guild_id, origin.user_id
        limits = await self.limits(tx, guild)
        if limits.server_seconds_per_day is not None:
            here = await ledger.used_by_server(tx, guild, quota.day(now))
            quota.check_server_day(limits, price, here, now)
        draws = quota.pay(
            held,
            request,
            price,
            await self.used(tx, guild, user, held, now),
            await self.grants(tx, guild, user, now),
            await self.offers(tx, guild),
            now,
        )
        return Promise(membership=held, price=price, draws=draws)


def _held(
    tier: Tier, source: Source, role: int | None = None, until: datetime | None = None
) -> Membership:
    return Membership(tier=tier, source=source, per_day=tier.per_day, role=role, until=until)


def _check_server(limits: Limits, guild: int, request: Request) -> None:
    if not limits.allows(guild):
        raise Refusal(quota.NOT_ALLOWED)
    if request.length > limits.max_seconds:
        raise Refusal(
            f"You asked for {request.length:g} s; the operator allows this server up to "
            f"{limits.max_seconds} s per piece."
        )


async def _check_house(
    tx: Transaction, guild: int, user: int, presence: Presence, request: Request, now: datetime
) -> None:
    block = (await members.find(tx, guild, user, now)).block
    if block:
        raise Refusal(quota.blocked(block))
    channels = await servers.channels(tx, guild)
    if channels and not presence.places.intersection(channels):
        named = ", ".join(f"<#{channel}>" for channel in channels[:20])
        raise Refusal(f"Please request music in {named}.")
    if wordfilter.refuses(await servers.words(tx, guild), request.prompt):
        raise Refusal(
            "Your prompt contains a word that this server blocks. Rephrase it; nothing was charged."
        )
