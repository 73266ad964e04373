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
    """The member must do something else; the text is the reply.

    It ends in whom to `ask`, for those who cannot change what keeps them out; for a manager of the
    server in how to `change` it, and for the bot's owner in how to `operate` it, if it is theirs.
    """

    def __init__(
        self,
        text: str,
        kind: RefusalKind = RefusalKind.REQUEST,
        *,
        ask: str = "",
        change: str = "",
        operate: str = "",
    ) -> None:
        super().__init__(f"{text} {ask}".rstrip())
        self.text = text
        self.kind = kind
        self.ask = ask
        self.change = change
        self.operate = operate

    def told(self, *, manager: bool, owner: bool) -> str:
        """Return what a member reads who manages the server, or owns the bot, or neither."""
        if owner and self.operate:
            return f"{self.text} You run this bot: {self.operate}"
        if manager and self.change:
            return f"{self.text} You manage this server: {self.change}"
        return str(self)


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

    def note(self, text: str) -> None:
        """Note that a request cannot be had by anybody."""
        self._found.append(Refusal(text))

    def add(self, refusal: Refusal) -> None:
        """Note one that is there."""
        self._found.append(refusal)

    def tell(self) -> None:
        """Raise Refusal that says all of them, each in a line of its own, if there are any."""
        if found := self._found:
            raise Refusal(
                "\n".join(dict.fromkeys(refusal.text for refusal in found)),
                found[0].kind,
                ask=" ".join(dict.fromkeys(filter(None, (each.ask for each in found)))),
                change=" ".join(dict.fromkeys(filter(None, (each.change for each in found)))),
                operate=" ".join(dict.fromkeys(filter(None, (each.operate for each in found)))),
            )


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
