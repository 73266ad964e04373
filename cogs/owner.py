"""/studio: the bot owner's commands, registered in the owner's server alone."""

from typing import Any, Literal

import discord
from discord import app_commands

from bot.admin.servers import described
from bot.client import Fantasia, Interaction, Listing, answer
from bot.engine.cards import LONGEST_PIECE
from bot.errors import Refusal
from bot.rules.markup import escape
from cogs.ui import pages, permissions, status_embeds, studio_embeds
from cogs.ui.autocomplete import LONGEST_CHOICE, offered
from cogs.ui.permissions import AdminGroup

ACCESS_CHOICES = {"allow": True, "refuse": False, "follow the list": None}


NamedEngine = app_commands.Range[str, 1, LONGEST_CHOICE]


async def engines(
    interaction: discord.Interaction[Any], typed: str
) -> list[app_commands.Choice[str]]:
    """Offer the owner the engines by name."""
    assert isinstance(interaction.client, Fantasia)
    if not await interaction.client.is_owner(interaction.user):
        return []  # discord.py skips a group's check when it completes an option
    found = await interaction.client.services.operations.engines()
    names = {each.name: f"{each.name}, paused" if each.paused else each.name for each in found}
    return offered(((shown, name) for name, shown in names.items()), typed)


@app_commands.default_permissions(administrator=True)
class Owners(AdminGroup, name="studio", description="Controls for the owner of the bot"):
    """Which servers may use the studio, how much, and the operator's controls."""

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Let the owner pass."""
        # An administrator of the owner's server sees these commands too.
        await permissions.require_owner(interaction)
        return True

    @app_commands.command()
    @app_commands.rename(server="id", max_seconds="max-seconds", per_day="seconds-per-day")
    @app_commands.describe(
        server="The server's id",
        access="Whether it may use the studio",
        max_seconds="The longest piece, in seconds; 0 for the value in .env",
        waiting="How many pieces may wait; 0 for the value in .env",
        per_day="Seconds of music a day; -1 for the value in .env",
    )
    async def server(
        self,
        interaction: Interaction,
        server: app_commands.Range[str, 15, 20],
        access: Literal["allow", "refuse", "follow the list"] | None = None,
        max_seconds: app_commands.Range[int, 0, LONGEST_PIECE] | None = None,
        waiting: app_commands.Range[int, 0, 100_000] | None = None,
        per_day: app_commands.Range[int, -1, 100_000_000] | None = None,
    ) -> None:
        """Allow or refuse a server, or set limits of its own."""
        guild, actor = permissions.snowflake(server), permissions.actor(interaction.user)
        if guild is None:
            raise Refusal("A server id is a number of 15 to 20 digits, as Discord shows it.")
        if access is not None:
            await self._services.server_admin.allow_server(guild, actor, ACCESS_CHOICES[access])
        changes = {"max_seconds": max_seconds, "waiting": waiting, "seconds_per_day": per_day}
        if any(value is not None for value in changes.values()):
            await self._services.server_admin.limit_server(guild, actor, changes)
        await answer(interaction, await line(interaction.client, guild))

    @app_commands.command()
    @app_commands.describe(reason="What members read while they wait")
    async def pause(
        self, interaction: Interaction, reason: app_commands.Range[str, 1, 200] = ""
    ) -> None:
        """Start no more pieces. New requests are queued; current renders finish."""
        await self._services.operations.pause(reason)
        await answer(interaction, status_embeds.paused(reason))

    @app_commands.command()
    async def resume(self, interaction: Interaction) -> None:
        """Start pieces again."""
        await self._services.operations.resume()
        await answer(interaction, "The studio has resumed.")

    engine = app_commands.Group(name="engine", description="Take one engine out for a while")

    @engine.command(name="pause")
    @app_commands.autocomplete(name=engines)
    @app_commands.describe(name="The engine, such as gpu-0")
    async def pause_engine(self, interaction: Interaction, name: NamedEngine) -> None:
        """Start no more pieces on one engine. What it renders is finished; others go on."""
        await self._services.operations.pause_engine(name)
        await answer(
            interaction,
            f"{escape(name)} is paused: it finishes what it renders and starts nothing, "
            "also after a restart.",
        )

    @engine.command(name="resume")
    @app_commands.autocomplete(name=engines)
    @app_commands.describe(name="A paused engine, such as gpu-0")
    async def resume_engine(self, interaction: Interaction, name: NamedEngine) -> None:
        """Start pieces on an engine again."""
        await self._services.operations.resume_engine(name)
        await answer(interaction, f"{escape(name)} has resumed.")

    @app_commands.command()
    async def drain(self, interaction: Interaction) -> None:
        """Finish and post current renders, then shut down. Queued pieces stay queued."""
        # Said first: with nothing left to finish, the connection is closed at once.
        await answer(interaction, "Finishing and posting current renders, then shutting down.")
        self._services.operations.drain()

    @app_commands.command()
    @app_commands.describe(number="The number of the piece, such as 42")
    @app_commands.rename(number="id")
    async def cancel(
        self, interaction: Interaction, number: app_commands.Range[int, 1, 10**15]
    ) -> None:
        """Cancel a piece on any server and refund it, even if a preview was posted."""
        studio = self._services.studio
        guild = (await studio.job(number)).origin.guild_id
        job = await studio.cancel(number, permissions.operator(interaction, guild), refund=True)
        await answer(interaction, f"#{job.id} on server `{guild}` was cancelled and refunded.")

    @app_commands.command()
    async def stats(self, interaction: Interaction) -> None:
        """How the studio is doing."""
        embed = studio_embeds.stats(
            await self._services.operations.stats(), interaction.client.latency
        )
        await answer(interaction, embed=embed)

    @app_commands.command()
    async def servers(self, interaction: Interaction) -> None:
        """The servers that the studio knows, and what they are allowed."""
        await pages.show(interaction, "servers")


async def servers(interaction: Interaction, _: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the servers."""
    await permissions.require_owner(interaction)
    bot = interaction.client
    known = {*(guild.id for guild in bot.guilds), *await bot.services.server_admin.known_servers()}
    found, more = pages.cut(sorted(known), page)
    return pages.card("Servers", [await line(bot, guild) for guild in found]), more


async def line(bot: Fantasia, guild: int) -> str:
    """Say in a line what a server is allowed."""
    limits = await bot.services.server_admin.limits(guild)
    known = bot.get_guild(guild)
    name = escape(known.name) if known else "I am not in that server"
    verdict = "allowed" if limits.allows(guild) else "refused"
    return f"`{guild}` {name}: **{verdict}**, {described(limits)}"


async def setup(bot: Fantasia) -> None:
    """Add /studio to the owner's server, if there is one."""
    bot.add_listing(Listing(name="servers", lines=servers))
    if bot.owner_guild:
        bot.tree.add_command(Owners(bot.services), guild=bot.owner_guild)
