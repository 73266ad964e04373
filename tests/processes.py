"""What becomes of processes, as Linux tells it."""

from contextlib import suppress
from pathlib import Path


def children(process: int) -> list[int]:
    """Return the numbers of a process' children."""
    found: list[int] = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            found += map(int, children.read_text().split())
    return found


def alive(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second: it ended while being read
        return False
