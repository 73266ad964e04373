"""The card of a piece, with what its member alone may do: star it and name it."""

import re

import discord
from discord import ui

from bot.belongings.shelf import LONGEST_TITLE
from bot.client import Interaction, answer
from cogs.ui import embeds, forms, permissions, submit, views
from cogs.ui.buttons import PressableItem
from cogs.ui.forms import Form, Said


class StarButton(PressableItem, template=views.STAR.template):
    """Keeps a piece at the top of its member's list, and its music."""

    async def press(self, interaction: Interaction) -> None:
        held, _ = await submit.allowed(interaction)
        viewer = permissions.viewer(interaction)
        await interaction.client.services.shelf.star(self.number, viewer, held.tier)
        await _again(interaction, self.number)


class UnstarButton(PressableItem, template=views.UNSTAR.template):
    """Takes the star of a piece."""

    async def press(self, interaction: Interaction) -> None:
        viewer = permissions.viewer(interaction)
        await interaction.client.services.shelf.unstar(self.number, viewer)
        await _again(interaction, self.number)


class NameButton(PressableItem, template=views.NAME.template):
    """Opens a form for a title."""

    async def press(self, interaction: Interaction) -> None:
        viewer = permissions.viewer(interaction)
        job, *_ = await interaction.client.services.pieces.piece(self.number, viewer)
        await forms.show(interaction, f"name:{job.id}", {"title": job.title or ""})


async def _filled(_: Interaction, match: re.Match[str], said: Said) -> ui.Modal:
    """Return the form with a title of a piece."""
    field = forms.text("Title", "title", LONGEST_TITLE, "Empty: no title", required=False)
    return forms.modal(f"Name #{match['number']}", match[0], said, field)


async def _named(interaction: Interaction, match: re.Match[str], said: Said) -> None:
    """Give a piece the title that a form says."""
    number, viewer = int(match["number"]), permissions.viewer(interaction)
    await interaction.client.services.shelf.name(number, viewer, said["title"])
    await _again(interaction, number)


TITLE = Form(f"name:{views.NUMBER}", _filled, _named)
"""The form of a title."""


async def show(interaction: Interaction, number: int) -> None:
    """Answer with all about a piece, for the caller alone; raise Refusal if there is none."""
    embed, view = await _card(interaction, number)
    await answer(interaction, embed=embed, view=view)


async def _card(interaction: Interaction, number: int) -> tuple[discord.Embed, ui.View]:
    """Return all about a piece, and what may be done with it."""
    pieces, viewer = interaction.client.services.pieces, permissions.viewer(interaction)
    job, takes, post = await pieces.piece(number, viewer)
    embed = embeds.piece(job, takes, post, await pieces.parent(job.request))
    return embed, views.piece_view(job, takes, own=job.origin.user_id == viewer.user)


async def _again(interaction: Interaction, number: int) -> None:
    """Show it as it is now in the message that was pressed."""
    embed, view = await _card(interaction, number)
    await interaction.response.edit_message(content=None, embed=embed, view=view)
