"""The tiers as data, and how they rank."""

import unicodedata
from collections.abc import Iterable

from bot.engine.cards import card
from bot.values import Membership, Tier


def _tier(
    price: str, name: str, sizes: tuple[int, int, int, int], models: str, weight: int
) -> Tier:
    longest, takes, per_day, waiting = sizes
    return Tier(
        key=name.lower(),
        name=name,
        price=price,
        longest=longest,
        takes=takes,
        per_day=per_day,
        waiting=waiting,
        models=frozenset(models.split()),
        weight=weight,
    )


STEREO = "stereo-small stereo-medium stereo-large"
SIZES = f" * small medium large {STEREO} "

DEFAULTS = (
    # price             name       longest, takes, a day, waiting   models                weight
    _tier("free", "Free", (8, 1, 8, 1), "small", 1),
    _tier("$5 / month", "Starter", (15, 1, 120, 2), "small", 2),
    _tier("$10 / month", "Plus", (30, 2, 300, 3), "small medium", 3),
    _tier("$29.99 / month", "Premium", (60, 4, 1200, 5), f"small medium large {STEREO}", 4),
    _tier("$100–400 / month", "Pro", (120, 5, 7200, 10), "*", 6),
)
"""What a server begins with; the first is everybody's."""

FREE = DEFAULTS[0]

LONGEST_MODEL = 50
MOST_PER_DAY = 86_400
MOST_WAITING = 50
MOST_TIERS = 20


def rank(tier: Tier) -> tuple[int, int, int, str]:
    """Order tiers by what they give: the highest has the most music a day."""
    return (tier.per_day, tier.longest, tier.takes, tier.key)


def weight(per_day: int) -> int:
    """Return the queue weight of a tier that a server adds: its neighbour's below, by default."""
    return max(tier.weight for tier in DEFAULTS if tier.per_day <= max(per_day, FREE.per_day))


def highest(memberships: Iterable[Membership]) -> Membership:
    """Return the membership whose tier ranks highest; of equals, the one that is named first."""
    return max(memberships, key=lambda held: rank(held.tier))


def includes(tier: Tier, model: str) -> bool:
    """Whether a tier may use a model."""
    return card(model).stands_in or bool(tier.models & {"*", model})


def ordered(tier: Tier) -> list[str]:
    """Return a tier's models, small ones first."""
    order = {name: SIZES.find(f" {name} ") for name in tier.models}
    return sorted(tier.models, key=lambda name: (order[name] < 0, order[name], name))


def key(name: str) -> str:
    """Return what a tier's name is recognised by."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
