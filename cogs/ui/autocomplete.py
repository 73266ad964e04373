"""What is offered while a member types an option, within what Discord shows."""

from collections.abc import Iterable
from typing import TypeVar

from discord import app_commands

from bot.client import Interaction
from bot.rules.markup import clean, isolate

T = TypeVar("T", str, int)

LONGEST_CHOICE = 100
"""Characters of a name, and of a value that is a text."""

MOST_CHOICES = 25
"""Choices that Discord shows, of an autocomplete as in one select."""


async def piece_numbers(interaction: Interaction, typed: str) -> list[app_commands.Choice[int]]:
    """Offer the member's pieces by number, title and words; the one with that very number first."""
    words = clean(str(typed))
    found = await interaction.client.services.pieces.listed(
        interaction.guild_id or 0, interaction.user.id, MOST_CHOICES, words
    )
    found.sort(key=lambda job: str(job.id) != words.lstrip("#"))
    return offered((f"#{job.id} {job.title or job.request.prompt}", job.id) for job in found)


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
