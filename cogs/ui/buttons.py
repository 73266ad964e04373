"""The buttons under messages; their custom ids carry all they need, so they outlive a restart."""

import contextlib
import re
from abc import abstractmethod
from typing import Any, Self

import discord
from discord import ui

from bot.client import Interaction, require_membership
from bot.errors import StorageError
from bot.values import Fault, Job, Status
from cogs.ui import embeds, permissions


class PressableItem:
    """A component that answers with the reason if its action fails; mixed into a DynamicItem."""

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Do what it is for, or answer with the reason why not."""
        try:
            require_membership(interaction)
            await self.press(interaction)
        except Exception as error:
            await interaction.client.tree.on_error(interaction, error)

    @abstractmethod
    async def press(self, interaction: Interaction) -> None:
        """Do what it is for."""


class JobItem(PressableItem):
    """A button about one job, whose number is in its custom id; mixed into a DynamicItem."""

    LABEL: str
    NAME: str
    """What its custom id begins with."""

    def __init__(self, job: int) -> None:
        button: ui.Button[Any] = ui.Button(label=self.LABEL, custom_id=f"{self.NAME}:{job}")
        super().__init__(button)  # type: ignore[call-arg]  # DynamicItem's
        self.job = job

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],
        /,
    ) -> Self:
        """Rebuild the button that was clicked."""
        return cls(int(match["job"]))


class CancelButton(
    JobItem, ui.DynamicItem[ui.Button[Any]], template=r"cancel:(?P<job>[0-9]{1,18})"
):
    """Cancels the job it was made for, for its owner or a member with Manage Server."""

    LABEL, NAME = "Cancel", "cancel"

    async def press(self, interaction: Interaction) -> None:
        """Cancel, and say so in the message."""
        studio = interaction.client.services.studio
        job = await studio.cancel(self.job, permissions.viewer(interaction))
        if job.status is not Status.CANCELLED:
            await interaction.response.edit_message(embed=embeds.stopping(job), view=None)
            return
        await interaction.response.edit_message(embed=embeds.cancelled(job), view=None)
        with contextlib.suppress(StorageError):  # then the message is edited once more
            await studio.status_message(job, job.status_message_id, Status.CANCELLED)


class PostAgainButton(
    JobItem, ui.DynamicItem[ui.Button[Any]], template=r"post-again:(?P<job>[0-9]{1,18})"
):
    """Charges a piece that could not be posted again, and tries to post it."""

    LABEL, NAME = "Post again", "post-again"

    async def press(self, interaction: Interaction) -> None:
        """Owe the piece once more, and say so in the message."""
        job = await interaction.client.services.studio.post_again(
            self.job,
            permissions.presence(interaction),
            permissions.viewer(interaction),
            interaction=interaction.id,
        )
        await interaction.response.edit_message(embed=embeds.posting(job), view=None)
        if interaction.message and interaction.message.id != job.status_message_id:
            await interaction.delete_original_response()  # nothing would keep it up to date


class StopButton(JobItem, ui.DynamicItem[ui.Button[Any]], template=r"stop:(?P<job>[0-9]{1,18})"):
    """Ends a long piece with what is done so far, for its owner or a member with Manage Server."""

    LABEL, NAME = "Stop here", "stop"

    async def press(self, interaction: Interaction) -> None:
        """Stop, and say so in the message."""
        job = await interaction.client.services.studio.stop(
            self.job, permissions.viewer(interaction)
        )
        await interaction.response.edit_message(embed=embeds.stopping(job), view=None)


def last_view(job: Job) -> ui.View | None:
    """Return the buttons of a job that has ended."""
    if job.status is not Status.UNDELIVERABLE or job.fault is Fault.GONE:
        return None
    view = ui.View(timeout=None)
    view.add_item(PostAgainButton(job.id))
    return view


def stop_view(job: int) -> ui.View:
    """Return a view with one button that stops."""
    view = ui.View(timeout=None)
    view.add_item(StopButton(job))
    return view


def cancel_view(job: int) -> ui.View:
    """Return a view with one Cancel button."""
    view = ui.View(timeout=None)
    view.add_item(CancelButton(job))
    return view


def open_view(job: Job) -> ui.View | None:
    """Return the button that ends an open job: Stop once its preview was posted, else Cancel."""
    if job.stopping:
        return None
    return stop_view(job.id) if job.heard else cancel_view(job.id)
