"""Music as embeds: what was posted, a piece with all that went into it, and words about both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import discord
from discord.utils import format_dt

from bot.engine.cards import card
from bot.rules.lyrics import first_line, in_one_line
from bot.rules.markup import escape, escape_lines, isolate
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

PROMPT_IN_CARD = 150
"""Characters of a prompt in a card; /piece shows all of it."""

LINE_IN_CARD = 80
"""Characters of lyrics in a card: of the first line that is sung."""

LYRICS_SHOWN = 2500
"""Characters of lyrics in /piece, so that all of it fits into a message."""

SMALLER_FORMAT = {
    "flac": "FLAC (lossless): the WAV is too large to upload here. The WAV is kept.",
    "ogg": "Ogg Vorbis (slightly lossy): the WAV is too large to upload here. The WAV is kept, and "
    "`Save as` offers FLAC where that fits.",
}

TAKES_APART = "The takes were too large for one message here, so each is posted in its own."
IN_PARTS = "Too large for one file here, so it is posted in consecutive parts."
"""What a result says when it takes several messages."""

KEPT_ALONE = "Take {} alone was kept."

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What a result says besides what it is: its `mark`, the take it extends, and the rest.

    `picture` is the name of the attached picture, `instead` the format that was the first to fit,
    `refunded` the seconds that were refunded before it was posted.
    """

    mark: str
    parent: Take | None = None
    picture: str | None = None
    instead: str = "wav"
    refunded: int = 0
    notes: tuple[str, ...] = ()


def result(job: Job, takes: Sequence[Take], posted: Posted) -> discord.Embed:
    """Show what the attached music is; the line of facts stands below the picture."""
    lines = (
        f"{prompt(job)} · {whose(job)}",
        _sung(job),
        source(job.request, posted.parent),
        SMALLER_FORMAT.get(posted.instead),
        *posted.notes,
    )
    embed = discord.Embed(description="\n".join(filter(None, lines)), colour=VIOLET)
    if posted.picture:
        embed.set_image(url=f"attachment://{posted.picture}")
    return embed.set_footer(text=f"{posted.mark} · {_facts(job, takes, posted.refunded)}")


def _facts(job: Job, takes: Sequence[Take], refunded: int) -> str:
    """Say in a line how long music is and what it was made with, for where nothing is markup."""
    made = [take for take in takes if take.audio]
    seeds = ", ".join(str(take.seed) for take in made)
    stopped = "stopped: " if job.stopping else ""
    known = card(job.request.model)
    facts = (
        lengths(made),
        known.label,
        f"seeds {seeds}" if len(made) > 1 else f"seed {seeds}",
        settings(known.unusual(job.request.options)),
        "idle lane: free" if job.idle else "",
        f"{stopped}{refunded} s refunded" if refunded else "",
    )
    return " · ".join(filter(None, facts))


def source(request: Request, parent: Take | None) -> str | None:
    """Say which piece one was made from."""
    if parent:
        return f"extends #{parent.job_id}" + (f", take {parent.number}" * (parent.number > 1))
    return f"edited from #{request.edited_from}" if request.edited_from else None


def preview(job: Job) -> discord.Embed:
    """Show that the attached music is the preview of a piece."""
    text = (
        f"{prompt(job)} · {asked_length(job.request)} · {whose(job)}\n"
        f"Here is the beginning; the rest is still rendering. {STOP_HERE}"
    )
    return discord.Embed(title=f"The first half minute of #{job.id}", description=text, colour=GREY)


def piece(job: Job, takes: Sequence[Take], post: Post | None, parent: Take | None) -> discord.Embed:
    """Show everything that went into a piece."""
    request = job.request
    made = [f"{take.number}: seed {take.seed}" for take in takes if take.audio]
    at = link(job, post)
    state = f"{job.status}: [listen]({at})" if at else str(job.status)
    facts: dict[str, str | None] = {
        "Length": lengths(takes) or length(request.length),
        "Takes": "\n".join(made) or str(request.takes),
        "Model": card(request.model).label,
        "Settings": settings(request.options),
        "Rendered in": None if job.spent is None else f"{job.spent:.1f} s",
        "Requested by": f"<@{job.origin.user_id}>, {format_dt(job.created_at)}",
        "State": "deleted" if job.deleted else state,
    }
    star, title = "★ " if job.starred else "", f": {escape(job.title)}" if job.title else ""
    words = "\n\n".join(filter(None, (prompt(job, None), _lyrics(request))))
    embed = discord.Embed(title=f"{star}Piece #{job.id}{title}", description=words, colour=VIOLET)
    if parent:  # no command extends a take, so there is none that makes it again
        facts["Extended from"] = f"#{parent.job_id}, take {parent.number}, by {request.seconds} s"
        return fill(embed, facts)
    facts["Edited from"] = f"#{request.edited_from}" if request.edited_from else None
    again = f"```{command(request)[:LONGEST_COMMAND]}```"
    return fill(fill(embed, facts), {"Make it again": again}, inline=False)


