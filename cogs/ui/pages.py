"""Long lists, page by page, with buttons that outlive a restart."""

import re
from collections.abc import Sequence
from typing import Any, Self, TypeVar

import discord
from discord import ui

from bot.client import Interaction
from bot.errors import Refusal
from bot.rules.markup import some
from cogs.ui import permissions
from cogs.ui.buttons import PressableItem
from cogs.ui.embeds import LONGEST_DESCRIPTION, VIOLET

T = TypeVar("T")

LINES_PER_PAGE = 10
LONGEST_LINE = 390
"""Characters of a line, so that a page of them fits."""

PROMPT_SHOWN = 60
"""Characters of a prompt in a list."""


class PageButton(
    PressableItem,
    ui.DynamicItem[ui.Button[Any]],
    template=r"page:(?P<name>[a-z]+):(?P<subject>[0-9]{1,20}):(?P<page>[0-9]{1,6})",
):
    """Turns to a page of a list."""

    def __init__(self, name: str, subject: int, page: int, label: str = "") -> None:
        place = f"page:{name}:{subject}:{page}"
        super().__init__(ui.Button(label=label or "Page", custom_id=place))
        self.place = (name, subject, page)

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
        /,
    ) -> Self:
        """Rebuild the button that was clicked."""
        return cls(match["name"], int(match["subject"]), int(match["page"]))

    async def press(self, interaction: Interaction) -> None:
        """Show that page in the same message."""
        await turn(interaction, *self.place)


async def show(interaction: Interaction, name: str, subject: int = 0) -> None:
    """Answer with the first page of a list, for the caller alone."""
    embed, view = await _page(interaction, name, subject, 0)
    await interaction.response.send_message(embed=embed, view=view, ephemeral=True)


async def turn(interaction: Interaction, name: str, subject: int = 0, page: int = 0) -> None:
    """Show a page in the message that was clicked."""
    embed, view = await _page(interaction, name, subject, page)
    await interaction.response.edit_message(embed=embed, view=view)


def number(interaction: Interaction) -> int:
    """Return the number of the piece that was chosen; raise Refusal for anything else."""
    data: Any = interaction.data or {}
    chosen = next(iter(data.get("values", [])), "")
    if not re.fullmatch("[0-9]{1,15}", str(chosen), re.ASCII):
        raise Refusal("That is not a piece number.")
    return int(chosen)


def cut(found: Sequence[T], page: int, size: int = LINES_PER_PAGE) -> tuple[Sequence[T], bool]:
    """Return a page of items that are all in memory, and whether there are more."""
    start = page * size
    return found[start : start + size], len(found) > start + size


def card(title: str, lines: Sequence[str]) -> discord.Embed:
    """Show a page of lines."""
    text = some(lines, LONGEST_DESCRIPTION, "\n") or "Nothing here."
    return discord.Embed(title=title, description=text, colour=VIOLET)


async def _page(
    interaction: Interaction, name: str, subject: int, page: int
) -> tuple[discord.Embed, ui.View]:
    listing = interaction.client.listings.get(name)
    if listing is None or (subject and not permissions.snowflake(str(subject))):
        raise Refusal("That list does not exist.")
    embed, more = await listing.lines(interaction, subject, page)
    view = ui.View(timeout=None)
    if page:
        view.add_item(PageButton(name, subject, page - 1, "Newer" if listing.by_age else "Back"))
    if more:
        view.add_item(PageButton(name, subject, page + 1, "Older" if listing.by_age else "More"))
    for item in await listing.items(interaction) if listing.items else ():
        view.add_item(item)
    if page or more:
        told = filter(None, (embed.footer.text, f"Page {page + 1}"))
        embed.set_footer(text=" · ".join(told))
    return embed, view
