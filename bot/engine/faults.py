"""What goes wrong in the child, apart from its main module, of which Python would load a second."""

from bot.engine.messages import Fault


class LoadError(Exception):
    """The engine cannot start; its text is a sentence for the operator."""


class RenderError(Exception):
    """One render failed; its text is a sentence for the member."""

    kind = Fault.JOB


class OutOfMemory(RenderError):
    """One render needs more memory than there is now."""

    kind = Fault.MEMORY


class NotFinite(RenderError):
    """What a render computed holds NaN or infinity, and so no music."""

    kind = Fault.NUMBERS


class Unsaved(RenderError):
    """A file of a render cannot be written."""

    kind = Fault.DISK
