"""/history, /piece and /resend: finding music again."""

import contextlib
from typing import Literal

import discord
from discord import app_commands
from discord.ext import commands

from bot.client import Fantasia, Interaction, Listing, NotAllowed
from bot.discord_api.errors import UNREACHED
from bot.retention.copies import Format
from bot.rules.markup import clean, escape
from bot.values import Job, Take
from cogs.ui import attachments, embeds, pages, permissions, piece_card, submit
from cogs.ui.autocomplete import piece_numbers
from cogs.ui.downloads import TooLarge, files
from cogs.ui.letters import LADDER
from cogs.ui.views import result_view

NONE = "Nothing here yet: `/generate` makes music."
NO_MATCH = "No piece has all of these words."

FORGET_EVERY = 3600.0
"""How often to look for servers that removed the bot long ago, in seconds."""


class Library(commands.Cog):
    """The music that is kept, for those who may see it."""

    def __init__(self, bot: Fantasia) -> None:
        self._bot, self._pieces, self._archive = bot, bot.services.pieces, bot.services.archive
        self._next = bot.services.clock.ticks()

    @app_commands.command()
    @app_commands.describe(
        words="Words of the prompt or the title, or a number",
        member="Another member's pieces, for server managers",
    )
    async def history(
        self,
        interaction: Interaction,
        words: app_commands.Range[str, 1, pages.LONGEST_WORDS] = "",
        member: discord.User | None = None,
    ) -> None:
        """Your pieces, those that you starred first, then the newest."""
        subject = (member or interaction.user).id
        await pages.show(interaction, "history", subject, clean(words))

    @app_commands.command()
    @app_commands.describe(number="The number of the piece, such as 42")
    @app_commands.autocomplete(number=piece_numbers)
    async def piece(
        self, interaction: Interaction, number: app_commands.Range[int, 1, 10**15]
    ) -> None:
        """Everything about one piece, with the command that makes it again."""
        await piece_card.show(interaction, number)

    @app_commands.command()
    @app_commands.describe(
        number="The number of the piece, such as 42",
        format_="The file format (default: WAV, or the best that fits)",
    )
    @app_commands.rename(format_="format")
    @app_commands.autocomplete(number=piece_numbers)
    async def resend(
        self,
        interaction: Interaction,
        number: app_commands.Range[int, 1, 10**15],
        format_: Literal["wav", "flac", "mp3", "ogg"] | None = None,
    ) -> None:
        """Post one of your pieces again."""
        job, takes = await self._pieces.takes(number, permissions.viewer(interaction))
        if job.origin.user_id != interaction.user.id and not interaction.permissions.manage_guild:
            name = escape(job.origin.user_name) or "another member"
            raise NotAllowed(f"#{number} is {name}'s; **Save as** gives you the file.")
        submit.require_permissions(interaction)
        asked = Format(format_) if format_ else None
        async with self._bot.services.copies.saving(interaction.user.id):
            # A failure is shown to the member alone; a success is a message of its own. The first
            # follow-up takes the place of a deferred answer and is seen by whom that is seen by, so
            # this one is filled before.
            await interaction.response.defer(ephemeral=True, thinking=True)
            await interaction.edit_original_response(content=f"Posting #{number} here.")
            try:
                await self._resend(interaction, job, list(takes), asked)
            finally:
                with contextlib.suppress(*UNREACHED):
                    await interaction.delete_original_response()

    async def _resend(
        self, interaction: Interaction, job: Job, takes: list[Take], asked: Format | None
    ) -> None:
        """Send the takes in the first format that fits, or as asked, or else each by itself."""
        *before, last = (asked,) if asked else LADDER
        for kind in before:
            with contextlib.suppress(TooLarge):
                return await self._send(interaction, job, takes, kind)
        try:
            await self._send(interaction, job, takes, last, asked=asked is not None)
        except TooLarge:
            if len(takes) == 1:
                raise
            for take in takes:  # each may fit in a better format than all of them together
                await self._resend(interaction, job, [take], asked)

    async def _send(
        self,
        interaction: Interaction,
        job: Job,
        takes: list[Take],
        kind: Format,
        *,
        asked: bool = False,
    ) -> None:
        picture = await attachments.picture(self._bot.services.copies, job)
        posted = embeds.Posted(
            mark=f"Piece #{job.id}",
            parent=await self._pieces.parent(job.request),
            picture=picture.name if picture else None,
            instead=Format.WAV if asked else kind,
        )
        embed = embeds.result(job, takes, posted)
        async with files(interaction, job, takes, kind) as found:
            found += [picture.file] if picture else []
            message = await interaction.followup.send(
                embed=embed, files=found, view=result_view(job, takes), wait=True
            )
        await self._bot.services.erasure.repeated(job, interaction.channel_id or 0, message.id)

    @commands.Cog.listener("on_ready")
    @commands.Cog.listener("on_guild_join")
    async def note_servers(self, *_: discord.Guild) -> None:
        """Notice which servers removed the bot while it was offline, or added it again."""
        await self._archive.present({guild.id for guild in self._bot.guilds})

    @commands.Cog.listener()
    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Remember when the bot was removed."""
        await self._archive.left(guild.id)

    @commands.Cog.listener()
    async def on_look(self) -> None:
        """Once an hour, forget the pieces of servers that removed the bot long ago."""
        now = self._bot.services.clock.ticks()
        if now >= self._next:
            self._next = now + FORGET_EVERY
            await self._archive.forget_the_left()


async def pieces(
    interaction: Interaction, member: int, page: int, words: str = ""
) -> tuple[discord.Embed, bool]:
    """Fill a page of a member's pieces, or of those that have these words."""
    services, guild = interaction.client.services, permissions.guild_of(interaction)
    if member != interaction.user.id:
        permissions.require_manager(interaction)
    most = pages.LINES_PER_PAGE
    found = await services.pieces.history(guild, member, most + 1, page * most, words)
    shown, more = pages.cut(found)
    starred = any(job.starred for job, *_ in shown)
    order = "Pieces, starred first" if starred else "Pieces, newest first"
    title = f"Pieces with “{escape(words)}”" if words else order
    card = pages.card(title, [embeds.line(*piece) for piece in shown], NO_MATCH if words else NONE)
    if shown and member == interaction.user.id:
        held, _ = await submit.allowed(interaction)
        stars = await services.shelf.stars(guild, member)
        card.set_footer(text=f"★ {stars} of {held.tier.stars} · /piece stars and names a piece")
    return card, more


@app_commands.context_menu(name="About this piece")
async def about_this_piece(interaction: Interaction, message: discord.Message) -> None:
    """Everything about the piece of a message."""
    pieces, viewer = interaction.client.services.pieces, permissions.viewer(interaction)
    await piece_card.show(interaction, await pieces.of_message(message.id, viewer))


async def setup(bot: Fantasia) -> None:
    bot.add_listing(Listing(name="history", lines=pieces, search=pieces, by_age=True))
    bot.tree.add_command(about_this_piece)
    await bot.add_cog(Library(bot))
