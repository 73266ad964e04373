"""How models of one machine share its memory: plain arithmetic on what each needs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The bytes of a model that is on disk: about what its `weights` take, and a take's `slot`.

    A model has at most as many slots as pay, the `most`. Others leave it the `fewest` at least: one
    that would have less is loaded in another's place.
    """

    weights: float
    slot: float
    fewest: int
    most: int

    @property
    def least(self) -> float:
        """The bytes without which it is not loaded beside others."""
        return self.weights + self.fewest * self.slot


def slots(need: Need, free: float, others: Sequence[Need] = ()) -> int:
    """Return how many slots a model has in `free` bytes, at least 1.

    They are shared with others that are to be loaded as well: each has as many, up to its most.
    """
    left = free - need.weights - sum(other.weights for other in others)

    def taken(count: int) -> float:
        return count * need.slot + sum(min(count, other.most) * other.slot for other in others)

    return next((count for count in range(need.most, 1, -1) if taken(count) <= left), 1)


def beside(need: Need, free: float, others: Sequence[Need]) -> list[Need]:
    """Return which others can be loaded beside a model in `free` bytes, the largest first."""
    room, found = free - need.least, []
    for other in sorted(others, key=lambda other: other.least, reverse=True):
        if other.least <= room:
            room -= other.least
            found.append(other)
    return found
