"""Counts what holds of what must."""

from benchmarks.report import Row


class Tally:
    """So many of so many hold; all of them must."""

    def __init__(self, name: str, unit: str) -> None:
        self._name, self._unit = name, unit
        self._good: float = 0
        self._all: float = 0
        self._wrong: list[str] = []
        self.notes: list[str] = []

    def add(self, what: str, good: float = 1, of: float = 1) -> None:
        """Count something in."""
        self._good += good
        self._all += of
        if good < of:
            self._wrong.append(what)

    def row(self) -> Row:
        """Return the count, with the first that does not hold."""
        wrong = [f"not so: {', '.join(self._wrong[:3])}"] if self._wrong else []
        return Row(
            name=self._name,
            ours=self._good,
            theirs=self._all,
            unit=self._unit,
            at_least=1,
            note="; ".join([*wrong, *self.notes]),
        )
