"""/history and /piece: finding music again."""

import discord
from discord import app_commands
from discord.ext import commands
from discord.utils import escape_markdown, format_dt

from bot.client import Fantasia, Interaction
from bot.models import Job, Post, Take
from bot.studio import Studio
from cogs import cards, doors, pages
from cogs.account import in_a_server
from cogs.board import link
from cogs.repeating import result_view, settings

SHOWN = 60
"""Characters of a prompt in a list."""

COMMAND = 1000
"""Characters of a field of an embed, and what stands around the command."""


class Catalogue(commands.Cog):
    """Answers that only the caller sees."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    @app_commands.command()
    @app_commands.describe(member="Whose pieces: your own, unless you manage the server")
    async def history(self, interaction: Interaction, member: discord.User | None = None) -> None:
        """The pieces that were made for you, newest first."""
        in_a_server(interaction)
        await pages.show(interaction, "history", (member or interaction.user).id)

    @app_commands.command()
    @app_commands.describe(number="The number of the piece, such as 42")
    async def piece(
        self, interaction: Interaction, number: app_commands.Range[int, 1, 10**15]
    ) -> None:
        """All about one piece, and the command that makes it again."""
        job, takes, post = await self._studio.piece(
            number,
            guild=in_a_server(interaction),
            user=interaction.user.id,
            manager=interaction.permissions.manage_guild,
        )
        await interaction.response.send_message(
            embed=card(job, takes, post), view=result_view(number), ephemeral=True
        )


@pages.listed("history")
async def pieces(interaction: Interaction, member: int, page: int) -> tuple[str, list[str], bool]:
    """Fill a page of a member's pieces."""
    if member != interaction.user.id:
        doors.require_manager(interaction)
    found = await interaction.client.studio.history(
        in_a_server(interaction), member, pages.PAGE + 1, page * pages.PAGE
    )
    lines = [line(job, post) for job, post in found[: pages.PAGE]]
    return "Pieces, newest first", lines, len(found) > pages.PAGE


def line(job: Job, post: Post | None) -> str:
    """Say in a line what a piece is and where."""
    request = job.request
    words = request.prompt if len(request.prompt) <= SHOWN else f"{request.prompt[:SHOWN]}…"
    takes = f"{request.takes} takes of " if request.takes > 1 else ""
    facts = f"{takes}{request.seconds} s · {request.model} · seed {request.seed}"
    name = f"**#{job.id}** {escape_markdown(words)}"
    at = link(job, post)
    where = f" · [listen]({at})" if at else f" · {job.status}"
    return f"{name}\n{format_dt(job.created_at, 'd')} · {facts}{where}"


def card(job: Job, takes: tuple[Take, ...], post: Post | None) -> discord.Embed:
    """Show everything that a piece was made of."""
    request = job.request
    embed = discord.Embed(
        title=f"Piece #{job.id}", description=cards.prompt(job), colour=cards.VIOLET
    )
    made = [f"{take.number}: seed {take.seed}" for take in takes if take.audio]
    embed.add_field(name="Length", value=f"{request.seconds} s")
    embed.add_field(name="Takes", value="\n".join(made) or str(request.takes))
    embed.add_field(name="Model", value=cards.model(request.model))
    embed.add_field(name="Settings", value=settings(request))
    embed.add_field(name="Asked for", value=f"<@{job.origin.user_id}>, {format_dt(job.created_at)}")
    at = link(job, post)
    state = f"[{job.status}]({at})" if at else str(job.status)
    embed.add_field(name="State", value=state)
    embed.add_field(name="To make it again", value=f"```{command(job)[:COMMAND]}```", inline=False)
    return embed


def command(job: Job) -> str:
    """Return the command that repeats a piece, sample for sample on the same machine."""
    request = job.request
    options = {
        "prompt": request.prompt.replace("`", "'"),
        "duration": request.seconds,
        "takes": request.takes,
        "model": request.model,
        "seed": request.seed,
        "guidance": f"{request.guidance:g}",
        "temperature": f"{request.temperature:g}",
        "top_k": request.top_k,
    }
    return "/generate " + " ".join(f"{name}: {value}" for name, value in options.items())


async def setup(bot: Fantasia) -> None:
    """Add /history and /piece to the bot."""
    await bot.add_cog(Catalogue(bot.studio))
