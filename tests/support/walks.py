"""The way that a call takes through our own rooms, as the interpreter sees it."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from tests.support.places import ROOT

LEAVES = frozenset({"bot.tables.database", "bot.values", "bot.errors"})
"""What every room uses at any time: the connection, the values that travel, and refusals."""


class Call(NamedTuple):
    """A call from one of our modules, or from a library, into another of ours."""

    module: str
    function: str
    task: object
    """The task of asyncio's that made it: others run while it waits."""

    def __str__(self) -> str:
        return f"{self.module}:{self.function}"


@dataclass(frozen=True)
class Walk:
    """The calls of one task, in their order."""

    calls: Sequence[Call]

    @property
    def rooms(self) -> list[str]:
        """The modules in the order in which they were entered, without the leaves.

        Calls into one that follow each other are one stay.
        """
        entered = (call.module for call in self.calls if call.module not in LEAVES)
        return [module for module, _ in groupby(entered)]

    @property
    def entered_twice(self) -> list[str]:
        """The modules that were entered once more after they were left for another one."""
        return sorted({module for module in self.rooms if self.rooms.count(module) > 1})

    def __str__(self) -> str:
        return "\n".join(["", *map(str, self.calls)])


class Recording:
    """All calls from module to module within a block."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def walk(self, first: str, last: str) -> Walk:
        """Return what a task called from one call (module:function) to another, both included."""
        start = next(i for i, call in enumerate(self.calls) if str(call) == first)
        task = self.calls[start].task
        calls = [call for call in self.calls[start:] if call.task is task]
        end = next(i for i, call in enumerate(calls) if str(call) == last)
        return Walk(calls[: end + 1])


@contextmanager
def recorded() -> Iterator[Recording]:
    """Record the calls that this thread makes within the block.

    A coroutine is called once, however often it goes on after it waited. What a module calls of its
    own leads nowhere.
    """
    recording, known = Recording(), dict[int, FrameType]()

    def see(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or known.get(id(frame)) is frame:
            return
        module = _ours(frame)
        if module is None:
            return
        known[id(frame)] = frame  # kept, so that no other frame gets its id
        if frame.f_back is None or _ours(frame.f_back) != module:
            recording.calls.append(Call(module, frame.f_code.co_qualname, _task()))

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        yield recording
    finally:
        sys.setprofile(before)


def _ours(frame: FrameType) -> str | None:
    """Return the name of the module of ours that a frame is in."""
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(ROOT):
        return None
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name if name.startswith(("bot.", "cogs.")) else None


def _task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
