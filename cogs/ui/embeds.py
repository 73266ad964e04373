"""Music as embeds: what was posted, a piece with all that went into it, and words about both."""

from collections.abc import Mapping, Sequence

import discord
from discord.utils import format_dt

from bot.engine.cards import card
from bot.rules.markup import escape, isolate
from bot.values import Job, Post, Request, Take
from cogs.ui.places import link

VIOLET = discord.Colour(0x7C5CFC)
GREY = discord.Colour(0x80848E)
RED = discord.Colour(0xD83C3E)

LONGEST_DESCRIPTION, LONGEST_FIELD = 4096, 1024
"""Characters that Discord takes as an embed's description, and as the value of a field."""

LONGEST_COMMAND = 1000
"""Characters of a command in a field, which has the marks of a block of code around it."""

PROMPT_SHOWN = 60
"""Characters of a prompt in a list."""

SMALLER_FORMAT = {
    "flac": "FLAC (lossless): the WAV is too large to upload here. The WAV is kept.",
    "ogg": "Ogg Vorbis (slightly lossy): the WAV is too large to upload here. The WAV is kept, and "
    "`Save as` offers FLAC where that fits.",
}

TAKES_APART = "The takes were too large for one message here, so each is posted in its own."
IN_PARTS = "Too large for one file here, so it is posted in consecutive parts."
"""What a result says when it takes several messages."""

STOP_HERE = "**Stop here** keeps what is done so far and refunds the rest."

REPEATED = "You may already have this one: Discord never confirmed the first attempt."


def fill(
    embed: discord.Embed, fields: Mapping[str, str | None], *, inline: bool = True
) -> discord.Embed:
    """Add the fields that have a value: Discord refuses a message with an empty one."""
    for name, value in fields.items():
        if value:
            embed.add_field(name=name, value=value, inline=inline)
    return embed


def result(
    job: Job, takes: Sequence[Take], picture: str | None = None, kind: str = "wav"
) -> discord.Embed:
    """Show what the attached music is, in which format, with the attached picture of that name."""
    embed = discord.Embed(description=prompt(job), colour=VIOLET)
    takes = [take for take in takes if take.audio]
    several = len(takes) > 1
    seeds = (f"{take.number}: {take.seed}" if several else str(take.seed) for take in takes)
    facts = {
        "Length": lengths(takes),
        "Seeds" if several else "Seed": "\n".join(seeds),
        "Requested by": escape(job.origin.user_name) or "somebody",
        "Rendered in": None if job.spent is None else f"{job.spent:.1f} s",
        "Model": card(job.request.model).label,
        "Settings": settings(job.request, unusual=True),
        "Charged": "nothing (idle lane)" if job.idle else None,
    }
    if picture:
        embed.set_image(url=f"attachment://{picture}")
    fill(fill(embed, facts), {"Format": SMALLER_FORMAT.get(kind)}, inline=False)
    return embed.set_footer(text=f"Piece #{job.id}")


def preview(job: Job) -> discord.Embed:
    """Show that the attached music is the preview of a piece."""
    text = (
        f"{prompt(job)} · {asked_length(job.request)}\n"
        f"Here is the beginning; the rest is still rendering. {STOP_HERE}"
    )
    return discord.Embed(title=f"The first half minute of #{job.id}", description=text, colour=GREY)


def piece(job: Job, takes: Sequence[Take], post: Post | None, parent: Take | None) -> discord.Embed:
    """Show everything that went into a piece."""
    request = job.request
    made = [f"{take.number}: seed {take.seed}" for take in takes if take.audio]
    at = link(job, post)
    state = f"[{job.status}]({at})" if at else str(job.status)
    facts: dict[str, str | None] = {
        "Length": lengths(takes) or length(request.length),
        "Takes": "\n".join(made) or str(request.takes),
        "Model": card(request.model).label,
        "Settings": settings(request),
        "Requested by": f"<@{job.origin.user_id}>, {format_dt(job.created_at)}",
        "State": "deleted" if job.deleted else state,
    }
    embed = discord.Embed(title=f"Piece #{job.id}", description=prompt(job), colour=VIOLET)
    if parent:  # no command extends a take, so there is none that makes it again
        facts["Extended from"] = f"#{parent.job_id}, take {parent.number}, by {request.seconds} s"
        return fill(embed, facts)
    facts["Edited from"] = f"#{request.edited_from}" if request.edited_from else None
    again = f"```{command(job)[:LONGEST_COMMAND]}```"
    return fill(fill(embed, facts), {"Make it again": again}, inline=False)


def line(job: Job, takes: Sequence[Take], post: Post | None) -> str:
    """Say in two lines what a piece is and where."""
    request, at = job.request, link(job, post)
    where = f"[listen]({at})" if at else job.status
    return (
        f"**#{job.id}** {escape(request.prompt, PROMPT_SHOWN)}\n{format_dt(job.created_at, 'd')} · "
        f"{lengths(takes)} · {request.model} · seed {request.seed} · {where}"
    )


def command(job: Job) -> str:
    """Return the command that repeats a piece, sample for sample on the same machine."""
    request = job.request
    options = {
        # Within a block of code a backtick would end it, and a backslash would not escape one.
        "prompt": isolate(request.prompt).replace("`", "'"),
        "duration": request.seconds,
        "takes": request.takes,
        "model": request.model,
        "seed": request.seed,
        "guidance": f"{request.guidance:g}",
        "temperature": f"{request.temperature:g}",
        "top_k": request.top_k,
    }
    return "/generate " + " ".join(f"{name}: {value}" for name, value in options.items())


def prompt(job: Job) -> str:
    """Return the prompt so that nothing in it is markup."""
    return f"**{escape(job.request.prompt)}**"


def length(seconds: float) -> str:
    """Say how long music is, to a tenth of a second."""
    return f"{round(seconds, 1):g} s"


def lengths(takes: Sequence[Take]) -> str:
    """Say how long the finished takes are; nothing where there are none."""
    made = [length(take.seconds) for take in takes if take.seconds]
    if len(made) > 1 and len(set(made)) == 1:
        return f"{len(made)} takes of {made[0]}"
    return " + ".join(made)


def asked_length(request: Request) -> str:
    """Say what length was asked for."""
    if request.before:
        return f"{request.seconds} s more, {request.length:g} s in all"
    return f"{request.takes} x {request.seconds} s" if request.takes > 1 else f"{request.seconds} s"


def settings(request: Request, *, unusual: bool = False) -> str:
    """Write a request's settings as its form reads them; the `unusual` differ from the defaults."""
    usual = Request(prompt="", seconds=1, model="", seed=0)
    return ", ".join(
        f"{name} {getattr(request, name):g}"
        for name in card(request.model).options
        if not unusual or getattr(request, name) != getattr(usual, name)
    )