def line(job: Job, takes: Sequence[Take], post: Post | None) -> str:
    """Say in two lines what a piece is and where."""
    request, at = job.request, link(job, post)
    where = f"[listen]({at})" if at else job.status
    star, title = "★ " if job.starred else "", f"**{escape(job.title)}** · " if job.title else ""
    return (
        f"{star}**#{job.id}** {title}{escape(request.prompt, PROMPT_SHOWN)}\n"
        f"{format_dt(job.created_at, 'd')} · "
        f"{lengths(takes)} · {request.model} · seed {request.seed} · {where}"
    )


def command(request: Request) -> str:
    """Return the command that repeats a piece, sample for sample on the same machine.

    Lyrics that are too long for it, or another's, are left out: then it opens a form for them.
    """
    if request.lyrics is None:
        return _command("/generate", {"prompt": request.prompt}, request)
    style = {"style": request.prompt}
    spoken = {"language": request.language} if request.language else {}
    whole = _command("/song", style | {"lyrics": in_one_line(request.lyrics)} | spoken, request)
    fits = request.lyrics and len(whole) <= LONGEST_COMMAND
    return whole if fits else _command("/song", style | spoken, request)


def _command(name: str, words: Mapping[str, str], request: Request) -> str:
    options = {
        # Within a block of code a backtick would end it, and a backslash would not escape one.
        **{key: isolate(text).replace("`", "'") for key, text in words.items()},
        "duration": request.seconds,
        "takes": request.takes,
        "model": request.model,
        "seed": request.seed,
    } | {name: f"{value:g}" for name, value in request.options.items()}
    return f"{name} " + " ".join(f"{key}: {value}" for key, value in options.items())


def prompt(job: Job, most: int | None = PROMPT_IN_CARD) -> str:
    """Return the prompt, or so many characters of it, so that nothing in it is markup."""
    return f"**{escape(job.request.prompt, most)}**"


def _sung(job: Job) -> str | None:
    """Return the line that a card shows of a song."""
    line = first_line(job.request.lyrics) if job.request.lyrics else None
    return f"♪ *{escape(line, LINE_IN_CARD)}*" if line else None


def _lyrics(request: Request) -> str | None:
    """Return the lyrics of a song as who wrote them reads them, and what others do instead."""
    if request.lyrics is None:
        return None
    hidden = "-# A song: its lyrics are shown to who wrote them, and to managers."
    return escape_lines(request.lyrics, LYRICS_SHOWN) or hidden


def named(job: Job) -> str:
    """Name a piece within a sentence: its number and its words."""
    return f"**#{job.id}** *{escape(job.request.prompt, PROMPT_SHOWN)}*"


def whose(job: Job) -> str:
    """Say for whom a piece is, without a mention: in an embed some clients show its number."""
    return f"for {escape(job.origin.user_name) or 'somebody'}"


def length(seconds: float) -> str:
    """Say how long music is, to a tenth of a second."""
    return f"{round(seconds, 1):g} s"


def lengths(takes: Sequence[Take]) -> str:
    """Say how long the finished takes are, or those that are kept; nothing where there are none."""
    kept = [take for take in takes if take.audio] or takes
    made = [length(take.seconds) for take in kept if take.seconds]
    if len(made) > 1 and len(set(made)) == 1:
        return f"{len(made)} takes of {made[0]}"
    return " + ".join(made)


def asked_length(request: Request) -> str:
    """Say what length was asked for."""
    if request.before:
        return f"{request.seconds} s more, {request.length:g} s in all"
    takes = f"{request.takes} takes of " if request.takes > 1 else ""
    return f"{takes}{request.seconds} s"


def settings(options: Mapping[str, float]) -> str:
    """Write options as a form reads them."""
    return ", ".join(f"{name} {value:g}" for name, value in options.items())
