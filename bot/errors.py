"""What can go wrong, by who must act."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from bot.values import Fault


class RefusalKind(StrEnum):
    """What keeps something out, so that an operator sees what to change."""

    REQUEST = "request"
    """What was asked for cannot be had, by anybody."""
    PERMISSION = "permission"
    """The member, or the bot, lacks a permission in Discord."""
    RULES = "rules"
    """The server's admins: a blocked member or word, another channel."""
    TIER = "tier"
    """More than the member's tier ever gives at a time."""
    DAY = "day"
    """The member's day is used up."""
    SERVER = "server"
    """The operator's limits for a server: whether it may, how long, how much a day."""
    QUEUE = "queue"
    """Too much is waiting already."""
    UNPOSTED = "unposted"
    """Too much of the member's could not be posted today."""
    MACHINE = "machine"
    """The machine's disk or memory."""


class Refusal(Exception):
    """The member must do something else; the text is the reply."""

    def __init__(self, text: str, kind: RefusalKind = RefusalKind.REQUEST) -> None:
        super().__init__(text)
        self.kind = kind


class Problems:
    """Gathers refusals, so that all that is wrong is told at once."""

    def __init__(self) -> None:
        self._found: list[Refusal] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what the block refuses, and go on after it."""
        try:
            yield
        except Refusal as refusal:
            self._found.append(refusal)

    def note(self, text: str, kind: RefusalKind = RefusalKind.REQUEST) -> None:
        """Note one more."""
        self._found.append(Refusal(text, kind))

    def tell(self) -> None:
        """Raise Refusal that says all of them, each in a line of its own, if there are any."""
        if self._found:
            lines = dict.fromkeys(str(refusal) for refusal in self._found)
            raise Refusal("\n".join(lines), self._found[0].kind)


class JobError(Exception):
    """One job cannot be rendered, for this `fault`; its member reads the text."""

    def __init__(self, text: str, fault: Fault = Fault.REQUEST) -> None:
        super().__init__(text)
        self.fault = fault


class EngineError(Exception):
    """The engine's process died, fell silent or broke the protocol; its jobs may be tried again."""


class StorageError(Exception):
    """The database cannot be used now, and nothing of the transaction was kept.

    `busy`: another program is holding it for a moment. `damaged`: a backup must be restored.
    Otherwise it cannot be written: the disk is full or faulty.
    """

    def __init__(self, text: str, *, busy: bool = False, damaged: bool = False) -> None:
        super().__init__(text)
        self.busy = busy
        self.damaged = damaged


class FileError(Exception):
    """A file cannot be read or written: the fault is the disk's, not Discord's or the member's."""


class OperatorError(Exception):
    """The operator must act; the text is one sentence for the terminal."""
