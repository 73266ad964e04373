"""What becomes of processes, as Linux tells it."""

from pathlib import Path


def children(process: int) -> list[int]:
    """Return the numbers of a process' children."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for found in lists for child in found.read_text().split()]


def alive(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
