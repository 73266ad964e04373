"""Parameters of commands that are data: what each takes, its default, and what it is for."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from discord import app_commands

CommandCallback = Callable[..., Any]

REQUIRED = inspect.Parameter.empty
"""The default of what must be given."""


def taking(
    known: Mapping[str, tuple[Any, str]], defaults: Mapping[str, Any]
) -> Callable[[CommandCallback], CommandCallback]:
    """Let a command's callback take what has a default here, in its `**` and after its own.

    Of each `known` tells the annotation, and what Discord says of it.
    """

    def taken(callback: CommandCallback) -> CommandCallback:
        # discord.py reads the parameters of a command from its signature.
        signature = inspect.signature(callback)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        more = [_parameter(name, known[name][0], default) for name, default in defaults.items()]
        setattr(callback, "__signature__", signature.replace(parameters=[*own, *more]))  # noqa: B010
        return app_commands.describe(**{name: known[name][1] for name in defaults})(callback)

    return taken


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:  # noqa: ANN401
    held = kind | None if default is None else kind
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=held)
