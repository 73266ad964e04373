"""The status messages: one per job, edited with the bot's own token until the job has ended."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import discord

from bot.client import Fantasia
from bot.models import Job, Notice, Post, Route, Standing, Status
from bot.studio import Studio
from cogs import cards
from cogs.buttons import cancel_view, last_view

log = logging.getLogger(__name__)

EDITED_EVERY = {Status.QUEUED: timedelta(seconds=30), Status.RUNNING: timedelta(seconds=4)}

EDITED_AT_ONCE = 5
"""How many messages of a channel that tell of waiting are edited before what is new is looked for.

Discord takes about one edit a second in a channel.
"""

EDITABLE_FOR = timedelta(minutes=55)
"""How long a status message is edited freely; Discord limits edits after an hour (30046)."""


class Board:
    """Keeps the status messages true, and edits them no oftener than members can read."""

    def __init__(self, bot: Fantasia, studio: Studio) -> None:
        self._bot = bot
        self._studio = studio
        self._edited: dict[int, tuple[datetime, discord.Embed]] = {}

    async def refresh(self) -> None:
        """Bring the status messages up to date that may be edited now, each channel by itself."""
        lines = [line for line in (await self._lines()).values() if line]
        waits = [job for line in lines for job in line if job.status in EDITED_EVERY]
        standings = {at.job.id: at for at in await self._studio.standings(waits)} if waits else {}
        async with asyncio.TaskGroup() as group:
            for line in lines:
                group.create_task(self._refresh(line, standings))

    async def _lines(self) -> dict[int, list[Job]]:
        """Return the jobs to tell of, by channel: those that changed, then the longest untold."""
        lines: dict[int, list[Job]] = {}
        waiting: Counter[int] = Counter()
        due = [notice for notice in await self._studio.to_show() if self._is_due(notice)]
        for notice in sorted(due, key=lambda notice: (_can_wait(notice), self._told(notice))):
            if _can_wait(notice):
                waiting[notice.channel] += 1
            if waiting[notice.channel] <= EDITED_AT_ONCE:
                job = await self._studio.job(notice.job)
                lines.setdefault(notice.channel, []).append(job)
        return lines

    async def _refresh(self, line: list[Job], standings: Mapping[int, Standing]) -> None:
        for job in line:
            embed = await self._card(job, standings.get(job.id))
            shown = self._edited.get(job.id, (None, None))[1]
            self._edited[job.id] = (self._studio.now(), embed)
            if shown != embed:
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
        view = cancel_view(job.id) if waits else last_view(job)
        try:
            await self._message(job).edit(embed=embed, view=view)
        except discord.NotFound:
            waits = False
            await self._studio.status_message(job, None, job.status)
        except Exception as error:
            log.info("job %d: its status message was not edited: %s", job.id, error)
            if definite(error):
                await self._studio.status_message(job, job.status_message_id, job.status)
        else:
            await self._studio.status_message(job, job.status_message_id, job.status)
        if not waits:
            self._edited.pop(job.id, None)

    def _is_due(self, notice: Notice) -> bool:
        pause = EDITED_EVERY.get(notice.status)
        if pause is None:
            return True
        if self._studio.now() > notice.created_at + EDITABLE_FOR:
            return False
        changed = notice.shown is not notice.status
        return changed or self._studio.now() >= self._told(notice) + pause

    def _told(self, notice: Notice) -> datetime:
        return self._edited.get(notice.job, (notice.created_at, None))[0]

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


def _can_wait(notice: Notice) -> bool:
    return notice.status is Status.QUEUED and notice.shown is Status.QUEUED


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
