"""Going on from a piece: which take, by how much, and with which words."""

import re
from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot.client import Interaction, answer
from bot.errors import Refusal
from bot.rules.bounds import LONGEST_PROMPT
from bot.rules.lyrics import LONGEST_LYRICS
from bot.rules.markup import escape
from bot.values import Job, Take
from cogs.ui import embeds, forms, permissions, submit, views
from cogs.ui.buttons import PressableItem
from cogs.ui.forms import LINES, Form
from cogs.ui.views import NUMBER, TAKE

EXTENSION_SECONDS = (5, 10, 15, 30)
"""Seconds that a piece may be extended by at a time, besides all that still fits."""

CHOICE = "([1-9]):([1-9][0-9]{0,3})"
"""A take and the seconds to add, as a choice says it."""


# Of one take, older messages say `extend-take`.
class ExtendButton(PressableItem, template=f"extend(?:-take)?:{NUMBER}(?::{TAKE})?"):
    """Asks which take to extend, unless it is of one, and by how much."""

    async def press(self, interaction: Interaction) -> None:
        job, choices = await _choices(interaction, self.number, self.take)
        select = ui.Select[Any](
            custom_id=f"extend-by:{job.id}", placeholder="How much longer?", options=choices
        )
        words = ui.Button[Any](
            label="With other words", custom_id=f"extend-words:{job.id}:{self.take}"
        )
        question = f"How shall {embeds.named(job)} go on? It costs the seconds that are added."
        await answer(interaction, question, view=views.view(select, words))


class ExtendSelect(PressableItem, template=f"extend-by:{NUMBER}"):
    """Queues the extension, and closes the question."""

    async def press(self, interaction: Interaction) -> None:
        await _extend(interaction, self.number, self.chosen(CHOICE))


class OtherWordsButton(PressableItem, template=f"extend-words:{NUMBER}:{TAKE}"):
    """Opens a short form, to go on with other words."""

    async def press(self, interaction: Interaction) -> None:
        job, choices = await _choices(interaction, self.number, self.take)
        said = {
            "prompt": job.request.prompt,
            "lyrics": job.request.lyrics or "",
            "more": choices[0].value,
        }
        await interaction.response.send_modal(_form(job, choices, said))


def _form(job: Job, choices: list[discord.SelectOption], said: forms.Said) -> ui.Modal:
    """Return the short form, with what was `said`."""
    more = ui.Select[Any](custom_id="more", options=choices)
    fields = [forms.text("How it goes on", "prompt", LONGEST_PROMPT, style=LINES)]
    if job.request.lyrics is not None:
        fields.append(forms.text("Lyrics of all of it", "lyrics", LONGEST_LYRICS, style=LINES))
    fields.append(ui.Label(text="By how much", component=more))
    return forms.modal(f"Extend #{job.id}", f"form:extend:{job.id}", said, *fields)


async def _choices(
    interaction: Interaction, number: int, only: int
) -> tuple[Job, list[discord.SelectOption]]:
    """Return a piece and the extensions that its member's tier allows, or raise Refusal."""
    pieces, viewer = interaction.client.services.pieces, permissions.viewer(interaction)
    job, takes = await pieces.takes(number, viewer)
    await submit.require_model(interaction, job.request.model)
    takes = tuple(take for take in takes if only in (0, take.number))
    held, longest = await submit.allowed(interaction)
    choices = [
        discord.SelectOption(
            label=f"{views.take_name(job, take)}{more} s more",
            description=f"{embeds.length(take.seconds + more)} in all; costs {more} s",
            value=f"{take.number}:{more}",
        )
        for take in takes
        if take.codes and take.seconds
        for more in _fitting(int(longest - take.seconds))  # five at most: Discord shows 25
    ]
    if not choices:
        raise Refusal(_why_not(job, takes, held.tier.name, longest))
    return job, choices


def _fitting(room: int) -> list[int]:
    """Return the seconds that may be added where so many still fit: all of them is one choice."""
    usual = [more for more in EXTENSION_SECONDS if more <= room]
    return usual if room in usual or not 0 < room < EXTENSION_SECONDS[-1] else [*usual, room]


async def _filled(interaction: Interaction, match: re.Match[str], said: forms.Said) -> ui.Modal:
    job, choices = await _choices(interaction, int(match["number"]), 0)
    return _form(job, choices, said)


async def _submitted(interaction: Interaction, match: re.Match[str], said: forms.Said) -> None:
    """Queue the extension that a form asks for, and close the question that it came from."""
    chosen = views.parsed(CHOICE, said.get("more", ""))
    words = {"prompt": said["prompt"], "lyrics": said.get("lyrics")}
    await _extend(interaction, int(match["number"]), chosen, **words)


EXTENSION = Form(f"form:extend:{NUMBER}", _filled, _submitted)
"""The short form."""


async def _extend(
    interaction: Interaction, number: int, chosen: Sequence[str], **words: str | None
) -> None:
    (take, more), viewer = map(int, chosen), permissions.viewer(interaction)
    wish = await interaction.client.services.pieces.extension(number, take, more, viewer, **words)
    await submit.queue_chosen(interaction, wish, f"#{number} goes on")


def _why_not(job: Job, takes: Sequence[Take], tier: str, longest: int) -> str:
    if not any(take.codes for take in takes):
        return f"#{job.id} can no longer be extended: its source data is gone."
    return (
        f"#{job.id} is already {embeds.lengths(takes)} long, and your {escape(tier)} tier allows "
        f"up to {longest} s per piece. `/plans` shows which tiers allow more."
    )
