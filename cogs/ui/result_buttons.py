"""The buttons under a result: extend, save, delete."""

import contextlib
import logging
import re
from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot.client import Fantasia, Interaction
from bot.discord_errors import UNREACHED, brief, definite
from bot.errors import Refusal
from bot.retention.copies import Format
from bot.rules.markup import escape
from bot.values import Job, Post, Route, Take
from cogs.ui import embeds, permissions, submit
from cogs.ui.attachments import answer, files
from cogs.ui.buttons import JobItem
from cogs.ui.request_form import AgainButton, EditButton
from cogs.ui.status import channel

log = logging.getLogger(__name__)

EXTENSION_SECONDS = (5, 10, 15, 30)
"""Seconds that a piece may be extended by at a time."""


class ExtendButton(
    JobItem, ui.DynamicItem[ui.Button[Any]], template=r"extend:(?P<job>[0-9]{1,18})"
):
    """Asks which take to extend, and by how much."""

    LABEL, NAME = "Extend", "extend"

    async def press(self, interaction: Interaction) -> None:
        """Show the choices that the member's tier allows."""
        job, takes = await interaction.client.services.studio.takes(
            self.job, permissions.viewer(interaction)
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
        await _ask(interaction, ExtendSelect(job.id, choices), "Extend which take, by how much?")


class SaveButton(JobItem, ui.DynamicItem[ui.Button[Any]], template=r"save:(?P<job>[0-9]{1,18})"):
    """Asks for the format to save in."""

    LABEL, NAME = "Save as", "save"

    async def press(self, interaction: Interaction) -> None:
        """Show the formats of each take."""
        viewer = permissions.viewer(interaction)
        job, takes = await interaction.client.services.studio.takes(self.job, viewer)
        choices = [
            discord.SelectOption(
                label=f"{_named(job, take)}{kind.upper()}", value=f"{take.number}:{kind}"
            )
            for take in takes
            for kind in (Format.FLAC, Format.MP3, Format.OGG)
        ]
        await _ask(interaction, SaveSelect(job.id, choices), "Which format? Saving is free.")


class DeleteButton(
    JobItem, ui.DynamicItem[ui.Button[Any]], template=r"delete:(?P<job>[0-9]{1,18})"
):
    """Deletes the message and the files, for their owner or a member with Manage Server."""

    LABEL, NAME = "Delete", "delete"

    async def press(self, interaction: Interaction) -> None:
        """Delete what was posted and what is kept."""
        client = interaction.client
        job, posted = await client.services.archive.delete(
            self.job, permissions.viewer(interaction)
        )
        await interaction.response.send_message(
            f"#{job.id} was deleted. Its seconds are not refunded.", ephemeral=True
        )
        gone = [await removed(client, job, post) for post in posted]
        if not all(gone):
            await interaction.followup.send(
                "Discord did not let me delete all of its messages. Whatever is still in the "
                "channel can be deleted by hand.",
                ephemeral=True,
            )
        if interaction.message and not interaction.message.flags.ephemeral:
            with contextlib.suppress(*UNREACHED):
                await interaction.message.delete()


class JobSelect(JobItem):
    """A select about one job; mixed into a DynamicItem."""

    def __init__(self, job: int, choices: Sequence[discord.SelectOption] = ()) -> None:
        select: ui.Select[Any] = ui.Select(
            custom_id=f"{self.NAME}:{job}", placeholder=self.LABEL, options=list(choices)
        )
        super(JobItem, self).__init__(select)  # type: ignore[call-arg]  # DynamicItem's
        self.job = job

    def chosen(self, pattern: str) -> tuple[int, str]:
        """Return the take and the choice; raise Refusal for what was not offered."""
        values = self.item.values  # type: ignore[attr-defined]  # DynamicItem's
        match = re.fullmatch(rf"([1-9]):({pattern})", values[0]) if values else None
        if not match:
            raise Refusal("That is not one of the choices.")
        return int(match[1]), match[2]


class ExtendSelect(
    JobSelect, ui.DynamicItem[ui.Select[Any]], template=r"extend-by:(?P<job>[0-9]{1,18})"
):
    """Queues the extension."""

    LABEL, NAME = "Choose a take and the seconds to add", "extend-by"

    async def press(self, interaction: Interaction) -> None:
        """Queue it."""
        take, more = self.chosen("|".join(map(str, EXTENSION_SECONDS)))
        studio, viewer = interaction.client.services.studio, permissions.viewer(interaction)
        await submit.queue(interaction, await studio.extension(self.job, take, int(more), viewer))


class SaveSelect(
    JobSelect, ui.DynamicItem[ui.Select[Any]], template=r"save-as:(?P<job>[0-9]{1,18})"
):
    """Answers with the file."""

    LABEL, NAME = "Choose a take and a format", "save-as"

    async def press(self, interaction: Interaction) -> None:
        """Send it to the member alone."""
        number, kind = self.chosen("flac|mp3|ogg")
        viewer = permissions.viewer(interaction)
        job, takes = await interaction.client.services.studio.takes(self.job, viewer)
        chosen = [take for take in takes if take.number == number]
        async with interaction.client.services.copies.saving(interaction.user.id):
            await interaction.response.defer(ephemeral=True, thinking=True)
            target, most = answer(interaction)
            save = files(interaction.client, target, job, chosen, Format(kind), most=most)
            async with save as found:
                await interaction.followup.send(files=found, ephemeral=True)


async def removed(client: Fantasia, job: Job, post: Post) -> bool:
    """Delete a message that was posted; return False where that may work later."""
    place = channel(client, job)
    try:
        if post.route is Route.DIRECT:
            direct = await client.create_dm(discord.Object(job.origin.user_id))
            place = client.get_partial_messageable(direct.id)
        await place.get_partial_message(post.message_id or 0).delete()
    except UNREACHED as error:
        log.info("job %d: a message was not deleted: %s", job.id, brief(error))
        return definite(error)
    return True


def result_view(job: int) -> ui.View:
    """Return the buttons of a result."""
    view = ui.View(timeout=None)
    for button in (AgainButton, EditButton, ExtendButton, SaveButton, DeleteButton):
        view.add_item(button(job))
    return view


async def _ask(interaction: Interaction, select: ui.Item[Any], question: str) -> None:
    view = ui.View(timeout=None)
    view.add_item(select)
    await interaction.response.send_message(question, view=view, ephemeral=True)


def _named(job: Job, take: Take) -> str:
    return f"Take {take.number}: " if job.request.takes > 1 else ""


def _why_not(job: Job, takes: tuple[Take, ...], tier: str, longest: int) -> str:
    if not any(take.codes for take in takes):
        return f"#{job.id} can no longer be extended: its source data is gone."
    return (
        f"#{job.id} is already {embeds.lengths(takes)} long, and your {escape(tier)} tier allows "
        f"up to {longest} s per piece. `/plans` shows which tiers allow more."
    )
