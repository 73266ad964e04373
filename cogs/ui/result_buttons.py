"""Deleting a piece: the question first, then all that was posted and is kept of it."""

import contextlib

from bot.client import Interaction, answer
from bot.discord_api.errors import UNREACHED
from cogs.ui import embeds, permissions, views
from cogs.ui.buttons import PressableItem
from cogs.ui.places import removed


class DeleteButton(PressableItem, template=views.DELETE.template):
    """Asks its owner, or a member with Manage Server, whether to delete a piece."""

    async def press(self, interaction: Interaction) -> None:
        """Say what is lost."""
        job, charged = await interaction.client.services.pieces.deletable(
            self.number, permissions.viewer(interaction)
        )
        if job.deleted:
            await answer(interaction, f"#{job.id} is deleted already.")
            # What Discord did not let the bot delete then; only its reader can dismiss /piece.
            if interaction.message and not interaction.message.flags.ephemeral:
                with contextlib.suppress(*UNREACHED):
                    await interaction.message.delete()
            return
        used = f" Its {charged} s stay used." if charged else ""
        question = (
            f"Delete {embeds.named(job)} for good? Its music and my messages with it are removed, "
            f"and it can no longer be extended or saved.{used}"
        )
        await answer(interaction, question, view=views.view(views.DELETE_NOW.of(job.id)))


class DeleteNowButton(PressableItem, template=views.DELETE_NOW.template):
    """Deletes the messages and the files."""

    async def press(self, interaction: Interaction) -> None:
        """Delete what was posted and what is kept, and close the question."""
        client, viewer = interaction.client, permissions.viewer(interaction)
        job, posted = await client.services.archive.delete(self.number, viewer)
        said = f"#{job.id} was deleted. Its seconds are not refunded."
        await interaction.response.edit_message(content=said, view=None)
        gone = [await removed(client, job, post) for post in posted]
        if not all(gone):
            await answer(
                interaction,
                "Discord did not let me delete all of its messages. Press **Delete** under what is "
                "left to try again.",
            )
