"""The status messages: one per job, edited with the bot's own token until the job has ended.

Once its music stands in the channel the message is deleted. The job's row says what it last showed,
so that this survives a restart and is tried until it is done.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import discord

from bot.client import Services
from bot.discord_api.errors import UNREACHED, brief, definite
from bot.errors import StorageError
from bot.values import Job, Notice, Standing, Status
from cogs.ui import status_embeds
from cogs.ui.places import channel, link
from cogs.ui.views import ended_view, open_view

log = logging.getLogger(__name__)

EDITED_EVERY = {Status.QUEUED: 30.0, Status.RUNNING: 4.0}
"""How often an open job's message is edited, in seconds."""

BRISK_FOR = timedelta(seconds=20)
"""How long after its request it is edited twice as often: a short piece is done by then."""

LOOKED_THROUGH_EVERY = 1.0
"""How often all messages are looked through, in seconds; what has changed is seen at once."""

EDITED_AT_ONCE = 5
"""How many messages of a channel are edited before checking for news again.

Discord takes about one edit a second in a channel.
"""

FIRST_EDIT_PAUSE, LONGEST_EDIT_PAUSE = 30.0, 300.0
"""Seconds to wait after a failed edit: twice as long each time, up to the longest."""

EDITABLE_FOR = timedelta(minutes=55)
"""How long a status message is edited freely; Discord limits edits after an hour (30046)."""


@dataclass(slots=True)
class Edit:
    """What is known of a job's message since the bot was started."""

    at: float
    """When it was posted or an edit was last tried, by ticks."""
    embed: discord.Embed | None = None
    """What it shows; None before the first edit, and if the last one failed."""
    failures: int = 0
    """How many edits in a row failed."""


