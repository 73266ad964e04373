"""Processes of the tests: started, and what becomes of them as Linux tells it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def program(command: Sequence[str | Path], **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program that ends with the block, however the block ends."""
    with subprocess.Popen(command, text=True, **pipes) as running:
        try:
            yield running
        finally:
            running.kill()


def unprivileged() -> list[str]:
    """Return what to put before a command so that it can do no more than any user."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root can do all, and setpriv is not installed here")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


class Child(int):
    """A process' number, and when it started: sooner or later another process has that number."""

    def __init__(self, process: int | str) -> None:
        super().__init__()
        self.started = _started(int(process))


SHARED: set[int] = set()
"""Processes that all tests of this one may use: no test ends them, or counts them as its own."""


def children(process: int) -> list[int]:
    """Return the numbers of a process' children, but for those that are shared."""
    found: list[int] = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            found += [Child(number) for number in children.read_text().split()]
    return [child for child in found if child not in SHARED]


def alive(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    started = _started(process)
    return started is not None and started == getattr(process, "started", started)


def _started(process: int) -> str | None:
    """Return when a process started, in ticks since the computer did, None once it ended."""
    try:
        told = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second: it ended while being read
        return None
    state, *others = told.rpartition(") ")[2].split()
    return None if state == "Z" else others[18]


def environment_of(process: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    given = Path(f"/proc/{process}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in given if line)
