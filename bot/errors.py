"""What can go wrong, sorted by who must act."""

from bot.values import Fault


class Refusal(Exception):
    """The member must ask for something else; the text is the reply."""


class JobError(Exception):
    """One job cannot be rendered, for this `fault`; the text is told to its member."""

    def __init__(self, text: str, fault: Fault = Fault.REQUEST) -> None:
        super().__init__(text)
        self.fault = fault


class EngineError(Exception):
    """The engine's process died, fell silent or broke the protocol; its jobs may be tried again."""


class StorageError(Exception):
    """The database cannot be used now, and nothing of the transaction was kept.

    `busy`: another program holds it, and will let go of it. `damaged`: a backup has to take its
    place. Otherwise it cannot be written: there is no room, or the disk does not let it.
    """

    def __init__(self, text: str, *, busy: bool = False, damaged: bool = False) -> None:
        super().__init__(text)
        self.busy = busy
        self.damaged = damaged


class FileError(Exception):
    """A file of the studio's cannot be read or made: the fault is its disk's, nobody else's."""


class OperatorError(Exception):
    """The operator must act; the text is one sentence for the terminal."""
