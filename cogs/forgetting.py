"""/forget me: erasing what is kept of somebody, and the bot's own messages about it."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.client import Fantasia, Interaction
from bot.errors import Refusal
from bot.models import Forgotten, Removal
from bot.verdicts import UNREACHED, definite
from cogs.buttons import OfJob

log = logging.getLogger(__name__)

AT_ONCE = 10
"""Messages that are deleted at a look; Discord takes about one a second in a channel."""

ANSWERED_FOR = timedelta(minutes=13)
"""How long the second answer waits for the messages; Discord takes it for 15 minutes."""

GONE = {10003, 10008}
"""Discord's codes for an unknown channel and an unknown message."""


@dataclass(kw_only=True)
class Asked:
    """A member who waits to be told what became of the messages about their pieces."""

    interaction: Interaction
    until: datetime
    left: set[int]
    gone: int = 0
    lost: int = 0

    def note(self, message: int, *, gone: bool) -> None:
        """Count what became of a message, if it was one of theirs."""
        if message in self.left:
            self.left.discard(message)
            self.gone += gone
            self.lost += not gone


class Forgetting(commands.Cog):
    """Deletes the messages about forgotten pieces, and says which of them it could not."""

    def __init__(self, bot: Fantasia) -> None:
        self._bot = bot
        self._asked: list[Asked] = []
        self._one_at_a_time = asyncio.Lock()

    async def forget(self, interaction: Interaction) -> None:
        """Erase what is kept of a member; answer with what there was and what is still to go."""
        await interaction.response.defer()
        direct = await _direct(interaction)
        async with self._one_at_a_time:
            found = await self._bot.archive.forget(interaction.user.id, direct)
            if found.messages:
                until = self._bot.studio.now() + ANSWERED_FOR
                left = set(found.messages)
                self._asked.append(Asked(interaction=interaction, until=until, left=left))
        await interaction.edit_original_response(content=_erased(found), view=None)

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Delete a few messages, and tell those whose last one that was."""
        if self._one_at_a_time.locked():
            return
        async with self._one_at_a_time:
            for removal in await self._bot.erasure.due(AT_ONCE):
                await self._remove(removal)
            await self._tell()

    async def _remove(self, removal: Removal) -> None:
        place = self._bot.get_partial_messageable(removal.channel)
        try:
            await place.get_partial_message(removal.message).delete()
        except UNREACHED as error:
            code = getattr(error, "code", None)
            if code not in GONE and not definite(error):
                pause = error.retry_after if isinstance(error, discord.RateLimited) else 0.0
                await self._bot.erasure.postponed(removal, pause)
                return
            await self._done(removal, gone=code in GONE)
            if code not in GONE:
                log.warning(
                    "message %d of channel %d cannot be deleted, and stays: %s (%d still to go)",
                    removal.message,
                    removal.channel,
                    error,
                    await self._bot.erasure.left(),
                )
        else:
            await self._done(removal, gone=True)

    async def _done(self, removal: Removal, *, gone: bool) -> None:
        await self._bot.erasure.done(removal)
        for asked in self._asked:
            asked.note(removal.message, gone=gone)

    async def _tell(self) -> None:
        now = self._bot.studio.now()
        told = [asked for asked in self._asked if not asked.left or asked.until <= now]
        self._asked = [asked for asked in self._asked if asked not in told]
        for asked in told:
            with contextlib.suppress(discord.HTTPException):
                await asked.interaction.followup.send(_became(asked), ephemeral=True)


@app_commands.allowed_contexts(guilds=True, dms=True)
class Forget(app_commands.Group, name="forget", description="Erase what is kept of you"):
    """Erasing, after one more question."""

    @app_commands.command()
    async def me(self, interaction: Interaction) -> None:
        """Erase your prompts and your music, in all servers."""
        view = discord.ui.View(timeout=None)
        view.add_item(ForgetButton(interaction.user.id))
        await interaction.response.send_message(
            "This erases your prompts, your name, your music and what it could be extended from, "
            "in all servers, and cancels what waits. My messages about your pieces are deleted. "
            "The numbers of what you used stay. It cannot be undone.",
            view=view,
            ephemeral=True,
        )


class ForgetButton(
    OfJob, discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"forget:(?P<job>[0-9]{1,20})"
):
    """Erases what is kept of the user whose id it carries, if it is they who press it."""

    LABEL, NAME = "Erase everything", "forget"

    async def press(self, interaction: Interaction) -> None:
        """Erase."""
        if interaction.user.id != self.job:
            raise Refusal("Only you yourself may have your pieces erased.")
        forgetting = interaction.client.get_cog("Forgetting")
        assert isinstance(forgetting, Forgetting)
        await forgetting.forget(interaction)


async def _direct(interaction: Interaction) -> int | None:
    """Return the channel of the member's direct messages, if it can be had."""
    with contextlib.suppress(discord.HTTPException):
        return (await interaction.client.create_dm(interaction.user)).id
    return None


def _erased(found: Forgotten) -> str:
    text = f"Erased: {found.pieces} pieces."
    if found.messages:
        text += (
            f" {len(found.messages)} messages of mine about them will be deleted; I tell you here "
            "if some cannot be."
        )
    return text


def _became(asked: Asked) -> str:
    text = f"{asked.gone} messages about your pieces were deleted."
    if asked.lost:
        text += (
            f" {asked.lost} could not be: they stand in an archived thread, or where I may not "
            "look any more. Whoever manages that server can delete them."
        )
    if asked.left:
        text += f" {len(asked.left)} are still to go."
    return text


async def setup(bot: Fantasia) -> None:
    """Add /forget me to the bot."""
    await bot.add_cog(Forgetting(bot))
    bot.tree.add_command(Forget())
    bot.add_dynamic_items(ForgetButton)
