"""The status messages: one per job, edited with the bot's own token until the job has ended."""

import logging
from datetime import datetime, timedelta

import discord

from bot.client import Fantasia
from bot.models import Job, Post, Route, Standing, Status
from bot.studio import Studio
from cogs import cards
from cogs.buttons import cancel_view, last_view

log = logging.getLogger(__name__)

EDITED_EVERY = {Status.QUEUED: timedelta(seconds=30), Status.RUNNING: timedelta(seconds=4)}

EDITABLE_FOR = timedelta(minutes=55)
"""How long a status message is edited freely; Discord limits edits after an hour (30046)."""


class Board:
    """Keeps the status messages true, and edits them no oftener than members can read."""

    def __init__(self, bot: Fantasia, studio: Studio) -> None:
        self._bot = bot
        self._studio = studio
        self._edited: dict[int, tuple[datetime, discord.Embed]] = {}

    async def refresh(self) -> None:
        """Bring every status message up to date that may be edited now."""
        due = [job for job in await self._studio.to_show() if self._is_due(job)]
        waits = [job for job in due if job.status in EDITED_EVERY]
        standings = {at.job.id: at for at in await self._studio.standings(waits)} if waits else {}
        for job in due:
            embed = await self._card(job, standings.get(job.id))
            if self._edited.get(job.id, (None, None))[1] != embed:
                await self._show(job, embed)

    async def tell_failure(self, job: Job) -> int | None:
        """Say in a job's status message that it failed, and return the message if that worked."""
        if job.status_message_id is None or self._old(job):
            return None
        try:
            await self._message(job).edit(embed=cards.failed(job), view=None)
        except discord.HTTPException:
            return None
        await self._studio.status_message(job, job.status_message_id, Status.FAILED)
        return job.status_message_id

    async def _show(self, job: Job, embed: discord.Embed) -> None:
        waits = job.status in EDITED_EVERY
        self._edited[job.id] = (self._studio.now(), embed)
        if not waits:
            del self._edited[job.id]
        view = cancel_view(job.id) if waits else last_view(job)
        try:
            await self._message(job).edit(embed=embed, view=view)
        except discord.NotFound:
            await self._studio.status_message(job, None, job.status)
        except Exception as error:
            log.info("job %d: its status message was not edited: %s", job.id, error)
            if definite(error):
                await self._studio.status_message(job, job.status_message_id, job.status)
        else:
            await self._studio.status_message(job, job.status_message_id, job.status)

    def _is_due(self, job: Job) -> bool:
        pause = EDITED_EVERY.get(job.status)
        if pause is None:
            return True
        at, _ = self._edited.get(job.id, (job.created_at, None))
        changed = job.shown is not job.status
        return not self._old(job) and (changed or self._studio.now() >= at + pause)

    async def _card(self, job: Job, standing: Standing | None) -> discord.Embed:
        if standing:
            card = cards.waiting if job.status is Status.QUEUED else cards.rendering
            return card(standing)
        if job.status is not Status.DELIVERED:
            return cards.WITHOUT_STANDING[job.status](job)
        return cards.done(job, link(job, await self._studio.result(job)))

    def _message(self, job: Job) -> discord.PartialMessage:
        return channel(self._bot, job).get_partial_message(job.status_message_id or 0)

    def _old(self, job: Job) -> bool:
        return self._studio.now() > job.created_at + EDITABLE_FOR


def link(job: Job, post: Post | None) -> str | None:
    """Return where a delivered result is, if it is in a channel."""
    if post is None or post.route is Route.DIRECT:
        return None
    place = f"{job.origin.guild_id}/{job.origin.channel_id}/{post.message_id}"
    return f"https://discord.com/channels/{place}"


def channel(bot: Fantasia, job: Job) -> discord.PartialMessageable:
    """Return the channel that a job was asked for in, whether or not it is cached."""
    origin = job.origin
    return bot.get_partial_messageable(origin.channel_id, guild_id=origin.guild_id)


def definite(error: Exception) -> bool:
    """Whether the same request would be refused again: not for a limit, nor for the bot's token."""
    return (
        isinstance(error, discord.HTTPException)
        and 400 <= error.status < 500
        and error.status not in (401, 408, 429)
    )
