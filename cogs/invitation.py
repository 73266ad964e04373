"""Tells the operator how servers add the bot, and which of them give it too little."""

import logging

import discord
from discord.ext import commands

from bot.client import Fantasia
from bot.discord_api import invitation

log = logging.getLogger(__name__)


class WithheldPermissions(commands.Cog):
    """Looks once at what each server does not let the bot do."""

    def __init__(self, bot: Fantasia) -> None:
        self._bot = bot
        self._seen: set[int] = set()

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Look at the servers that it is in; again after each new session, for those it missed."""
        for guild in self._bot.guilds:
            await self.on_guild_join(guild)

    @commands.Cog.listener()
    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Log what is missing; single channels may still allow or deny it."""
        # An unavailable server comes without the bot's own member, whose roles are asked for here.
        if guild.id in self._seen or guild.me is None:
            return
        self._seen.add(guild.id)
        if missing := invitation.lacking(guild.me.guild_permissions):
            log.warning(
                "server %d: the bot's role lacks %s; whoever manages the server can grant that, or "
                "add the bot again by the invite link",
                guild.id,
                missing,
            )


async def setup(bot: Fantasia) -> None:
    """Log the invite link, and add the look at the servers' permissions."""
    assert bot.application_id
    log.info("invite link: %s", invitation.link(bot.application_id))
    await bot.add_cog(WithheldPermissions(bot))
