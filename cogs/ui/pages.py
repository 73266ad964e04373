"""Long lists, page by page, with buttons that outlive a restart."""

from collections.abc import Sequence
from typing import Any, TypeVar

import discord
from discord import ui

from bot.client import Interaction, answer
from bot.errors import Refusal
from bot.rules.markup import some
from cogs.ui import permissions
from cogs.ui.buttons import PressableItem
from cogs.ui.embeds import LONGEST_DESCRIPTION, VIOLET
from cogs.ui.views import view

T = TypeVar("T")

LINES_PER_PAGE = 10
LONGEST_WORDS = 50
"""Characters of what is looked for, so that it fits into the custom id of a button."""

LONGEST_LINE = 390
"""Characters of a line, so that a page of them fits."""


class PageButton(
    PressableItem,
    template="page:(?P<name>[a-z]+):(?P<subject>[0-9]{1,20}):(?P<page>[0-9]{1,6})"
    "(?::(?P<words>.{1,50}))?",
):
    """Turns to a page of a list."""

    async def press(self, interaction: Interaction) -> None:
        name, subject, page, words = self.match.groups()
        await turn(interaction, name, int(subject), int(page), words or "")


async def show(interaction: Interaction, name: str, subject: int = 0, words: str = "") -> None:
    """Answer with the first page of a list, or of what has these `words`, for the caller alone."""
    embed, buttons = await _page(interaction, name, subject, 0, words)
    await answer(interaction, embed=embed, view=buttons)


async def turn(
    interaction: Interaction, name: str, subject: int = 0, page: int = 0, words: str = ""
) -> None:
    """Show a page in the message that was clicked."""
    embed, buttons = await _page(interaction, name, subject, page, words)
    await interaction.response.edit_message(content=None, embed=embed, view=buttons)


def opening(name: str, label: str) -> ui.Button[Any]:
    """Return a button that puts the first page of a list in the place of what it stands under."""
    return ui.Button(custom_id=f"page:{name}:0:0", label=label)


def cut(found: Sequence[T], page: int = 0, size: int = LINES_PER_PAGE) -> tuple[Sequence[T], bool]:
    """Return a page of what was found, and whether there are more after it.

    Of what was read page by page, with one more to see whether there are, it is the first.
    """
    start = page * size
    return found[start : start + size], len(found) > start + size


def card(title: str, lines: Sequence[str], nothing: str = "Nothing here.") -> discord.Embed:
    text = some(lines, LONGEST_DESCRIPTION, "\n") or nothing
    return discord.Embed(title=title, description=text, colour=VIOLET)


async def _page(
    interaction: Interaction, name: str, subject: int, page: int, words: str
) -> tuple[discord.Embed, ui.View]:
    listing = interaction.client.listings.get(name)
    # A custom id may hold what SQLite cannot.
    if listing is None or (subject and not permissions.snowflake(str(subject))):
        raise Refusal("That list does not exist.")
    if words and listing.search:
        embed, more = await listing.search(interaction, subject, page, words)
    else:
        embed, more = await listing.lines(interaction, subject, page)
    start, ending = f"page:{name}:{subject}", f":{words}" if words else ""
    back, forward = ("Newer", "Older") if listing.by_age else ("Back", "More")
    items: list[ui.Item[Any]] = []
    if page:
        items.append(ui.Button(custom_id=f"{start}:{page - 1}{ending}", label=back))
    if more:
        items.append(ui.Button(custom_id=f"{start}:{page + 1}{ending}", label=forward))
    if listing.items:
        items += await listing.items(interaction)
    if page or more:
        told = filter(None, (embed.footer.text, f"Page {page + 1}"))
        embed.set_footer(text=" · ".join(told))
    return embed, view(*items)
