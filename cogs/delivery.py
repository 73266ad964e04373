"""Posts what members are owed: the music, or why there is none."""

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Any

import discord
from discord.ext import commands

from bot.archive import Format
from bot.client import Fantasia
from bot.errors import Refusal
from bot.models import WHOLE, Job, Owed, PostKind, Route, Target
from bot.outbox import PARTS, Outbox
from bot.studio import Studio
from cogs import cards
from cogs.board import UNREACHED, Board, apart, channel, definite
from cogs.buttons import stop_view
from cogs.keeping import removed, result_view
from cogs.uploading import TooLarge, file, files

log = logging.getLogger(__name__)

LADDER = (Format.WAV, Format.FLAC, Format.OGG)
"""What is tried in turn where the files are larger than Discord takes."""

SEARCHED = 100
"""How many messages of a place are looked through for one that may stand there already."""

NONCE_LIFE = timedelta(minutes=2)
"""How long Discord is relied upon to recognise a repeated send by its nonce."""

EARLY = timedelta(minutes=1)
"""How far Discord's clock and this one may be apart."""


class Unwanted(Exception):
    """What was owed is not wanted any more."""


class Delivery(commands.Cog):
    """One look at a place at a time, whatever rang for it: the event says look, the rows what."""

    def __init__(self, bot: Fantasia, studio: Studio, outbox: Outbox, board: Board) -> None:
        self._bot = bot
        self._studio = studio
        self._outbox = outbox
        self._archive = bot.archive
        self._board = board
        self._busy: set[int] = set()
        """Places that something is being posted to."""
        self._reading = asyncio.Lock()
        self._replacing = asyncio.Lock()

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Post what is owed, each place in its order, and bring the status messages up to date."""
        lines = (await self._lines()).items()
        posting = (self._deliver_to(place, line) for place, line in lines)
        await apart(*posting, self._replace_previews(), self._board.refresh())

    async def _lines(self) -> dict[int, list[Owed]]:
        """Return what is due, by place, and take these places; those taken before are left out."""
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
        if self._replacing.locked():
            return
        async with self._replacing:
            for job, preview in await self._outbox.previews_to_replace():
                if await removed(self._bot, job, preview):
                    await self._outbox.replaced(preview)

    async def _deliver(self, owed: Owed) -> bool:
        """Post what is owed; return False if what comes later in that place has to wait."""
        try:
            message = await self._earlier(owed) if owed.post.tried_at else None
            if message is None and owed.post.withdrawn:
                await self._outbox.refused(owed)
                return True
            if message is None:
                message = await self._send(owed)
        except Unwanted:
            pass
        except TooLarge:
            if not await self._outbox.split(owed):
                await self._outbox.refused(owed)
        except Exception as error:
            log.warning("job %d: not delivered by %s: %s", owed.job.id, owed.post.route, error)
            if definite(error) or isinstance(error, FileNotFoundError | Refusal):
                await self._outbox.refused(owed)
            else:
                holds = isinstance(error, UNREACHED)
                pause = error.retry_after if isinstance(error, discord.RateLimited) else 0.0
                await self._outbox.postponed(owed, pause, holds=holds)
                return not holds
        else:
            await self._outbox.delivered(owed, message)
        return True

    async def _earlier(self, owed: Owed) -> int | None:
        """Return the message that an earlier try made, if it is seen; None where there is none.

        Raises what Discord answers unless it is that the bot may not look.
        """
        assert owed.post.tried_at
        for place in await self._places(owed):
            with contextlib.suppress(discord.Forbidden, discord.NotFound):
                async for message in place.history(limit=SEARCHED):
                    if self._is(message, owed):
                        log.info("job %d: its message was posted before", owed.job.id)
                        return message.id
                    if message.created_at < owed.post.tried_at - EARLY:
                        break
        return None

    async def _may_repeat(self, owed: Owed) -> bool:
        """Whether it is unknown that a post does not stand there, and no nonce helps."""
        tried_at = owed.post.tried_at
        if tried_at is None:
            return False
        by_nonce = owed.post.route is not Route.FOLLOWUP
        if by_nonce and self._studio.now() < tried_at + NONCE_LIFE:
            return False
        for place in await self._places(owed):
            try:
                seen = [message async for message in place.history(limit=SEARCHED)]
            except (discord.Forbidden, discord.NotFound):
                return True
            if len(seen) == SEARCHED and seen[-1].created_at > tried_at - EARLY:
                return True
        return False

    async def _places(self, owed: Owed) -> list[discord.abc.Messageable]:
        """Return where a post may stand: in the channel, and where it is sent directly."""
        places: list[discord.abc.Messageable] = [channel(self._bot, owed.job)]
        if owed.post.route is Route.DIRECT:
            member = discord.Object(owed.job.origin.user_id)
            places.insert(0, await self._bot.create_dm(member))
        return places

    def _is(self, message: discord.Message, owed: Owed) -> bool:
        assert self._bot.user
        footers = {embed.footer.text for embed in message.embeds}
        return message.author.id == self._bot.user.id and cards.mark(owed) in footers

    async def _send(self, owed: Owed) -> int:
        if owed.post.kind is PostKind.FAILURE:
            edited = await self._board.tell_failure(owed.job)
            return edited or await self._post(owed, cards.failed(owed.job), [])
        if owed.post.kind is PostKind.PREVIEW:
            return await self._preview(owed)
        *larger, last = LADDER[-1:] if owed.post.part % WHOLE else LADDER
        for kind in larger:
            with contextlib.suppress(TooLarge):
                return await self._music(owed, kind)
            log.info("job %d: too large for Discord as %s", owed.job.id, kind)
        return await self._music(owed, last)

    async def _preview(self, owed: Owed) -> int:
        files = [
            file(heard, cards.file_name(owed.job, take))
            for take in owed.takes
            if take.preview and (heard := await self._archive.read(take.preview))
        ]
        return await self._post(owed, cards.preview(owed.job), files, view=stop_view(owed.job.id))

    async def _music(self, owed: Owed, kind: Format) -> int:
        """Post the takes of a post in a format; raise TooLarge where that is too large."""
        number, part = divmod(owed.post.part, WHOLE)
        takes = [
            take for take in owed.takes if take.audio and (not number or take.number == number)
        ]
        direct = owed.post.route is Route.DIRECT
        target = Target(0 if direct else owed.job.origin.guild_id)
        async with files(self._bot, target, owed.job, takes, kind, part=part) as found:
            picture = None if part else await self._picture(owed, found)
            embed = cards.result(owed.job, tuple(takes), picture, kind)
            if owed.post.part:
                note = cards.PART if part else cards.ALONE
                embed.add_field(name="Posted", value=note, inline=False)
            # A direct message belongs to no server, so nothing could be asked for there.
            alone = direct or part not in (0, PARTS)
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
        embed.set_footer(text=cards.mark(owed))
        doubt = f" {cards.REPEATED}" if await self._may_repeat(owed) else ""
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
        return discord.Webhook.partial(origin.application_id, origin.token, client=self._bot)


async def setup(bot: Fantasia) -> None:
    """Add the delivery to the bot."""
    await bot.add_cog(Delivery(bot, bot.studio, bot.outbox, Board(bot, bot.studio)))
