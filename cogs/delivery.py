"""Posts what members are owed: the music, or the reason why there is none."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import discord
from discord.ext import commands

from bot.client import Fantasia, Services
from bot.discord_api.errors import UNREACHED, brief, definite
from bot.errors import FileError, Refusal, StorageError
from bot.values import Delivered, Outcome, Owed, PostKind, Route, Unsent
from cogs.ui import letters, routes
from cogs.ui.letters import Letter
from cogs.ui.places import removed
from cogs.ui.routes import Trace
from cogs.ui.status import StatusMessages, apart

log = logging.getLogger(__name__)

NONCE_LIFE = timedelta(minutes=2)
"""How long we rely on Discord to recognise a repeated send by its nonce."""


class Chore:
    """Work that a look does, and that is tried again after growing pauses while some is left."""

    def __init__(self, services: Services, work: Callable[[], Awaitable[bool]]) -> None:
        self._ticks, self._pause = services.clock.ticks, services.outbox.pause
        self._work = work
        """Returns whether some of it is left."""
        self._doing = asyncio.Lock()
        self._fruitless = 0
        """How often in a row some of it was left."""
        self._at = self._ticks()

    async def do(self) -> None:
        """Do the work, unless it is being done or to be tried later."""
        if self._doing.locked() or self._ticks() < self._at:
            return
        async with self._doing:
            left = await self._work()
            self._fruitless = self._fruitless + 1 if left else 0
            if left:
                self._at = self._ticks() + self._pause(self._fruitless)


class Delivery(commands.Cog):
    """Posts one message at a time to a place: the event only says look, the rows say what."""

    def __init__(self, bot: Fantasia) -> None:
        self._bot = bot
        self._clock = bot.services.clock
        self._outbox = bot.services.outbox
        self._status_messages = StatusMessages(bot, bot.services)
        self._busy: set[int] = set()
        """Places that are being posted to."""
        self._looks: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Lock()
        self._chores = (
            Chore(bot.services, self._replace_previews),
            Chore(bot.services, self._update_results),
        )

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Post what is owed next in each place, and update the status messages."""
        look = asyncio.current_task()
        assert look
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        posting = [self._deliver_to(owed) for owed in await self._next()]
        chores = (chore.do() for chore in self._chores)
        await apart(*posting, *chores, self._status_messages.refresh())

    async def cog_unload(self) -> None:
        """End current posts before the connection closes; their rows are kept."""
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def _next(self) -> list[Owed]:
        """Return what is due first in each place, and mark these busy; busy ones are left out."""
        # Two looks that read at the same time would both post what is due.
        async with self._reading:
            found = await self._outbox.first(self._busy)
            self._busy.update(owed.post.place for owed in found)
        return found

    async def _deliver_to(self, owed: Owed) -> None:
        try:
            await self._deliver(owed)
        finally:
            self._busy.discard(owed.post.place)

    async def _deliver(self, owed: Owed) -> None:
        """Send what is owed and settle the outcome; raise StorageError if that cannot be saved."""
        try:
            outcome = await self._outcome(owed)
        except StorageError:
            raise
        except Exception:
            # The edge of one message: a bug of ours must neither hold up other posts nor be retried
            # for ever. Errors of Discord and of the disk do not get this far.
            log.exception("job %d: its message could not be built", owed.job.id)
            outcome = Unsent.BROKEN
        await self._outbox.settle(owed, outcome)
        if isinstance(outcome, Delivered) and owed.post.kind is PostKind.RESULT:
            # What is posted again was owed anew when it was charged again.
            made = max(owed.job.rendered_at or owed.job.created_at, owed.job.charged_at)
            took = (self._clock() - made).total_seconds()
            self._bot.services.metrics.deliveries.observe(max(0.0, took))

    async def _outcome(self, owed: Owed) -> Outcome:
        """Send what is owed, unless it is already there, and return the outcome."""
        try:
            # After a crash or a lost answer it may already be there, so look before sending again.
            trace = await routes.trace(self._bot, owed) if owed.post.tried_at else None
            if trace and trace.message:
                return Delivered(trace.message)
            if owed.post.withdrawn:
                return Unsent.UNWANTED
            # The status message of a failed job says there why there is no music.
            fails = owed.post.kind is PostKind.FAILURE
            if fails and (edited := await self._status_messages.tell_failure(owed.job)):
                return Delivered(edited)
        except UNREACHED as error:
            return routes.outcome(owed, error)
        letter = await self._letter(owed)
        if not isinstance(letter, Letter):
            return letter
        if trace and self._may_repeat(owed, trace):
            letter = replace(letter, doubtful=True)
        # From here on it may be there, whatever the answer: that must be saved before it is sent.
        if reason := await self._outbox.trying(owed):
            return reason
        try:
            return Delivered(await routes.send(self._bot, owed, letter), letter.upload)
        except UNREACHED as error:
            return routes.outcome(owed, error, letter)

    def _may_repeat(self, owed: Owed, trace: Trace) -> bool:
        """Whether a message may already be there, and no nonce rules out a second one."""
        tried_at, now = owed.post.tried_at, self._clock()
        assert tried_at
        # A follow-up has no nonce; and a clock that was set back does not say how long ago it was.
        by_nonce = owed.post.route is not Route.FOLLOWUP
        return not (trace.all or (by_nonce and tried_at <= now < tried_at + NONCE_LIFE))

    async def _letter(self, owed: Owed) -> Letter | Outcome:
        """Make the letter, or return what is wrong with its files."""
        try:
            return await letters.letter(self._bot.services.copies, owed)
        except FileError as error:
            log.error("job %d: %s", owed.job.id, error)
            return Unsent.UNREADABLE
        except Refusal as refusal:
            log.error("job %d: %s", owed.job.id, refusal)
            return Unsent.GONE

    async def _replace_previews(self) -> bool:
        """Delete the previews that the music replaces; return whether some are left."""
        left = False
        for job, preview in await self._outbox.previews_to_replace():
            if await removed(self._bot, job, preview):
                await self._outbox.replaced(preview)
            else:
                left = True
        return left

    async def _update_results(self) -> bool:
        """Take removed takes out of the messages; return whether that is left of some."""
        left = False
        for owed in await self._outbox.outdated():
            stands = await self._stands(owed)
            if stands is None:
                left = True
            else:
                await self._outbox.updated(owed.post, stands=stands)
        return left

    async def _stands(self, owed: Owed) -> bool | None:
        """Whether a result's message still stands, now with what is kept alone; None: try later."""
        if letters.kept(owed) and owed.post.share.take:  # nothing else was ever in it
            return True
        letter = await self._letter(owed) if letters.kept(owed) else Unsent.UNWANTED
        if letter is Unsent.UNREADABLE:
            return None
        if not isinstance(letter, Letter):
            return False if await removed(self._bot, owed.job, owed.post) else None
        try:
            await routes.edit(self._bot, owed, letter)
        except UNREACHED as error:
            log.info("job %d: a result was not edited: %s", owed.job.id, brief(error))
            if not definite(error):
                return None
            return not isinstance(error, discord.NotFound)
        return True


async def setup(bot: Fantasia) -> None:
    await bot.add_cog(Delivery(bot))
