"""Posts what members are owed: the music, or why there is none."""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import discord
from discord.ext import commands

from bot.archive import Format
from bot.client import Fantasia
from bot.errors import Refusal
from bot.models import Job, Owed, PostKind, Route
from bot.studio import Studio
from cogs import cards
from cogs.board import Board, channel, definite
from cogs.buttons import stop_view
from cogs.keeping import removed, result_view

log = logging.getLogger(__name__)

LADDER = (Format.WAV, Format.FLAC, Format.OGG)
"""What is tried in turn where the files are larger than Discord takes."""

TOO_LARGE = 40005
"""Discord's code for a request that is too large."""


class Delivery(commands.Cog):
    """One look at a time, whatever rang for it: the event says look, the rows say what."""

    def __init__(self, bot: Fantasia, studio: Studio, board: Board) -> None:
        self._bot = bot
        self._studio = studio
        self._archive = bot.archive
        self._board = board
        self._looking = asyncio.Lock()
        self._again = False

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Post what is owed, then bring the status messages up to date."""
        self._again = True
        if self._looking.locked():
            return
        async with self._looking:
            while self._again:
                self._again = False
                for owed in await self._studio.owed():
                    await self._deliver(owed)
                for job, preview in await self._studio.previews_to_replace():
                    await removed(self._bot, job, preview)
                    await self._studio.replaced(preview)
                await self._board.refresh()

    async def _deliver(self, owed: Owed) -> None:
        try:
            message = await self._send(owed)
        except Exception as error:
            log.warning("job %d: not delivered by %s: %s", owed.job.id, owed.post.route, error)
            if definite(error) or isinstance(error, FileNotFoundError | Refusal):
                await self._studio.refused(owed)
            else:
                await self._studio.postponed(owed)
        else:
            await self._studio.delivered(owed, message)

    async def _send(self, owed: Owed) -> int:
        if owed.post.kind is PostKind.FAILURE:
            edited = await self._board.tell_failure(owed.job)
            return edited or await self._post(owed, cards.failed(owed.job), [])
        if owed.post.kind is PostKind.PREVIEW:
            return await self._preview(owed)
        for kind in LADDER:
            try:
                return await self._music(owed, kind)
            except discord.HTTPException as error:
                if not _too_large(error) or kind is LADDER[-1]:
                    raise
                log.info("job %d: too large for Discord as %s", owed.job.id, kind)
        raise AssertionError("the last step of the ladder returns or raises")

    async def _preview(self, owed: Owed) -> int:
        with contextlib.ExitStack() as opened:
            files = [
                self._file(self._studio.path(take.preview), cards.file_name(owed.job, take), opened)
                for take in owed.takes
                if take.preview
            ]
            stop = stop_view(owed.job.id)
            return await self._post(owed, cards.preview(owed.job), files, view=stop)

    async def _music(self, owed: Owed, kind: Format) -> int:
        """Post all takes in a format."""
        async with contextlib.AsyncExitStack() as opened:
            files = []
            for take in owed.takes:
                if take.audio:
                    copy = self._archive.copy(owed.job, take, kind)
                    path = await opened.enter_async_context(copy)
                    name = cards.file_name(owed.job, take, kind)
                    files.append(self._file(path, name, opened))
            embed = cards.result(owed.job, owed.takes, self._picture(owed, files, opened), kind)
            # A direct message belongs to no server, so nothing could be asked for there.
            direct = owed.post.route is Route.DIRECT
            more = {} if direct else {"view": result_view(owed.job.id)}
            return await self._post(owed, embed, files, **more)

    def _file(
        self, path: Path, name: str, opened: contextlib.ExitStack | contextlib.AsyncExitStack
    ) -> discord.File:
        file = discord.File(path, name)
        opened.callback(file.close)
        return file

    def _picture(
        self, owed: Owed, files: list[discord.File], opened: contextlib.AsyncExitStack
    ) -> str | None:
        """Add the picture to the files, if there is one, and return its name."""
        path, name = owed.job.picture, f"{owed.job.request.slug}-{owed.job.id}.png"
        if path is None or not self._studio.path(path).exists():
            return None
        files.append(self._file(self._studio.path(path), name, opened))
        return name

    async def _post(
        self,
        owed: Owed,
        embed: discord.Embed,
        files: list[discord.File],
        **more: Any,  # noqa: ANN401
    ) -> int:
        member = discord.Object(owed.job.origin.user_id)
        message: dict[str, Any] = {
            "content": f"<@{member.id}>",
            "embed": embed,
            "files": files,
            "allowed_mentions": discord.AllowedMentions(users=[member]),
            **more,
        }
        if owed.post.route is Route.FOLLOWUP:
            return (await self._webhook(owed.job).send(wait=True, **message)).id
        place: discord.abc.Messageable = channel(self._bot, owed.job)
        if owed.post.route is Route.DIRECT:
            place = await self._bot.create_dm(member)
        return (await place.send(nonce=owed.post.nonce, **message)).id

    def _webhook(self, job: Job) -> discord.Webhook:
        origin = job.origin
        return discord.Webhook.partial(origin.application_id, origin.token, client=self._bot)


def _too_large(error: discord.HTTPException) -> bool:
    return error.status == 413 or error.code == TOO_LARGE


async def setup(bot: Fantasia) -> None:
    """Add the delivery to the bot."""
    await bot.add_cog(Delivery(bot, bot.studio, Board(bot, bot.studio)))
