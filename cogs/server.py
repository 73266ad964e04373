"""/channel and /words: where and in which words music is requested in a server."""

import discord
from discord import (
    CategoryChannel,
    ForumChannel,
    TextChannel,
    Thread,
    VoiceChannel,
    app_commands,
)

from bot.admin.servers import LONGEST_WORD
from bot.client import Fantasia, Interaction, Listing, answer
from bot.rules.markup import escape
from bot.rules.wordfilter import UNSEEN_HERE
from bot.values import Actor
from cogs.ui import pages, permissions, views
from cogs.ui.autocomplete import offered
from cogs.ui.permissions import admin, guild_of

Place = TextChannel | VoiceChannel | ForumChannel | CategoryChannel | Thread
Word = app_commands.Range[str, 1, LONGEST_WORD]


@permissions.for_managers
async def allowed_channels(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Offer the channels on the list, deleted ones too."""
    guild = interaction.guild
    found = []
    for number in await interaction.client.services.server_admin.channels(guild_of(interaction)):
        channel = guild.get_channel_or_thread(number) if guild else None
        name = f"#{channel.name}" if channel else f"{number} (deleted)"
        found.append((name, str(number)))
    return offered(found, typed)


@permissions.for_managers
async def refused_words(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Offer the words on the list."""
    words = await interaction.client.services.server_admin.words(guild_of(interaction))
    return offered(((word, word) for word in words), typed)


class Channels(permissions.AdminGroup, name="channel", description="Where music can be requested"):
    """The channels where /generate may be used; an empty list means everywhere."""

    @app_commands.command()
    @app_commands.describe(channel="A channel, a category with all in it, a forum or a thread")
    async def allow(self, interaction: Interaction, channel: Place) -> None:
        """Allow requests in this channel or category. Once one is allowed, all others are not."""
        alone = await self._services.server_admin.allow_channel(
            *admin(interaction), Actor(id=channel.id, name=channel.name)
        )
        others = "and now nowhere else" if alone else "and in the others in `/channel list`"
        await answer(interaction, f"Music can be requested in {channel.mention}, {others}.")

    @app_commands.command()
    @app_commands.autocomplete(channel=allowed_channels)
    @app_commands.describe(channel="A channel on the list, also a deleted one")
    async def forget(self, interaction: Interaction, channel: str) -> None:
        """Take a channel off the list."""
        number = permissions.snowflake(channel) or 0
        found = interaction.guild and interaction.guild.get_channel_or_thread(number)
        left = await self._services.server_admin.forget_channel(
            *admin(interaction), Actor(id=number, name=found.name if found else channel)
        )
        rest = "only in the channels in `/channel list`" if left else "everywhere"
        await answer(interaction, f"Removed. Music can now be requested {rest}.")

    @app_commands.command(name="list")
    async def list_(self, interaction: Interaction) -> None:
        """The channels where music can be requested."""
        await pages.show(interaction, "channels")


class Words(permissions.AdminGroup, name="words", description="Blocked words"):
    """Whole words, in any capitalisation and with look-alike letters."""

    @app_commands.command()
    @app_commands.describe(word="A whole word, or words in that order; add its plural by itself")
    async def add(self, interaction: Interaction, word: Word) -> None:
        """Block prompts and lyrics that contain this word."""
        folded = await self._services.server_admin.add_word(*admin(interaction), word)
        stored = "" if folded == word else f"Stored as “{escape(folded)}”. "
        blocked = f"Prompts and lyrics that contain “{escape(folded)}” are now blocked."
        told = f"{stored}{blocked} {UNSEEN_HERE}"
        listed = views.view(pages.opening("words", "All blocked words"))
        await answer(interaction, told, view=listed)

    @app_commands.command()
    @app_commands.autocomplete(word=refused_words)
    @app_commands.describe(word="A word on the list")
    async def remove(self, interaction: Interaction, word: Word) -> None:
        """Unblock a word."""
        folded = await self._services.server_admin.remove_word(*admin(interaction), word)
        await answer(interaction, f"Prompts and lyrics may contain “{escape(folded)}” again.")

    @app_commands.command(name="list")
    async def list_(self, interaction: Interaction) -> None:
        """The blocked words."""
        await pages.show(interaction, "words")


async def channels(interaction: Interaction, _: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the channels."""
    permissions.require_manager(interaction)
    found = await interaction.client.services.server_admin.channels(guild_of(interaction))
    lines, more = pages.cut([f"<#{channel}>" for channel in found], page)
    return pages.card("Music can be requested in", lines or ["every channel"]), more


async def words(interaction: Interaction, _: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the words."""
    permissions.require_manager(interaction)
    found = await interaction.client.services.server_admin.words(guild_of(interaction))
    lines, more = pages.cut([escape(word) for word in found], page)
    return pages.card("Blocked words", lines or ["none"]), more


async def setup(bot: Fantasia) -> None:
    bot.add_listing(Listing(name="channels", lines=channels))
    bot.add_listing(Listing(name="words", lines=words))
    bot.tree.add_command(Channels(bot.services))
    bot.tree.add_command(Words(bot.services))
