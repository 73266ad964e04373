"""The command that asks for music."""

from typing import Any

import discord
from discord import app_commands

from bot.client import Fantasia, Interaction
from bot.errors import Refusal
from bot.models import Origin, Status
from bot.studio import Studio
from bot.tiers import LONGEST_PROMPT
from cogs import cards
from cogs.buttons import CancelButton, cancel_view

NEEDED = ("view_channel", "send_messages", "attach_files", "embed_links")
NEEDED_IN_THREADS = ("view_channel", "send_messages_in_threads", "attach_files", "embed_links")


def command(studio: Studio) -> app_commands.Command[Any, ..., None]:
    """Make /generate with the operator's longest piece as the bound that Discord enforces."""
    usual = min(8, studio.max_seconds)

    @app_commands.command()
    @app_commands.describe(
        prompt="What the music should be, such as: mozart fantasia",
        duration=f"How long, in seconds: 1 to {studio.max_seconds}",
    )
    async def generate(
        interaction: Interaction,
        prompt: app_commands.Range[str, 1, LONGEST_PROMPT],
        duration: app_commands.Range[int, 1, studio.max_seconds] = usual,
    ) -> None:
        """Turn words into music."""
        origin = _origin(interaction)
        job = await studio.submit(origin, prompt=prompt, seconds=duration)
        standing = await studio.standing(job)
        reply = await interaction.response.send_message(
            embed=cards.waiting(standing), view=cancel_view(job.id)
        )
        await studio.status_message(job, reply.message_id, Status.QUEUED)

    return generate


def _origin(interaction: Interaction) -> Origin:
    if interaction.guild_id is None or interaction.channel_id is None:
        raise Refusal("Music is made in servers: use /generate in a channel of one that has me.")
    _require_permissions(interaction)
    return Origin(
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        user_id=interaction.user.id,
        user_name=interaction.user.display_name,
        application_id=interaction.application_id,
        token=interaction.token,
    )


def _require_permissions(interaction: Interaction) -> None:
    thread = isinstance(interaction.channel, discord.Thread)
    needed = NEEDED_IN_THREADS if thread else NEEDED
    lacking = [name for name in needed if not getattr(interaction.app_permissions, name)]
    if lacking:
        names = ", ".join(name.replace("_", " ").title() for name in lacking)
        raise Refusal(
            f"I lack a permission in this channel: {names}. "
            "Ask whoever manages the server to allow it; nothing was queued."
        )


async def setup(bot: Fantasia) -> None:
    """Add /generate and its button to the bot."""
    bot.tree.add_command(command(bot.studio))
    bot.add_dynamic_items(CancelButton)
