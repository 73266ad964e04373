"""What the operator offers and allows; below that, each server's admins decide."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.rules.tiers import DEFAULTS
from bot.values import Limits, MemberSettings, Membership, Offer, Presence, Source, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The tiers that a server begins with, the default first, and the limits of all servers.

    `skus` says which of these tiers, by key, a Discord subscription buys.
    """

    tiers: tuple[Tier, ...] = DEFAULTS
    limits: Limits = field(default_factory=Limits)
    skus: Mapping[int, str] = field(default_factory=dict)

    def membership(
        self,
        known: Sequence[Tier],
        roles: Mapping[int, str],
        set_for: MemberSettings,
        presence: Presence,
    ) -> Membership:
        """Return the highest of a server's tiers that a member has, wherever it comes from.

        `roles` are the keys of tiers by the role that grants them.
        """
        own = {tier.key: tier for tier in known}
        held = [_held(own[self.tiers[0].key], Source.DEFAULT)]
        if given := own.get(set_for.tier or ""):
            held.append(_held(given, Source.GIVEN, until=set_for.tier_until))
        for role, key in roles.items():
            if role in presence.roles and key in own:
                held.append(_held(own[key], Source.ROLE, role=role))
        # What is bought is the operator's tier, whatever the server's admins made of theirs.
        for sku, tier in self._sold():
            if sku in presence.server_skus:
                held.append(_held(tier, Source.SERVER_SUBSCRIPTION))
            if sku in presence.user_skus:
                held.append(_held(tier, Source.USER_SUBSCRIPTION))
        best = _highest(held)
        if set_for.per_day is None:
            return best
        sold = [each for each in held if each.source.sold and each.per_day >= set_for.per_day]
        if sold:  # an admin takes away nothing that the operator sold
            return _highest(sold)
        return replace(best, per_day=set_for.per_day, override=True)

    def offers(self, guild: int, known: Iterable[Tier], roles: Mapping[int, str]) -> list[Offer]:
        """Return a server's tiers and how to get each; everybody's role has the server's id."""
        skus = {tier.key: sku for sku, tier in self._sold()}
        return [
            Offer(
                tier=tier,
                roles=tuple(role for role, key in roles.items() if key == tier.key),
                sku=skus.get(tier.key),
                everybody=roles.get(guild) == tier.key,
            )
            for tier in known
        ]

    def _sold(self) -> Iterator[tuple[int, Tier]]:
        tiers = {tier.key: tier for tier in self.tiers}
        return ((sku, tiers[key]) for sku, key in self.skus.items() if key in tiers)


def _held(
    tier: Tier, source: Source, role: int | None = None, until: datetime | None = None
) -> Membership:
    return Membership(tier=tier, source=source, per_day=tier.per_day, role=role, until=until)


def _highest(held: Iterable[Membership]) -> Membership:
    """Return the membership whose tier ranks highest; of equals, the one that is named first."""
    return max(held, key=lambda each: each.tier.rank)
