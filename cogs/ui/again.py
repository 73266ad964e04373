"""A piece's like: with a new seed, or edited; on the quota of whoever asks for it."""

from bot.client import Interaction
from cogs.ui import permissions, request_form, song_form, submit, views
from cogs.ui.buttons import PressableItem


class AgainButton(PressableItem, template=views.AGAIN.template):
    """Requests the same piece with a new seed."""

    async def press(self, interaction: Interaction) -> None:
        """Queue the same request, or extend the same take once more."""
        pieces, viewer = interaction.client.services.pieces, permissions.viewer(interaction)
        await submit.queue(interaction, await pieces.again(self.number, viewer))


class EditButton(PressableItem, template=views.EDIT.template):
    """Opens a form with the request filled in: that of a song for a song."""

    async def press(self, interaction: Interaction) -> None:
        pieces, viewer = interaction.client.services.pieces, permissions.viewer(interaction)
        request = await pieces.request(self.number, viewer)
        kind = request_form if request.lyrics is None else song_form
        await kind.edit(interaction, self.number, request)