class StatusMessages:
    """Keeps the status messages up to date, edited no more often than members can read."""

    def __init__(self, client: discord.Client, services: Services) -> None:
        self._client = client
        self._clock, self._outbox = services.clock, services.outbox
        self._standings, self._pieces = services.standings, services.pieces
        self._edits: dict[int, Edit] = {}
        """By job, of the messages that may be out of date."""
        self._looked_through = -LOOKED_THROUGH_EVERY
        """When all messages were last looked through, by ticks."""
        self._busy: set[int] = set()
        """Channels in which messages are being edited."""
        self._again: set[int] = set()
        """Those of them where there is news."""
        self._reading = asyncio.Lock()
        self._waiting = False
        """Whether somebody waits to read: what is new by then is seen, too."""

    async def refresh(self) -> None:
        """Update the status messages that may be edited now, each channel separately."""
        if self._waiting:
            return
        # One reads at a time, for all channels: where many wait, finding their places costs most.
        self._waiting = True
        try:
            await self._reading.acquire()
        finally:
            self._waiting = False
        free: dict[int, list[Standing]] = {}
        try:
            # Discord limits edits by channel, and discord.py waits: a busy one must not stop the
            # rest.
            due = await self._due()
            self._again.update(due.keys() & self._busy)
            for channel in due.keys() - self._busy:
                free[channel] = []
            numbers = [notice.job for channel in free for notice in due[channel]]
            for standing in await self._standings.of(numbers) if numbers else ():
                free[standing.job.origin.channel_id].append(standing)
            self._busy.update(free)
        finally:
            self._reading.release()
        await apart(*(self._keep(channel, standings) for channel, standings in free.items()))

    async def _keep(self, channel: int, standings: Sequence[Standing]) -> None:
        try:
            for standing in standings:
                await self._tell_of(standing)
        finally:
            self._busy.discard(channel)
        if channel in self._again:
            self._again.discard(channel)
            self._client.dispatch("look")

    async def _due(self) -> dict[int, list[Notice]]:
        """Return a few notices by channel: changed ones first, then the longest unedited."""
        if (now := self._clock.ticks()) < self._looked_through + LOOKED_THROUGH_EVERY:
            # Looks come with all that happens: reading of thousands that wait each time would take
            # longer than what happens.
            notices = await self._outbox.changed_notices()
            for notice in notices:
                self._edits.setdefault(notice.job, Edit(self._ago(notice)))
        else:
            notices = await self._outbox.notices()
            self._edits = {
                each.job: self._edits.get(each.job) or Edit(self._ago(each)) for each in notices
            }
            self._looked_through = now
        due: dict[int, list[Notice]] = {}
        for notice in sorted(notices, key=self._rank):
            line = due.setdefault(notice.channel, [])
            if self._is_due(notice) and len(line) < EDITED_AT_ONCE:
                line.append(notice)
        return {channel: line for channel, line in due.items() if line}

    async def _tell_of(self, standing: Standing) -> None:
        job = standing.job
        edit = self._edits.setdefault(job.id, Edit(self._clock.ticks()))
        last = edit.embed
        # It counts as failed until it is known to have worked, whatever ends this.
        edit.at, edit.embed, edit.failures = self._clock.ticks(), None, edit.failures + 1
        try:
            embed, stays = await self._card(standing)
            if last == embed or await (self._show if stays else self._remove)(job, embed):
                edit.at, edit.embed, edit.failures = self._clock.ticks(), embed, 0
        except StorageError as error:
            log.error("%s", error)
        except Exception:
            log.exception("job %d: its status cannot be shown", job.id)

    async def tell_failure(self, job: Job) -> int | None:
        """Say in a job's status message why there is no music; return the message if it exists.

        A delivered job's message links to its music, so it is left alone.
        Raises Discord's error unless it means that the message cannot be edited.
        """
        if job.status_message_id is None or self._old(job) or job.status is Status.DELIVERED:
            return None
        try:
            await self._message(job).edit(embed=status_embeds.ended(job), view=ended_view(job))
        except discord.HTTPException as error:
            if definite(error):
                return None
            raise
        await self._outbox.shown(job, job.status_message_id, job.status)
        return job.status_message_id

    async def _show(self, job: Job, embed: discord.Embed) -> bool:
        """Edit a job's message; return False if that must be tried again."""
        view = open_view(job) if job.status in EDITED_EVERY else ended_view(job)
        message = job.status_message_id
        try:
            await self._message(job).edit(embed=embed, view=view)
        except UNREACHED as error:
            log.info("job %d: its status message was not edited: %s", job.id, brief(error))
            if not definite(error):
                return False
            # One that was deleted is forgotten; one that may not be edited now is still there.
            message = None if isinstance(error, discord.NotFound) else message
        await self._outbox.shown(job, message, job.status)
        return True

    async def _remove(self, job: Job, embed: discord.Embed) -> bool:
        """Delete a job's message, or show this where Discord does not let it be deleted.

        Returns False if that must be tried again.
        """
        try:
            await self._message(job).delete()
        except UNREACHED as error:
            log.info("job %d: its status message was not deleted: %s", job.id, brief(error))
            if not definite(error):
                return False
            if not isinstance(error, discord.NotFound):
                return await self._show(job, embed)
        await self._outbox.shown(job, None, job.status)
        return True

    def _is_due(self, notice: Notice) -> bool:
        now, edit = self._clock.ticks(), self._edits[notice.job]
        pause = FIRST_EDIT_PAUSE * 2 ** min(edit.failures - 1, 9)
        if edit.failures and now < edit.at + min(pause, LONGEST_EDIT_PAUSE):
            return False
        if notice.status not in EDITED_EVERY:
            return True
        # Then only its end is shown: Discord takes few edits of messages older than an hour.
        if self._clock() > notice.created_at + EDITABLE_FOR:
            return False
        brisk = self._clock() < notice.created_at + BRISK_FOR
        every = EDITED_EVERY[notice.status] / (2 if brisk else 1)
        return _has_changed(notice) or now >= edit.at + every

    def _ago(self, notice: Notice) -> float:
        """Return when a message was posted, by ticks; never later than now."""
        age = (self._clock() - notice.created_at).total_seconds()
        return self._clock.ticks() - max(0.0, age)

    def _rank(self, notice: Notice) -> tuple[bool, float]:
        """Sort what has changed before the rest, and both by how long they are due."""
        at = self._edits[notice.job].at
        return not _has_changed(notice), at + EDITED_EVERY.get(notice.status, 0.0)

    async def _card(self, standing: Standing) -> tuple[discord.Embed, bool]:
        """Return what to show of a job, and whether its message stays.

        It does not once the music stands in the same channel, or was deleted.
        """
        job = standing.job
        if job.status in EDITED_EVERY:
            card = status_embeds.waiting if job.status is Status.QUEUED else status_embeds.rendering
            return card(standing), True
        if job.deleted and not job.forgotten:
            return status_embeds.deleted(job), False
        if job.status is not Status.DELIVERED:
            return status_embeds.ended(job), True
        at = link(job, await self._pieces.result(job))
        return status_embeds.done(job, at), at is None

    def _message(self, job: Job) -> discord.PartialMessage:
        return channel(self._client, job).get_partial_message(job.status_message_id or 0)

    def _old(self, job: Job) -> bool:
        return self._clock() > job.created_at + EDITABLE_FOR


async def apart(*works: Awaitable[None]) -> None:
    """Do all at once; a failure does not affect the others, and is raised at the end.

    Storage errors are only logged: what was not saved is done by a later look.
    """
    failed: list[Exception] = []
    for error in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(error, StorageError):
            log.error("%s", error)
        elif isinstance(error, Exception):
            failed.append(error)
    if failed:
        raise ExceptionGroup("some messages could not be posted or edited", failed)


def _has_changed(notice: Notice) -> bool:
    return notice.shown is not notice.status
