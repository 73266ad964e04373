"""Posts what members are owed: the music, or the reason why there is none."""

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Any

import discord
from discord.ext import commands

from bot.client import Fantasia
from bot.discord_errors import UNREACHED, brief, definite, pause, too_large
from bot.errors import Refusal, StorageError
from bot.outbox import PARTS_PER_TAKE, Outbox
from bot.retention.archive import Format
from bot.studio import Studio
from bot.values import Delivered, Job, Later, Outcome, Owed, PostKind, Route, Target, Unsent
from cogs.ui import embeds
from cogs.ui.attachments import TooLarge, file, files
from cogs.ui.buttons import last_view, stop_view
from cogs.ui.result_buttons import removed, result_view
from cogs.ui.status import StatusMessages, apart, channel, failure

log = logging.getLogger(__name__)

LADDER = (Format.WAV, Format.FLAC, Format.OGG)
"""The formats to try in turn when the files are too large for Discord."""

SEARCHED = 500
"""How many messages of a channel are searched at most for one that may already be there."""

NONCE_LIFE = timedelta(minutes=2)
"""How long we rely on Discord to recognise a repeated send by its nonce."""


class Unwanted(Exception):
    """What was owed is no longer wanted."""


class Unanswerable(Exception):
    """The interaction to be answered has expired."""


