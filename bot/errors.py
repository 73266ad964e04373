"""What can go wrong, sorted by who must act."""


class Refusal(Exception):
    """The member must ask for something else; the text is the reply."""


class JobError(Exception):
    """One job cannot be rendered; the text is told to its member.

    `memory`: it may be, with less beside it. `disk`: the operator must make room. `numbers`: what
    the model computed was not finite.
    """

    def __init__(
        self, text: str, *, memory: bool = False, disk: bool = False, numbers: bool = False
    ) -> None:
        super().__init__(text)
        self.memory = memory
        self.disk = disk
        self.numbers = numbers


class EngineError(Exception):
    """The engine's process died, fell silent or broke the protocol; its jobs may be tried again."""


class StorageError(Exception):
    """The database cannot be written now, and nothing of the transaction was kept."""


class FileError(Exception):
    """A file of the studio's cannot be read or made: the fault is its disk's, nobody else's."""


class OperatorError(Exception):
    """The operator must act; the text is one sentence for the terminal."""
