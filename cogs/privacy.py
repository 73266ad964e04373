"""/forget me: erasing what is kept about somebody, and the bot's own messages about it."""

import asyncio
import contextlib
import logging
from typing import Any, NamedTuple

from discord import app_commands, ui
from discord.ext import commands

from bot.client import Fantasia, Interaction, answer
from bot.discord_api.errors import UNREACHED, definite, pause
from bot.errors import Refusal, StorageError
from bot.retention.erasure import Receipt
from bot.rules.wording import counted
from bot.values import Forgotten, Removal
from cogs.ui.buttons import PressableItem
from cogs.ui.views import view

log = logging.getLogger(__name__)

DELETIONS_PER_LOOK = 10
"""Messages deleted per look; Discord allows about one a second in a channel."""

ANSWERED_FOR = 780.0
"""Seconds that the second answer waits for the messages; Discord accepts it for 15 minutes."""

GONE_CODES = {10003, 10008}
"""Discord's codes for an unknown channel and an unknown message."""


class AwaitedReceipt(NamedTuple):
    """A member to be told what became of the messages, once that is known or time is up."""

    interaction: Interaction
    receipt: Receipt
    until: float


class Forgetting(commands.Cog):
    """Deletes the messages about forgotten pieces, and reports how many it could not delete."""

    def __init__(self, bot: Fantasia) -> None:
        self._bot = bot
        self._erasure = bot.services.erasure
        self._waiting: list[AwaitedReceipt] = []
        self._deleting = asyncio.Lock()

    @commands.Cog.listener()
    async def on_forgotten(self, interaction: Interaction, receipt: Receipt) -> None:
        """Remember who is to be told."""
        until = self._bot.services.clock.ticks() + ANSWERED_FOR
        self._waiting.append(AwaitedReceipt(interaction, receipt, until))

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Delete a few messages, and tell those whose last one that was."""
        if self._deleting.locked():
            return
        async with self._deleting:
            for removal in await self._erasure.due(DELETIONS_PER_LOOK):
                await self._delete(removal)
            await self._tell()

    async def _delete(self, removal: Removal) -> None:
        place = self._bot.get_partial_messageable(removal.channel)
        try:
            await place.get_partial_message(removal.message).delete()
        except UNREACHED as error:
            if getattr(error, "code", None) not in GONE_CODES:
                await self._failed(removal, error)
                return
        await self._erasure.done(removal, gone=True)

    async def _failed(self, removal: Removal, error: Exception) -> None:
        if not definite(error):
            await self._erasure.postponed(removal, pause(error))
            return
        await self._erasure.done(removal, gone=False)
        place = f"message {removal.message} in channel {removal.channel}"
        left = await self._erasure.left()
        log.warning("%s cannot be deleted and stays: %s (%d still to go)", place, error, left)

    async def _tell(self) -> None:
        now, waiting = self._bot.services.clock.ticks(), self._waiting
        self._waiting = [each for each in waiting if each.receipt.left and now < each.until]
        for each in waiting:
            if each not in self._waiting:
                with contextlib.suppress(*UNREACHED):
                    await answer(each.interaction, _became(each.receipt))


@app_commands.allowed_contexts(guilds=True, dms=True)
class Forget(app_commands.Group, name="forget", description="Erase what is kept about you"):
    """Erasing, after a confirmation."""

    @app_commands.command()
    async def me(self, interaction: Interaction) -> None:
        """Erase your prompts, lyrics and music, in all servers."""
        button: ui.Button[Any] = ui.Button(
            label="Erase everything", custom_id=f"forget:{interaction.user.id}"
        )
        await answer(
            interaction,
            "This erases your prompts and lyrics, your name, your music and the data to extend it, "
            "in all servers, and cancels your queued pieces. My messages about your pieces are "
            "deleted. Only the amounts you have used are kept. This cannot be undone.",
            view=view(button),
        )


class ForgetButton(PressableItem, template="forget:(?P<number>[0-9]{1,20})"):
    """Erases what is kept of the user whose id it carries, if it is they who press it."""

    async def press(self, interaction: Interaction) -> None:
        if interaction.user.id != self.number:
            raise Refusal("You can only erase your own pieces. Use `/forget me`.")
        await interaction.response.defer()  # thousands of pieces take longer than Discord waits
        # The receipt comes first: a look may delete messages while others are still being found.
        client, receipt = interaction.client, interaction.client.services.erasure.receipt()
        try:
            found = await client.services.archive.forget(self.number, await _direct(interaction))
        except StorageError as error:
            log.error("user %d is not fully forgotten yet: %s", self.number, error)
            raise Refusal(
                "Not everything is erased yet: the studio's database is busy. Press the button "
                "again in a minute."
            ) from None
        receipt.expect(found.messages)
        await interaction.edit_original_response(content=_erased(found), view=None)
        if found.messages:
            client.dispatch("forgotten", interaction, receipt)


async def _direct(interaction: Interaction) -> int | None:
    """Return the channel of the member's direct messages, if Discord gives it."""
    with contextlib.suppress(*UNREACHED):
        return (await interaction.client.create_dm(interaction.user)).id
    return None


def _erased(found: Forgotten) -> str:
    text = f"Erased: {counted(found.pieces, 'piece')}."
    if found.messages:
        text += (
            f" I am now deleting my {counted(len(found.messages), 'message')} about them, and will "
            "report here."
        )
    return text


def _became(receipt: Receipt) -> str:
    text = f"Deleted: {counted(receipt.gone, 'message')} about your pieces."
    if receipt.lost:
        text += (
            f" I could not delete {receipt.lost}, in an archived thread or a channel that I can no "
            "longer see. Whoever manages that server can delete them."
        )
    if receipt.left:
        text += f" Still to go: {receipt.left}."
    return text


async def setup(bot: Fantasia) -> None:
    await bot.add_cog(Forgetting(bot))
    bot.tree.add_command(Forget())
    bot.add_dynamic_items(ForgetButton)
