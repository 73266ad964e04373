"""Who may ask for what: a member's tier, and every limit that a request must pass."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path

from bot.errors import Refusal, RefusalKind
from bot.rules import days, quota, wordfilter
from bot.rules.quota import ASK_THE_OPERATOR, NOT_ON_THE_LIST, UsedUp
from bot.rules.terms import Terms
from bot.tables import backlog, engines, grants, ledger, members, server_tiers, servers
from bot.tables.database import Transaction
from bot.values import (
    Block,
    Grant,
    Job,
    Limits,
    Membership,
    Offer,
    Origin,
    Presence,
    Promise,
    Request,
    Speed,
)

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 200_000_000
"""Bytes of free disk below which requests are refused; an hour of mono music is 230 MB."""

MEMORY_LIMITS_REMEMBERED = timedelta(days=1)
"""How long to believe that a piece is too long for the memory: hardware changes."""


class Admission:
    """The rules as they stand in the database, below the operator's terms."""

    def __init__(self, terms: Terms, *, folder: Path) -> None:
        self._terms = terms
        self._folder = folder

    async def admit(
        self,
        tx: Transaction,
        origin: Origin,
        presence: Presence,
        request: Request,
        now: datetime,
        *,
        or_less: bool = False,
    ) -> Promise:
        """Return what a request is accepted under, or raise Refusal with the first limit it hits.

        With `or_less` a request is shortened to what the member may have at a time.

        No other place knows a limit that depends on more than the request itself. Their order is:
        the disk and the memory of this machine; the operator's list of servers, and the length of
        a piece there; the server's own rules (who is blocked, in which channels music can be
        requested, which words are blocked); the member's tier (length, takes, model); how many
        pieces wait, of the member, in all and of the server; how many of the member's could not be
        posted today; and what is left of the server's day, and of the member's with their grants.
        """
        guild, user = origin.guild_id, origin.user_id
        day, midnight = days.day(now), days.day_began(now)
        rules = await self._rules(tx, origin, presence, now)
        waiting, all_waiting = await backlog.of(tx, guild, user), await backlog.count(tx, guild)
        unposted = await ledger.unposted(tx, user, midnight, now)
        account = await self._account(tx, guild, user, rules, day, now)
        if or_less:  # before any limit sees it, so that its default length never hits one
            request = replace(
                request, seconds=rules.held.up_to(request.seconds, rules.limits.max_seconds)
            )
        _check_disk(self._folder)
        await _check_memory(tx, request, now)
        rules.check(origin, presence, request)
        quota.check(rules.held, request, rules.offers)
        quota.check_waiting(rules.held, waiting, rules.offers)
        quota.check_studio(rules.limits, *all_waiting)
        quota.check_unposted(unposted, now)
        price = quota.cost(request)
        try:
            draws = account.pay(rules, request, price, now)
        except UsedUp as used_up:
            # For members who have used up their day, not those given none or with some left.
            idle = rules.limits.idle_lane and rules.held.per_day and not used_up.left
            if not idle or any(all_waiting):
                raise
            return Promise(request=request, membership=rules.held, day=day, idle=True)
        return Promise(request=request, membership=rules.held, day=day, price=price, draws=draws)

    async def admit_again(
        self, tx: Transaction, job: Job, price: int, presence: Presence, now: datetime
    ) -> Promise:
        """Return the terms on which music is charged again; raise Refusal if it costs too much.

        `price` is in seconds of music. Only those limits apply that say who may have music where,
        and those of the day, in the order of `admit`.
        """
        origin, request, day = job.origin, job.request, days.day(now)
        rules = await self._rules(tx, origin, presence, now)
        account = await self._account(tx, origin.guild_id, origin.user_id, rules, day, now)
        rules.check(origin, presence, request)
        if job.idle:
            return Promise(request=request, membership=rules.held, day=day, idle=True)
        draws = account.pay(rules, request, price, now)
        return Promise(request=request, membership=rules.held, day=day, price=price, draws=draws)

    async def _rules(
        self, tx: Transaction, origin: Origin, presence: Presence, now: datetime
    ) -> "_Rules":
        guild, terms = origin.guild_id, self._terms
        limits = await servers.limits(tx, guild, terms.limits)
        channels, words = await servers.channels(tx, guild), await servers.words(tx, guild)
        set_for = await members.find(tx, guild, origin.user_id, now)
        known = await server_tiers.of(tx, guild, terms.tiers)
        roles = await server_tiers.roles(tx, guild)
        return _Rules(
            limits=limits,
            channels=channels,
            words=words,
            block=set_for.block,
            held=terms.membership(known, roles, set_for, presence),
            offers=terms.offers(guild, known, roles),
        )

    async def _account(
        self, tx: Transaction, guild: int, user: int, rules: "_Rules", day: str, now: datetime
    ) -> "_Account":
        limited = rules.limits.server_seconds_per_day is not None
        return _Account(
            used_here=await ledger.used_by_server(tx, guild, day) if limited else 0,
            used=await ledger.used(tx, guild, user, day, everywhere=rules.held.everywhere),
            grants=await grants.open_ones(tx, guild, user, now),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What the operator and a server's admins say of a member who asks, read once."""

    limits: Limits
    channels: Sequence[int]
    words: Sequence[str]
    block: Block | None
    held: Membership
    offers: Sequence[Offer]

    def check(self, origin: Origin, presence: Presence, request: Request) -> None:
        """Raise Refusal for a server, a member, a place or words that are not allowed."""
        if not self.limits.allows(origin.guild_id):
            raise Refusal(
                NOT_ON_THE_LIST,
                RefusalKind.SERVER,
                ask=ASK_THE_OPERATOR,
                operate="`/studio server` allows it.",
            )
        if request.length > self.limits.max_seconds:
            raise Refusal(
                f"You asked for {request.length:g} s; the operator allows this server up to "
                f"{self.limits.max_seconds} s per piece.",
                RefusalKind.SERVER,
                operate=quota.BY_THE_OWNER,
            )
        if self.block:
            raise Refusal(
                quota.blocked(self.block), RefusalKind.RULES, change="`/member unblock` ends that."
            )
        if self.channels and not presence.places.intersection(self.channels):
            named = ", ".join(f"<#{channel}>" for channel in self.channels[:20])
            raise Refusal(
                f"Please request music in {named}.",
                RefusalKind.RULES,
                change="`/channel allow` adds this channel.",
            )
        for contain, words in request.written.items():
            if wordfilter.refuses(self.words, words):
                raise Refusal(
                    f"Your {contain} a word that this server blocks. Rephrase it; nothing was "
                    "charged.",
                    RefusalKind.RULES,
                    change="`/words list` shows them, `/words remove` unblocks one.",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """What was used of the day, by the server and of what the member's tier gives; and grants."""

    used_here: int
    used: int
    grants: Sequence[Grant]

    def pay(
        self, rules: _Rules, request: Request, price: int, now: datetime
    ) -> tuple[tuple[int, int], ...]:
        """Return what each grant pays of a price, by id; raise Refusal if it is too much."""
        quota.check_server_day(rules.limits, price, self.used_here, now)
        return quota.pay(rules.held, request, price, self.used, self.grants, rules.offers, now)


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        log.error("%s: only %d MB free, so requests are refused", folder, free / 1e6)
        raise Refusal(
            "The studio's disk is nearly full. Whoever runs this bot must free some space; "
            "nothing was queued or charged.",
            RefusalKind.MACHINE,
        )


async def _check_memory(tx: Transaction, request: Request, now: datetime) -> None:
    """Raise Refusal for what fits no engine, by its own count or since it recently did not."""
    model, there = request.model, await engines.every(tx)
    if there and all(model in engine.unfit for engine in there):
        raise Refusal(
            f"The model {model} needs more memory than this machine has. Choose a smaller one; "
            "nothing was queued or charged.",
            RefusalKind.MACHINE,
        )
    short = [_lately_short(engine.speeds.get(model), request, now) for engine in there]
    known = max(filter(None, short), key=attrgetter("fits"), default=None)
    if known is None or not all(short):
        return
    fits = f"Up to {known.fits:g} s fits" if known.fits else "Request a shorter piece"
    raise Refusal(
        f"This machine recently ran out of memory for {known.too_long:g} s with {model}. {fits}; "
        "nothing was queued or charged.",
        RefusalKind.MACHINE,
    )


def _lately_short(known: Speed | None, request: Request, now: datetime) -> Speed | None:
    """Return what is known of a model whose engine recently lacked the memory for a request."""
    if known is None or known.too_long is None or known.too_long_at is None:
        return None
    ago = abs(now.timestamp() - known.too_long_at)  # the clock may have been set back
    lately = ago < MEMORY_LIMITS_REMEMBERED.total_seconds()
    return known if lately and request.length >= known.too_long else None
