"""What the status message of a job shows, from its place in the queue to its end."""

from datetime import datetime

import discord
from discord.utils import format_dt

from bot.rules.forecast import PLACES_FORECAST
from bot.rules.markup import escape
from bot.values import EngineState, Job, Standing, Status
from cogs.ui.embeds import GREY, RED, STOP_HERE, VIOLET, asked_length, prompt, whose

PROGRESS_CELLS = 12

MANY_AHEAD = f"More than {PLACES_FORECAST} pieces are ahead of it"

STARTED = "It is already rendering"

IDLE_LANE = (
    "Idle lane: your daily seconds are used up, but nobody is waiting, so this one is free. Any "
    "other request goes first."
)

NO_ROUTE = (
    "Discord refused the file everywhere it could be posted. The music is saved; **Post again** "
    "tries once more and charges it."
)

INCOMPLETE = "Part of it could not be posted. That part was refunded."

LONGEST_SHOWN_REASON = 2000
"""Characters of a reason that are shown: an embed's text has at most 4,096."""


def waiting(standing: Standing) -> discord.Embed:
    """Show a queued job's place and when its music is expected."""
    place = f"Number **{standing.place}** in the queue" if standing.place else MANY_AHEAD
    if standing.job.status is not Status.QUEUED:
        place = STARTED
    lines = [f"{place}{_expected(standing.ends_at)}."]
    if standing.job.idle:
        lines.append(IDLE_LANE)
    lines += _heard(standing.job)
    if standing.paused is not None:
        lines.append(paused(standing.paused))
    elif standing.engine is EngineState.LOADING:
        lines.append("The engine is loading; rendering starts as soon as it is ready.")
    return _card(standing.job, f"Queued as #{standing.job.id}", "\n".join(lines))


def paused(reason: str) -> str:
    """Say that the studio starts nothing, and why."""
    because = f": {escape(reason)}" if reason else ""
    return f"The studio is paused{because}. New requests are queued and start when it resumes."


def rendering(standing: Standing) -> discord.Embed:
    """Show how far a running job is."""
    progress = min(1.0, standing.job.progress)
    cells = int(progress * PROGRESS_CELLS)
    bar = "▰" * cells + "▱" * (PROGRESS_CELLS - cells)
    lines = [f"{bar} **{int(progress * 100)} %**{_expected(standing.ends_at)}"]
    lines += _heard(standing.job)
    return _card(standing.job, f"Rendering #{standing.job.id}", "\n".join(lines))


def posting(job: Job) -> discord.Embed:
    """Show that the music is ready and on its way."""
    return _card(job, f"Posting #{job.id}", "The music is ready and is being posted.")


def done(job: Job, link: str | None) -> discord.Embed:
    """Say in a line where the result is."""
    where = f"[Listen to it here]({link})." if link else "It was sent as a direct message."
    return discord.Embed(description=f"#{job.id} is done. {where}", colour=VIOLET)


def deleted(job: Job) -> discord.Embed:
    """Say in a line that a piece was deleted."""
    return discord.Embed(description=f"#{job.id} was deleted.", colour=GREY)


def cancelled(job: Job) -> discord.Embed:
    """Show that a job was cancelled, or its words erased."""
    if job.forgotten:
        return discord.Embed(title=f"#{job.id} was erased", colour=GREY)
    return _card(job, f"#{job.id} was cancelled", "Nothing was charged.", GREY)


def failed(job: Job) -> discord.Embed:
    """Show why there is no music."""
    text = f"{_reason(job)}\nNothing was charged."
    return _card(job, f"#{job.id} could not be rendered", text, RED)


def undeliverable(job: Job) -> discord.Embed:
    """Show that the music could not be posted, on any route or for a reason of our own."""
    text = f"{_reason(job) or NO_ROUTE}\nNothing was charged."
    return _card(job, f"#{job.id} could not be posted", text, RED)


def incomplete(job: Job) -> discord.Embed:
    """Show that part of what was delivered is missing."""
    return _card(job, f"#{job.id} is not complete", INCOMPLETE, RED)


def stopping(job: Job) -> discord.Embed:
    """Show that a piece ends early."""
    text = "Posting what is done so far. The rest is not charged."
    return _card(job, f"#{job.id} stops here", text)


WITHOUT_STANDING = {
    Status.RENDERED: posting,
    Status.CANCELLED: cancelled,
    Status.FAILED: failed,
    Status.UNDELIVERABLE: undeliverable,
    # What is told of a delivered job is a failure to post all of it; the music itself has a link.
    Status.DELIVERED: incomplete,
}


def ended(job: Job) -> discord.Embed:
    """Show what became of a job that is neither queued nor running."""
    return WITHOUT_STANDING[job.status](job)


def _reason(job: Job) -> str:
    """Return why there is no music, cut to fit a message: the engine may say anything."""
    return escape(job.reason or "", LONGEST_SHOWN_REASON)


def _card(job: Job, title: str, text: str, colour: discord.Colour = VIOLET) -> discord.Embed:
    asked = f"{prompt(job)} · {asked_length(job.request)} · {whose(job)}"
    return discord.Embed(title=title, description=f"{asked}\n{text}", colour=colour)


def _heard(job: Job) -> list[str]:
    """Say what stopping a job means once its preview was posted."""
    if job.stopping:
        return ["Stopping early: what is done so far will be posted, and the rest is not charged."]
    return [STOP_HERE] if job.heard else []


def _expected(ends_at: datetime | None) -> str:
    return f", expected {format_dt(ends_at, 'R')}" if ends_at else ""
