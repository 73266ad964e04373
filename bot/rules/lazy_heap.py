"""Numbers by keys that only grow."""

from collections.abc import Callable, Iterable
from heapq import heapify, heapreplace

Key = tuple[float, ...]


class LazyHeap:
    """Numbers by their keys, least first; false if there are none.

    A key that is out of date is too low, and is corrected when it comes to the top.
    """

    def __init__(self, numbers: Iterable[int], key: Callable[[int], Key]) -> None:
        """Hold the numbers; `key` returns what the key of one is now."""
        self._key = key
        self._entries: list[tuple[float, ...]] = [(*key(number), number) for number in numbers]
        heapify(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def least(self) -> int:
        """Return the number with the least key."""
        # Ends: each turn corrects one key that was too low, and nothing lowers one.
        while (now := self._key(number := int(self._entries[0][-1]))) != self._entries[0][:-1]:
            heapreplace(self._entries, (*now, number))
        return number
