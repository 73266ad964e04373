"""`Save as`: a piece as a file in another format, for who asks alone."""

import contextlib
from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot.client import Interaction, answer
from bot.discord_api.errors import UNREACHED
from bot.retention.copies import Format
from bot.values import Job, Take
from cogs.ui import attachments, embeds, permissions, views
from cogs.ui.buttons import PressableItem
from cogs.ui.downloads import files, longest_file
from cogs.ui.views import NUMBER, TAKE

FORMATS = {
    Format.WAV: "uncompressed, for editing",
    Format.FLAC: "lossless, about half of the WAV",
    Format.MP3: "small, plays everywhere",
    Format.OGG: "smallest, sounds as good",
}
"""What each format is for."""

AS_TEXT = "text"
"""The choice of the lyrics of a song."""


# Of one take, older messages say `save-take`.
class SaveButton(PressableItem, template=f"save(?:-take)?:{NUMBER}(?::{TAKE})?"):
    """Asks for the format to save a piece in, or one take of it."""

    async def press(self, interaction: Interaction) -> None:
        viewer = permissions.viewer(interaction)
        job, takes = await interaction.client.services.pieces.takes(self.number, viewer)
        wanted = [take for take in takes if self.take in (0, take.number)]
        question, view = await _question(interaction, job, wanted)
        await answer(interaction, question, view=view)


class SaveSelect(PressableItem, template=f"save-as:{NUMBER}"):
    """Puts the file in the place of the question."""

    async def press(self, interaction: Interaction) -> None:
        chosen, kind = self.chosen(f"([1-9]):({'|'.join((*FORMATS, AS_TEXT))})")
        number, services = int(chosen), interaction.client.services
        job, takes = await services.pieces.takes(self.number, permissions.viewer(interaction))
        if kind == AS_TEXT:
            await _save_lyrics(interaction, job)
            return
        form = Format(kind)
        # A take that is gone meanwhile leaves nothing, which `files` refuses.
        wanted = [take for take in takes if take.number == number]
        name = f"{embeds.named(job)}{f', take {number}' * (job.request.takes > 1)}"
        line = f"{name} · {embeds.lengths(wanted)} · {kind.upper()}: {FORMATS[form]}"
        try:
            async with services.copies.saving(interaction.user.id):
                making = f"Making the {kind.upper()} of {name}."
                await interaction.response.edit_message(content=making, view=None)
                async with files(interaction, job, wanted, form) as found:
                    await interaction.edit_original_response(content=line, attachments=found)
        except Exception:
            if interaction.response.is_done():  # another format may do, so the question is back
                with contextlib.suppress(*UNREACHED):
                    question, view = await _question(interaction, job, takes)
                    await interaction.edit_original_response(content=question, view=view)
            raise


async def _save_lyrics(interaction: Interaction, job: Job) -> None:
    text = attachments.lyrics(job)
    line = f"The lyrics of {embeds.named(job)}"
    await interaction.response.edit_message(content=line, attachments=[text.file], view=None)


async def _question(
    interaction: Interaction, job: Job, takes: Sequence[Take]
) -> tuple[str, ui.View]:
    """Return the question for the format of a piece, and the formats of these takes."""
    choices = [
        discord.SelectOption(
            label=f"{views.take_name(job, take)}{kind.upper()}",
            description=said,
            value=f"{take.number}:{kind}",
        )
        for take in takes
        for kind, said in FORMATS.items()  # 20 at most, and the lyrics: Discord shows 25
        if kind is not Format.WAV or await _fits(interaction, take)
    ]
    if job.request.lyrics:
        said, value = "what is sung, as a text file", f"{takes[0].number}:{AS_TEXT}"
        choices.append(discord.SelectOption(label="Lyrics", description=said, value=value))
    select: ui.Select[Any] = ui.Select(
        custom_id=f"save-as:{job.id}", placeholder="Choose a format", options=choices
    )
    question = f"Save {embeds.named(job)} in which format? Saving is free."
    return question, views.view(select)


async def _fits(interaction: Interaction, take: Take) -> bool:
    size = await interaction.client.services.copies.size(take)
    return size is not None and size <= longest_file(interaction)
