"""What goes wrong in the child, apart from its main module, of which Python would load a second."""


class LoadError(Exception):
    """The engine cannot start; its text is a sentence for the operator."""


class RenderError(Exception):
    """One render failed; its text is a sentence for the member."""
