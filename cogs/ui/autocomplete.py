"""What is offered while a member types an option, within what Discord shows."""

from collections.abc import Iterable
from typing import TypeVar

from discord import app_commands

from bot.rules.markup import isolate

T = TypeVar("T", str, int)

LONGEST_CHOICE = 100
"""Characters of a name, and of a value that is a text."""

MOST_CHOICES = 25
"""Choices that Discord shows, of an autocomplete as in one select."""


def offered(found: Iterable[tuple[str, T]], typed: str = "") -> list[app_commands.Choice[T]]:
    """Return the first names and values as choices, of those that go with what is `typed`.

    That is a part of the name, or all of the value. A repeated name shows its value too.
    """
    names: dict[str, T] = {}
    for name, value in found:
        # Members type the mark that Discord shows before a channel or a role, or leave it out.
        if typed.casefold().lstrip("#@") not in name.casefold() and typed != str(value):
            continue
        shown = isolate(name, LONGEST_CHOICE)
        if shown in names:
            mark = f" ({value})"
            shown = isolate(name, LONGEST_CHOICE - len(mark)) + mark
        names[shown] = value
    return [app_commands.Choice(name=name, value=value) for name, value in names.items()][
        :MOST_CHOICES
    ]
