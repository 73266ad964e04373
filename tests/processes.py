"""Processes of the tests: started, and what becomes of them as Linux tells it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def program(command: Sequence[str | Path], **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program that ends with the block, however the block ends."""
    with subprocess.Popen(command, text=True, **pipes) as running:
        try:
            yield running
        finally:
            running.kill()


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