class Delivery(commands.Cog):
    """Posts to one place at a time: the event only says look, the rows say what."""

    def __init__(
        self, bot: Fantasia, studio: Studio, outbox: Outbox, status_messages: StatusMessages
    ) -> None:
        self._bot = bot
        self._studio = studio
        self._outbox = outbox
        self._archive = bot.services.archive
        self._status_messages = status_messages
        self._busy: set[int] = set()
        """Places that are being posted to."""
        self._looks: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Lock()
        self._replacing = asyncio.Lock()
        self._fruitless = 0
        """How often in a row a preview could not be removed."""
        self._replace_at = studio.ticks()

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Post what is owed, in order within each place, and update the status messages."""
        look = asyncio.current_task()
        assert look
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        lines = (await self._lines()).items()
        posting = (self._deliver_to(place, line) for place, line in lines)
        await apart(*posting, self._replace_previews(), self._status_messages.refresh())

    async def cog_unload(self) -> None:
        """End current posts before the connection closes; their rows are kept."""
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def _lines(self) -> dict[int, list[Owed]]:
        """Return what is due, by place, and mark these places busy; busy ones are left out."""
        async with self._reading:
            busy = set(self._busy)
            lines: dict[int, list[Owed]] = {}
            for owed in await self._outbox.owed():
                if owed.place not in busy:
                    lines.setdefault(owed.place, []).append(owed)
            self._busy.update(lines)
        return lines

    async def _deliver_to(self, place: int, line: list[Owed]) -> None:
        try:
            for owed in line:
                if not await self._deliver(owed):
                    break
        finally:
            self._busy.discard(place)

    async def _replace_previews(self) -> None:
        if self._replacing.locked() or self._studio.ticks() < self._replace_at:
            return
        async with self._replacing:
            left = False
            for job, preview in await self._outbox.previews_to_replace():
                if await removed(self._bot, job, preview):
                    await self._outbox.replaced(preview)
                else:
                    left = True
            self._fruitless = self._fruitless + 1 if left else 0
            if left:
                self._replace_at = self._studio.ticks() + self._outbox.pause(self._fruitless)

    async def _deliver(self, owed: Owed) -> bool:
        """Post what is owed; return False if later posts in that place must wait."""
        outcome = await self._outcome(owed)
        await self._outbox.settle(owed, outcome)
        return not isinstance(outcome, Later)

    async def _outcome(self, owed: Owed) -> Outcome:
        """Send what is owed, and say what came of it; raise StorageError before it is sent."""
        try:
            return Delivered(await self._posted(owed))
        except Unwanted:
            return Unsent.UNWANTED
        except Unanswerable:
            return Unsent.REFUSED
        except TooLarge:
            return Unsent.TOO_LARGE
        except Refusal as refusal:
            log.error("job %d: %s", owed.job.id, refusal)
            return Unsent.GONE
        except UNREACHED as error:
            log.warning("job %d: %s: %s", owed.job.id, owed.post.route, brief(error))
            if too_large(error):
                return Unsent.TOO_LARGE
            return Unsent.REFUSED if definite(error) else Later(pause(error))
        except StorageError:
            raise
        except Exception:
            # A bug of ours must neither hold up other posts nor be retried for ever.
            log.exception("job %d: its message could not be built", owed.job.id)
            return Unsent.BROKEN

    async def _posted(self, owed: Owed) -> int:
        """Return the message that holds what is owed: from an earlier try, or a new one."""
        if owed.post.tried_at and (message := await self._earlier(owed)):
            return message
        if owed.post.withdrawn:
            raise Unwanted
        if owed.post.route is Route.FOLLOWUP and not self._outbox.answerable(owed.job):
            raise Unanswerable
        return await self._send(owed)

    async def _earlier(self, owed: Owed) -> int | None:
        """Return the message that an earlier try posted, if it is found."""
        for place in await self._places(owed):
            for message in await self._seen(place, owed) or ():
                if self._is(message, owed):
                    log.info("job %d: its message was already posted", owed.job.id)
                    return message.id
        return None

    async def _may_repeat(self, owed: Owed) -> bool:
        """Whether a post may already be there, and no nonce rules out a second one."""
        tried_at, now = owed.post.tried_at, self._studio.now()
        if tried_at is None:
            return False
        by_nonce = owed.post.route is not Route.FOLLOWUP
        if by_nonce and tried_at <= now < tried_at + NONCE_LIFE:
            return False
        for place in await self._places(owed):
            seen = await self._seen(place, owed)
            if seen is None or len(seen) == SEARCHED:
                return True
        return False

    async def _seen(
        self, place: discord.abc.Messageable, owed: Owed
    ) -> list[discord.Message] | None:
        """Return the latest messages of a place, newest first; None if the bot may not read it.

        None older than what is owed: compared by id, since clocks may differ.
        """
        since = discord.Object(owed.since) if owed.since else None
        history = place.history(limit=SEARCHED, after=since, oldest_first=False)
        try:
            return [message async for message in history]
        except discord.HTTPException as error:
            if definite(error):
                return None
            raise

    async def _places(self, owed: Owed) -> list[discord.abc.Messageable]:
        """Return where a post may be: in the channel, and in direct messages if sent there."""
        places: list[discord.abc.Messageable] = [channel(self._bot, owed.job)]
        if owed.post.route is Route.DIRECT:
            member = discord.Object(owed.job.origin.user_id)
            places.insert(0, await self._bot.create_dm(member))
        return places

    def _is(self, message: discord.Message, owed: Owed) -> bool:
        assert self._bot.user
        footers = {embed.footer.text for embed in message.embeds}
        return message.author.id == self._bot.user.id and embeds.mark(owed) in footers

    async def _send(self, owed: Owed) -> int:
        if owed.post.kind is PostKind.FAILURE:
            edited = await self._status_messages.tell_failure(owed.job)
            return edited or await self._failure(owed)
        if owed.post.kind is PostKind.PREVIEW:
            return await self._preview(owed)
        *larger, last = LADDER[-1:] if owed.post.share.part else LADDER
        for kind in larger:
            with contextlib.suppress(TooLarge):
                return await self._music(owed, kind)
            log.info("job %d: too large for Discord as %s", owed.job.id, kind)
        return await self._music(owed, last)

    async def _failure(self, owed: Owed) -> int:
        view = None if owed.post.route is Route.DIRECT else last_view(owed.job)
        return await self._post(owed, failure(owed.job), [], **({"view": view} if view else {}))

    async def _preview(self, owed: Owed) -> int:
        files = [
            file(heard, embeds.file_name(owed.job, take))
            for take in owed.takes
            if take.preview and (heard := await self._archive.read(take.preview))
        ]
        if not files:  # the attempt that made it was abandoned meanwhile
            raise Unwanted
        return await self._post(owed, embeds.preview(owed.job), files, view=stop_view(owed.job.id))

    async def _music(self, owed: Owed, kind: Format) -> int:
        """Post the takes of a post in a format; raise TooLarge where that is too large."""
        number, part = owed.post.share
        takes = [
            take for take in owed.takes if take.audio and (not number or take.number == number)
        ]
        direct = owed.post.route is Route.DIRECT
        target = Target(0 if direct else owed.job.origin.guild_id)
        async with files(self._bot, target, owed.job, takes, kind, part=part) as found:
            picture = None if part else await self._picture(owed, found)
            embed = embeds.result(owed.job, tuple(takes), picture, kind)
            if number:
                note = embeds.IN_PARTS if part else embeds.TAKES_APART
                embed.add_field(name="Posted", value=note, inline=False)
            # A direct message belongs to no server, so its buttons could request nothing.
            alone = direct or part not in (0, PARTS_PER_TAKE)
            more = {} if alone else {"view": result_view(owed.job.id)}
            return await self._post(owed, embed, found, **more)

    async def _picture(self, owed: Owed, files: list[discord.File]) -> str | None:
        """Add the picture to the files, if there is one, and return its name."""
        path, name = owed.job.picture, f"{owed.job.request.slug}-{owed.job.id}.png"
        if path is None or not (picture := await self._archive.read(path)):
            return None
        files.append(file(picture, name))
        return name

    async def _post(
        self,
        owed: Owed,
        embed: discord.Embed,
        files: list[discord.File],
        **more: Any,  # noqa: ANN401
    ) -> int:
        member = discord.Object(owed.job.origin.user_id)
        embed.set_footer(text=embeds.mark(owed))
        doubt = f" {embeds.REPEATED}" if await self._may_repeat(owed) else ""
        message: dict[str, Any] = {
            "content": f"<@{member.id}>{doubt}",
            "embed": embed,
            "files": files,
            "allowed_mentions": discord.AllowedMentions(users=[member]),
            **more,
        }
        if not await self._outbox.trying(owed):
            raise Unwanted
        if owed.post.route is Route.FOLLOWUP:
            return (await self._webhook(owed.job).send(wait=True, **message)).id
        place = (await self._places(owed))[0]
        return (await place.send(nonce=owed.post.nonce, **message)).id

    def _webhook(self, job: Job) -> discord.Webhook:
        origin = job.origin
        webhook = discord.Webhook.partial(origin.application_id, origin.token, client=self._bot)
        # The library sets these on other webhooks, but not on partial ones.
        webhook.proxy, webhook.proxy_auth = self._bot.http.proxy, self._bot.http.proxy_auth
        return webhook


async def setup(bot: Fantasia) -> None:
    """Add the delivery to the bot."""
    await bot.add_cog(
        Delivery(
            bot, bot.services.studio, bot.services.outbox, StatusMessages(bot, bot.services.studio)
        )
    )
