"""Tells members what became of their jobs: posts what is owed, keeps the status messages true."""

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any

import discord
from discord.ext import commands

from bot.client import Fantasia
from bot.models import Job, Owed, PostKind, Route, Status
from bot.studio import Studio
from cogs import cards
from cogs.buttons import cancel_view

log = logging.getLogger(__name__)

EDITED_EVERY = {Status.QUEUED: timedelta(seconds=30), Status.RUNNING: timedelta(seconds=4)}

EDITABLE_FOR = timedelta(minutes=55)
"""How long a status message is edited freely; Discord limits edits after an hour (30046)."""


class Delivery(commands.Cog):
    """One look at a time, whatever rang for it: the event says look, the rows say what."""

    def __init__(self, bot: Fantasia, studio: Studio) -> None:
        self._bot = bot
        self._studio = studio
        self._looking = asyncio.Lock()
        self._edited: dict[int, tuple[datetime, discord.Embed]] = {}

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Post what is owed, then bring the status messages up to date."""
        if self._looking.locked():
            return
        async with self._looking:
            for owed in await self._studio.owed():
                await self._deliver(owed)
            for job in await self._studio.to_show():
                await self._show(job)

    async def _deliver(self, owed: Owed) -> None:
        try:
            message = await self._send(owed)
        except (discord.HTTPException, FileNotFoundError) as error:
            await (self._studio.refused if _definite(error) else self._studio.postponed)(owed)
        except Exception:
            log.warning("job %d: no clear answer from Discord", owed.job.id, exc_info=True)
            await self._studio.postponed(owed)
        else:
            await self._studio.delivered(owed, message)

    async def _send(self, owed: Owed) -> int:
        if owed.post.kind is PostKind.FAILURE:
            edited = await self._edit_failure(owed.job)
            return edited or await self._post(owed, cards.failed(owed.job), [])
        embed = cards.result(owed.job, owed.takes)
        with contextlib.ExitStack() as opened:
            files = []
            for take in owed.takes:
                if take.audio:
                    name = cards.file_name(owed.job, take)
                    files.append(discord.File(self._studio.path(take.audio), name))
                    opened.callback(files[-1].close)
            return await self._post(owed, embed, files)

    async def _edit_failure(self, job: Job) -> int | None:
        if job.status_message_id is None or self._old(job):
            return None
        with contextlib.suppress(discord.HTTPException):
            await self._status_message(job).edit(embed=cards.failed(job), view=None)
            await self._studio.status_message(job, job.status_message_id, Status.FAILED)
            return job.status_message_id
        return None

    async def _post(self, owed: Owed, embed: discord.Embed, files: list[discord.File]) -> int:
        member = discord.Object(owed.job.origin.user_id)
        message: dict[str, Any] = {
            "content": f"<@{member.id}>",
            "embed": embed,
            "files": files,
            "allowed_mentions": discord.AllowedMentions(users=[member]),
        }
        if owed.post.route is Route.FOLLOWUP:
            return (await self._webhook(owed.job).send(wait=True, **message)).id
        channel: discord.abc.Messageable = self._channel(owed.job)
        if owed.post.route is Route.DIRECT:
            channel = await self._bot.create_dm(member)
        return (await channel.send(nonce=owed.post.nonce, **message)).id

    async def _show(self, job: Job) -> None:
        if job.status_message_id is None or not (embed := await self._due(job)):
            return
        waits = job.status in EDITED_EVERY
        try:
            await self._status_message(job).edit(
                embed=embed, view=cancel_view(job.id) if waits else None
            )
        except discord.NotFound:
            await self._studio.status_message(job, None, job.status)
        except Exception as error:
            log.info("job %d: its status message was not edited: %s", job.id, error)
            if isinstance(error, discord.HTTPException) and _definite(error):
                await self._studio.status_message(job, job.status_message_id, job.status)
        else:
            await self._studio.status_message(job, job.status_message_id, job.status)
        self._edited[job.id] = (self._studio.now(), embed)
        if not waits:
            del self._edited[job.id]

    async def _due(self, job: Job) -> discord.Embed | None:
        pause = EDITED_EVERY.get(job.status)
        if pause is None:
            return await self._last_card(job)
        at, last = self._edited.get(job.id, (job.created_at, None))
        if self._old(job) or (job.shown is job.status and self._studio.now() < at + pause):
            return None
        standing = await self._studio.standing(job)
        embed = (
            cards.waiting(standing) if job.status is Status.QUEUED else cards.rendering(standing)
        )
        return None if embed == last else embed

    async def _last_card(self, job: Job) -> discord.Embed:
        if job.status is not Status.DELIVERED:
            return cards.WITHOUT_STANDING[job.status](job)
        post = await self._studio.result(job)
        if post is None or post.route is Route.DIRECT:
            return cards.done(job, None)
        return cards.done(job, self._link(job, post.message_id))

    def _link(self, job: Job, message: int | None) -> str:
        origin = job.origin
        return f"https://discord.com/channels/{origin.guild_id}/{origin.channel_id}/{message}"

    def _channel(self, job: Job) -> discord.PartialMessageable:
        origin = job.origin
        return self._bot.get_partial_messageable(origin.channel_id, guild_id=origin.guild_id)

    def _webhook(self, job: Job) -> discord.Webhook:
        origin = job.origin
        return discord.Webhook.partial(origin.application_id, origin.token, client=self._bot)

    def _status_message(self, job: Job) -> discord.PartialMessage:
        return self._channel(job).get_partial_message(job.status_message_id or 0)

    def _old(self, job: Job) -> bool:
        return self._studio.now() > job.created_at + EDITABLE_FOR


def _definite(error: Exception) -> bool:
    """Whether the same send would be refused again: not for a limit, nor for the bot's token."""
    if isinstance(error, discord.HTTPException):
        return 400 <= error.status < 500 and error.status not in (401, 408, 429)
    return True


async def setup(bot: Fantasia) -> None:
    """Add the delivery to the bot."""
    await bot.add_cog(Delivery(bot, bot.studio))
