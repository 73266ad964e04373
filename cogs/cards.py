"""What members read: the status of a job and the result, as embeds."""

from datetime import datetime

import discord
from discord.utils import escape_markdown

from bot.models import EngineState, Job, Standing, Status, Take

VIOLET = discord.Colour(0x7C5CFC)
GREY = discord.Colour(0x80848E)
RED = discord.Colour(0xD83C3E)

BAR = 12


def waiting(standing: Standing) -> discord.Embed:
    """Show a queued job's place and when its music is expected."""
    lines = [f"Place **{standing.place}** in the queue{_expected(standing.ends_at)}."]
    if standing.engine is EngineState.LOADING:
        lines.append("The engine is loading; rendering begins as soon as it is ready.")
    return _card(standing.job, f"Queued as #{standing.job.id}", "\n".join(lines))


def rendering(standing: Standing) -> discord.Embed:
    """Show how far a running job is."""
    progress = min(1.0, standing.job.progress)
    done = int(progress * BAR)
    bar = "▰" * done + "▱" * (BAR - done)
    text = f"{bar} **{int(progress * 100)} %**{_expected(standing.ends_at)}"
    return _card(standing.job, f"Rendering #{standing.job.id}", text)


def posting(job: Job) -> discord.Embed:
    """Show that the music exists and is on its way."""
    return _card(job, f"Posting #{job.id}", "The music is ready and is being posted.")


def done(job: Job, link: str | None) -> discord.Embed:
    """Show where the result is."""
    where = f"[Listen to it here]({link})." if link else "The music was delivered."
    return _card(job, f"#{job.id} is done", where)


def cancelled(job: Job) -> discord.Embed:
    """Show that a job was cancelled."""
    return _card(job, f"#{job.id} was cancelled", "Nothing was charged.", GREY)


def failed(job: Job) -> discord.Embed:
    """Show why there is no music."""
    text = f"{job.reason}\nNothing was charged."
    return _card(job, f"#{job.id} could not be rendered", text, RED)


def undeliverable(job: Job) -> discord.Embed:
    """Show that Discord took the music on no route."""
    text = "Discord refused the file everywhere it could be posted. Nothing was charged."
    return _card(job, f"#{job.id} could not be posted", text, RED)


def result(job: Job, takes: tuple[Take, ...]) -> discord.Embed:
    """Show what the attached music is."""
    embed = discord.Embed(description=prompt(job), colour=VIOLET)
    embed.add_field(name="Length", value=" + ".join(f"{take.seconds:g} s" for take in takes))
    embed.add_field(name="Seed", value=", ".join(str(take.seed) for take in takes))
    embed.add_field(name="Asked for by", value=escape_markdown(job.origin.user_name))
    if job.started_at and job.rendered_at:
        spent = (job.rendered_at - job.started_at).total_seconds()
        embed.add_field(name="Rendered in", value=f"{spent:.1f} s")
    embed.add_field(name="Model", value=model(job.request.model))
    embed.set_footer(text=f"Piece #{job.id}")
    return embed


def model(name: str) -> str:
    """Name what made the music."""
    return "Sketch engine: not MusicGen" if name == "sketch" else f"MusicGen, {name}"


def prompt(job: Job) -> str:
    """Return the prompt so that nothing in it is markup."""
    return f"**{escape_markdown(job.request.prompt)}**"


def file_name(job: Job, take: Take) -> str:
    """Name a take's file after its prompt, such as `mozart-fantasia-7.wav`."""
    number = f"-{take.number}" if job.request.takes > 1 else ""
    return f"{job.request.slug}-{job.id}{number}.wav"


def _card(job: Job, title: str, text: str, colour: discord.Colour = VIOLET) -> discord.Embed:
    seconds = f"{job.request.takes} x {job.request.seconds} s" if job.request.takes > 1 else ""
    asked = f"{prompt(job)} · {seconds or f'{job.request.seconds} s'}"
    return discord.Embed(title=title, description=f"{asked}\n{text}", colour=colour)


def _expected(ends_at: datetime | None) -> str:
    return f", expected {discord.utils.format_dt(ends_at, 'R')}" if ends_at else ""


WITHOUT_STANDING = {
    Status.RENDERED: posting,
    Status.CANCELLED: cancelled,
    Status.FAILED: failed,
    Status.UNDELIVERABLE: undeliverable,
}
