"""What the buttons under a status message do, and what all that can be pressed has in common."""

import contextlib
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import discord
from discord import ui

from bot.client import Interaction, require_membership
from bot.errors import StorageError
from bot.values import Status
from cogs.ui import permissions, status_embeds, views


class PressableItem(ui.DynamicItem[Any], template="(?!)"):
    """A component that is known by its custom id, and answers with the reason if it fails.

    Its class states the `template` of its custom ids; this one's matches none.
    """

    def __init__(self, item: ui.Item[Any], match: re.Match[str]) -> None:
        super().__init__(item)
        self.match = match

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003
        item: ui.Item[Any],
        match: re.Match[str],
        /,
    ) -> Self:
        """Take the component as it is in the message that was clicked."""
        return cls(item, match)

    @property
    def number(self) -> int:
        """The number in its custom id: of a job, but for /forget me."""
        return int(self.match["number"])

    @property
    def take(self) -> int:
        """The number of a take in its custom id; 0: all of the job's."""
        return int(self.match["take"] or 0)

    def chosen(self, pattern: str) -> Sequence[str]:
        """Return the groups of what was chosen; raise Refusal for what was not offered."""
        return views.parsed(pattern, next(iter(self.item.values), ""))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Do what it is for, or answer with the reason why not."""
        # The command tree is asked for commands only, so both are done here for components.
        try:
            require_membership(interaction)
            await self.press(interaction)
        except Exception as error:
            await interaction.client.tree.on_error(interaction, error)

    @abstractmethod
    async def press(self, interaction: Interaction) -> None:
        """Do what it is for."""


class ManagersItem(PressableItem, template="(?!)"):
    """Something for managers alone, whoever sees it."""

    async def press(self, interaction: Interaction) -> None:
        permissions.require_manager(interaction)
        if done := await self.change(interaction):  # in the place of a question: it is done once
            await interaction.response.edit_message(content=done, view=None)

    @abstractmethod
    async def change(self, interaction: Interaction) -> str | None:
        """Do what it is for; return what then stands in its message, if that is not shown yet."""


class CancelButton(PressableItem, template=views.CANCEL.template):
    """Cancels the job it was made for, for its owner or a member with Manage Server."""

    async def press(self, interaction: Interaction) -> None:
        services = interaction.client.services
        job = await services.studio.cancel(self.number, permissions.viewer(interaction))
        if job.status is not Status.CANCELLED:
            await interaction.response.edit_message(embed=status_embeds.stopping(job), view=None)
            return
        await interaction.response.edit_message(embed=status_embeds.cancelled(job), view=None)
        with contextlib.suppress(StorageError):  # then the message is edited once more
            await services.outbox.shown(job, job.status_message_id, Status.CANCELLED)


class PostAgainButton(PressableItem, template=views.POST_AGAIN.template):
    """Charges a piece that could not be posted again, and tries to post it."""

    async def press(self, interaction: Interaction) -> None:
        """Owe the piece once more, and say so in the message."""
        job = await interaction.client.services.studio.post_again(
            self.number,
            permissions.presence(interaction),
            permissions.viewer(interaction),
            interaction=interaction.id,
        )
        await interaction.response.edit_message(embed=status_embeds.posting(job), view=None)
        if interaction.message and interaction.message.id != job.status_message_id:
            await interaction.delete_original_response()  # nothing would keep it up to date


class StopButton(PressableItem, template=views.STOP.template):
    """Ends a long piece with what is done so far, for its owner or a member with Manage Server."""

    async def press(self, interaction: Interaction) -> None:
        studio = interaction.client.services.studio
        job = await studio.stop(self.number, permissions.viewer(interaction))
        await interaction.response.edit_message(embed=status_embeds.stopping(job), view=None)
