"""The tiers as data: what a server begins with, and how they are told apart."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from bot.rules.quota import includes
from bot.values import Tier


def _tier(
    price: str, name: str, sizes: tuple[int, int, int, int, int], models: str, weight: int
) -> Tier:
    longest, takes, per_day, waiting, stars = sizes
    return Tier(
        key=name.lower(),
        name=name,
        price=price,
        longest=longest,
        takes=takes,
        per_day=per_day,
        waiting=waiting,
        stars=stars,
        models=frozenset(models.split()),
        weight=weight,
    )


STEREO = "stereo-small stereo-medium stereo-large"
SIZES = f" * small medium large {STEREO} ace "

DEFAULTS = (
    # price, name, (longest, takes, a day, waiting, stars), models, weight
    _tier("free", "Free", (8, 1, 8, 1, 3), "small", 1),
    _tier("$5 / month", "Starter", (15, 1, 120, 2, 10), "small", 2),
    _tier("$10 / month", "Plus", (30, 2, 300, 3, 25), "small medium ace", 3),
    _tier("$29.99 / month", "Premium", (60, 4, 1200, 5, 50), f"small medium large {STEREO} ace", 4),
    _tier("$100–400 / month", "Pro", (120, 5, 7200, 10, 100), "*", 6),
)
"""The tiers that a server starts with; the first is the default."""

FREE = DEFAULTS[0]


def defaults(models: Sequence[str]) -> tuple[Tier, ...]:
    """Return the tiers that a server starts with where there are these models, the usual one first.

    That is in all of them where Free would include none: else its members could ask for nothing.
    """
    if any(includes(FREE, model) for model in models):
        return DEFAULTS
    return tuple(replace(tier, models=tier.models | {models[0]}) for tier in DEFAULTS)


LONGEST_MODEL = 50
MOST_PER_DAY = 86_400
MOST_WAITING = 50
MOST_STARS = 100
MOST_TIERS = 20


def weight(per_day: int) -> int:
    """Return the queue weight of a tier that a server adds: its neighbour's below, by default."""
    return max(tier.weight for tier in DEFAULTS if tier.per_day <= max(per_day, FREE.per_day))


def ordered(tier: Tier) -> list[str]:
    """Return a tier's models, small ones first."""
    order = {name: SIZES.find(f" {name} ") for name in tier.models}
    return sorted(tier.models, key=lambda name: (order[name] < 0, order[name], name))


def key(name: str) -> str:
    """Return what a tier's name is recognised by."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
