"""What can go wrong, sorted by who must act."""


class Refusal(Exception):
    """The member must ask for something else; the text is the reply."""


class JobError(Exception):
    """One job cannot be rendered; the text is told to its member."""


class EngineError(Exception):
    """The engine's process died, fell silent or broke the protocol; its jobs may be tried again."""


class OperatorError(Exception):
    """The operator must act; the text is one sentence for the terminal."""
