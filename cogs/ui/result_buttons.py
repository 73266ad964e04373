"""The buttons under a result: extend, save, delete."""

import contextlib
from typing import Any

import discord
from discord import ui

from bot.client import Interaction, answer
from bot.discord_api.errors import UNREACHED
from bot.errors import Refusal
from bot.retention.copies import Format
from bot.rules.markup import escape
from bot.values import Job, Take
from cogs.ui import embeds, permissions, submit, views
from cogs.ui.buttons import PressableItem
from cogs.ui.downloads import files
from cogs.ui.places import removed
from cogs.ui.views import NUMBER

EXTENSION_SECONDS = (5, 10, 15, 30)
"""Seconds that a piece may be extended by at a time."""


class ExtendButton(PressableItem, template=views.EXTEND.template):
    """Asks which take to extend, and by how much."""

    async def press(self, interaction: Interaction) -> None:
        """Show the choices that the member's tier allows."""
        job, takes = await interaction.client.services.pieces.takes(
            self.number, permissions.viewer(interaction)
        )
        held, longest = await submit.allowed(interaction)
        choices = [
            discord.SelectOption(
                label=f"{_named(job, take)}{more} s more",
                description=f"{embeds.length(take.seconds + more)} in all; costs {more} s",
                value=f"{take.number}:{more}",
            )
            for take in takes
            if take.codes and take.seconds
            for more in EXTENSION_SECONDS
            if take.seconds + more <= longest
        ]
        if not choices:
            raise Refusal(_why_not(job, takes, held.tier.name, longest))
        question, label = "Extend which take, by how much?", "Choose a take and the seconds to add"
        await _ask(interaction, question, f"extend-by:{job.id}", label, choices)


class SaveButton(PressableItem, template=views.SAVE.template):
    """Asks for the format to save in."""

    async def press(self, interaction: Interaction) -> None:
        """Show the formats of each take."""
        viewer = permissions.viewer(interaction)
        job, takes = await interaction.client.services.pieces.takes(self.number, viewer)
        choices = [
            discord.SelectOption(
                label=f"{_named(job, take)}{kind.upper()}", value=f"{take.number}:{kind}"
            )
            for take in takes
            for kind in (Format.FLAC, Format.MP3, Format.OGG)  # 15 at most: Discord shows 25
        ]
        question, label = "Which format? Saving is free.", "Choose a take and a format"
        await _ask(interaction, question, f"save-as:{job.id}", label, choices)


class DeleteButton(PressableItem, template=views.DELETE.template):
    """Deletes the message and the files, for their owner or a member with Manage Server."""

    async def press(self, interaction: Interaction) -> None:
        """Delete what was posted and what is kept."""
        client = interaction.client
        job, posted = await client.services.archive.delete(
            self.number, permissions.viewer(interaction)
        )
        await answer(interaction, f"#{job.id} was deleted. Its seconds are not refunded.")
        gone = [await removed(client, job, post) for post in posted]
        if not all(gone):
            await answer(
                interaction,
                "Discord did not let me delete all of its messages. Whatever is still in the "
                "channel can be deleted by hand.",
            )
        # It may be a copy by /resend; the card of /piece only its reader can dismiss.
        if interaction.message and not interaction.message.flags.ephemeral:
            with contextlib.suppress(*UNREACHED):
                await interaction.message.delete()


class ExtendSelect(PressableItem, template=f"extend-by:{NUMBER}"):
    """Queues the extension."""

    async def press(self, interaction: Interaction) -> None:
        take, more = map(int, self.chosen(f"([1-9]):({'|'.join(map(str, EXTENSION_SECONDS))})"))
        pieces, viewer = interaction.client.services.pieces, permissions.viewer(interaction)
        await submit.queue(interaction, await pieces.extension(self.number, take, more, viewer))


class SaveSelect(PressableItem, template=f"save-as:{NUMBER}"):
    """Answers with the file."""

    async def press(self, interaction: Interaction) -> None:
        number, kind = self.chosen("([1-9]):(flac|mp3|ogg)")
        viewer = permissions.viewer(interaction)
        job, takes = await interaction.client.services.pieces.takes(self.number, viewer)
        # A take that is gone meanwhile leaves nothing, which `files` refuses.
        chosen = [take for take in takes if take.number == int(number)]
        async with interaction.client.services.copies.saving(interaction.user.id):
            await interaction.response.defer(ephemeral=True, thinking=True)
            async with files(interaction, job, chosen, Format(kind)) as found:
                await interaction.followup.send(files=found, ephemeral=True)


async def _ask(
    interaction: Interaction,
    question: str,
    custom_id: str,
    label: str,
    choices: list[discord.SelectOption],
) -> None:
    select: ui.Select[Any] = ui.Select(custom_id=custom_id, placeholder=label, options=choices)
    await answer(interaction, question, view=views.view(select))


def _named(job: Job, take: Take) -> str:
    return f"Take {take.number}: " if job.request.takes > 1 else ""


def _why_not(job: Job, takes: tuple[Take, ...], tier: str, longest: int) -> str:
    if not any(take.codes for take in takes):
        return f"#{job.id} can no longer be extended: its source data is gone."
    return (
        f"#{job.id} is already {embeds.lengths(takes)} long, and your {escape(tier)} tier allows "
        f"up to {longest} s per piece. `/plans` shows which tiers allow more."
    )
