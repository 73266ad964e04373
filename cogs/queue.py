"""/queue: what is running and waiting, with your own pieces marked and a way to cancel them."""

from typing import Any

import discord
from discord import app_commands, ui
from discord.ext import commands
from discord.utils import format_dt

from bot.client import Fantasia, Interaction, Listing
from bot.rules.markup import escape, isolate
from bot.rules.wording import counted
from bot.values import Job, Standing, Status
from cogs.ui import embeds, pages, permissions, status_embeds
from cogs.ui.autocomplete import MOST_CHOICES
from cogs.ui.buttons import PressableItem

EMPTY = "Nothing is waiting or rendering."


class Queue(commands.Cog):
    """The queue as members see it."""

    @app_commands.command()
    async def queue(self, interaction: Interaction) -> None:
        """What is rendering and waiting, with expected times; cancel your pieces here."""
        await pages.show(interaction, "queue")


class CancelSelect(PressableItem, template="queue:cancel"):
    """Cancels a piece chosen by its number; the studio decides who may."""

    async def press(self, interaction: Interaction) -> None:
        """Cancel, and show the list as it is now."""
        (number,) = self.chosen("([0-9]{1,15})")
        studio, viewer = interaction.client.services.studio, permissions.viewer(interaction)
        await studio.cancel(int(number), viewer)
        await pages.turn(interaction, "queue")


async def queue(interaction: Interaction, _: int, page: int) -> tuple[discord.Embed, bool]:
    """Fill a page of the queue: of the server, or of all for the bot's owner."""
    guild = permissions.guild_of(interaction)
    owner = await interaction.client.is_owner(interaction.user)
    found, count = await interaction.client.services.standings.page(
        None if owner else guild, page, pages.LINES_PER_PAGE
    )
    lines = [_line(interaction, standing, owner=owner) for standing in found]
    if not page and found and found[0].paused is not None:
        lines.insert(0, status_embeds.paused(found[0].paused))
    title = f"The queue: {counted(count, 'piece')}" if count else "The queue"
    return pages.card(title, lines, EMPTY), count > (page + 1) * pages.LINES_PER_PAGE


async def choices(interaction: Interaction) -> list[ui.Item[Any]]:
    """Return the select with the pieces that the member may cancel, if there are any."""
    found = await interaction.client.services.standings.cancellable(
        permissions.guild_of(interaction),
        interaction.user.id,
        manager=interaction.permissions.manage_guild,
    )
    options = [
        discord.SelectOption(label=f"#{job.id} {_label(job)}", value=str(job.id))
        for job in found[:MOST_CHOICES]
    ]
    if not options:
        return []
    return [ui.Select(custom_id="queue:cancel", placeholder="Cancel a piece", options=options)]


def _line(interaction: Interaction, standing: Standing, *, owner: bool) -> str:
    """Say where a job stands; only its owner and managers see its prompt."""
    job = standing.job
    mine = job.origin.user_id == interaction.user.id
    place = f"**{standing.place}.**" if standing.place else _far(job)
    known = mine or owner or interaction.permissions.manage_guild
    words = f" {_words(job)}" if known else ""
    who = "" if mine or not known else f" by {escape(job.origin.user_name)}"
    where = f" in `{job.origin.guild_id}`" if owner else ""
    lane = " · idle lane" if job.idle else ""
    expected = f", {format_dt(standing.ends_at, 'R')}" if standing.ends_at else ""
    star = "★ " if mine else ""
    length = embeds.asked_length(job.request)
    return f"{place} {star}#{job.id}{words} · {length}{who}{where}{lane}{expected}"


def _far(job: Job) -> str:
    return f"♪ **{int(job.progress * 100)} %**" if job.status is Status.RUNNING else "…"


def _label(job: Job) -> str:
    return isolate(job.request.prompt, embeds.PROMPT_SHOWN)


def _words(job: Job) -> str:
    return f"*{escape(job.request.prompt, embeds.PROMPT_SHOWN)}*"


async def setup(bot: Fantasia) -> None:
    bot.add_listing(Listing(name="queue", lines=queue, items=choices))
    await bot.add_cog(Queue())
    bot.add_dynamic_items(CancelSelect)
