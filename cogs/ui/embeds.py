"""What members read: the status of a job and the result, as embeds."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import discord
from discord.utils import format_dt

from bot.engine.cards import card
from bot.rules import quota, tiers
from bot.rules.forecast import PLACES_FORECAST
from bot.rules.markup import escape, isolate, some
from bot.rules.wording import counted, span
from bot.values import (
    About,
    EngineState,
    Entry,
    Job,
    Membership,
    Offer,
    Request,
    Source,
    Standing,
    Stats,
    Status,
    Take,
    Tier,
    Usage,
)

VIOLET = discord.Colour(0x7C5CFC)
GREY = discord.Colour(0x80848E)
RED = discord.Colour(0xD83C3E)

PROGRESS_CELLS = 12

LONGEST_DESCRIPTION, LONGEST_FIELD = 4096, 1024
"""Characters that Discord takes as an embed's description, and as the value of a field."""

RoleNames = Mapping[int, str]
"""A server's roles by id, as they are shown."""

TIERS_PER_PAGE, LONGEST_NAMES = 5, 250
"""Tiers on a page, and characters for the roles of one and for its models, so that it fits."""

DELETED_ROLE = "@deleted-role"

SMALLER_FORMAT = {
    "flac": "FLAC (lossless): the WAV is too large to upload here. The WAV is kept.",
    "ogg": "Ogg Vorbis (slightly lossy): the WAV is too large to upload here. The WAV is kept, and "
    "`Save as` offers FLAC where that fits.",
}

MANY_AHEAD = f"More than {PLACES_FORECAST} pieces are ahead of it"

STARTED = "It is already rendering"

IDLE_LANE = (
    "Idle lane: your daily seconds are used up, but nobody is waiting, so this one is free. Any "
    "other request goes first."
)

TAKES_APART = "The takes were too large for one message here, so each is posted in its own."
IN_PARTS = "Too large for one file here, so it is posted in consecutive parts."
"""What a result says when it takes several messages."""

STOP_HERE = "**Stop here** keeps what is done so far and refunds the rest."

NO_ROUTE = (
    "Discord refused the file everywhere it could be posted. The music is saved; **Post again** "
    "tries once more and charges it."
)

INCOMPLETE = "Part of it could not be posted. That part was refunded."

LONGEST_SHOWN_REASON = 2000
"""Characters of a reason that are shown: an embed's text has at most 4,096."""

REPEATED = "You may already have this one: Discord never confirmed the first attempt."


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
    done = int(progress * PROGRESS_CELLS)
    bar = "▰" * done + "▱" * (PROGRESS_CELLS - done)
    lines = [f"{bar} **{int(progress * 100)} %**{_expected(standing.ends_at)}"]
    lines += _heard(standing.job)
    return _card(standing.job, f"Rendering #{standing.job.id}", "\n".join(lines))


def posting(job: Job) -> discord.Embed:
    """Show that the music is ready and on its way."""
    return _card(job, f"Posting #{job.id}", "The music is ready and is being posted.")


def done(job: Job, link: str | None) -> discord.Embed:
    """Show where the result is."""
    where = f"[Listen to it here]({link})." if link else "Delivered."
    return _card(job, f"#{job.id} is done", where)


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


def preview(job: Job) -> discord.Embed:
    """Show that the attached music is the preview of a piece."""
    text = (
        f"{prompt(job)} · {asked_length(job.request)}\n"
        f"Here is the beginning; the rest is still rendering. {STOP_HERE}"
    )
    return discord.Embed(title=f"The first half minute of #{job.id}", description=text, colour=GREY)


def stopping(job: Job) -> discord.Embed:
    """Show that a piece ends early."""
    text = "Posting what is done so far. The rest is not charged."
    return _card(job, f"#{job.id} stops here", text)


def result(
    job: Job, takes: tuple[Take, ...], picture: str | None = None, kind: str = "wav"
) -> discord.Embed:
    """Show what the attached music is, in which format, with the attached picture of that name."""
    takes = tuple(take for take in takes if take.audio)
    embed = discord.Embed(description=prompt(job), colour=VIOLET)
    if picture:
        embed.set_image(url=f"attachment://{picture}")
    embed.add_field(name="Length", value=lengths(takes))
    several = len(takes) > 1
    seeds = (f"{take.number}: {take.seed}" if several else str(take.seed) for take in takes)
    embed.add_field(name="Seeds" if several else "Seed", value="\n".join(seeds))
    embed.add_field(name="Requested by", value=escape(job.origin.user_name) or "somebody")
    if job.spent is not None:
        embed.add_field(name="Rendered in", value=f"{job.spent:.1f} s")
    embed.add_field(name="Model", value=model(job.request.model))
    if settings := _settings(job.request):
        embed.add_field(name="Settings", value=settings)
    if job.idle:
        embed.add_field(name="Charged", value="nothing (idle lane)")
    if kind in SMALLER_FORMAT:
        embed.add_field(name="Format", value=SMALLER_FORMAT[kind], inline=False)
    embed.set_footer(text=f"Piece #{job.id}")
    return embed


def length(seconds: float) -> str:
    """Say how long music is, to a tenth of a second."""
    return f"{round(seconds, 1):g} s"


def lengths(takes: tuple[Take, ...]) -> str:
    """Say how long the finished takes are; nothing where there are none."""
    made = [length(take.seconds) for take in takes if take.seconds]
    if len(made) > 1 and len(set(made)) == 1:
        return f"{len(made)} takes of {made[0]}"
    return " + ".join(made)


def _settings(request: Request) -> str:
    """Name the settings that differ from the defaults."""
    usual = Request(prompt="", seconds=1, model="", seed=0)
    asked = (
        f"{name} {getattr(request, name):g}"
        for name in card(request.model).options
        if getattr(request, name) != getattr(usual, name)
    )
    return ", ".join(asked)


def model(name: str) -> str:
    """Name what made the music."""
    return card(name).label


def usage(usage: Usage, roles: RoleNames, title: str = "Your usage") -> discord.Embed:
    """Show where a member stands."""
    held = usage.membership
    embed = discord.Embed(title=title, colour=VIOLET)
    tier = f"**{escape(held.tier.name)}**"
    embed.add_field(name="Tier", value=f"{tier}, {_source(held, roles)}")
    everywhere = " on all servers" if held.everywhere else ""
    left = f"**{span(usage.left)}** of {span(held.per_day)}{everywhere}"
    embed.add_field(name="Left today", value=f"{left}, resets {format_dt(usage.resets_at, 'R')}")
    if usage.block:
        embed.add_field(name="Blocked", value=quota.blocked(usage.block), inline=False)
    if usage.grants:
        lines = [
            f"**{span(grant.left)}** of {span(grant.seconds)}"
            + (f": {escape(grant.reason, 120)}" if grant.reason else "")
            + (f", until {format_dt(grant.expires_at, 'd')}" if grant.expires_at else "")
            for grant in usage.grants
        ]
        embed.add_field(name="Granted", value=some(lines, LONGEST_FIELD, "\n"), inline=False)
    jobs = [f"#{job} is rendering" for job in usage.running]
    jobs += [f"#{job} is waiting" for job in usage.waiting]
    if jobs:
        embed.add_field(name="Pieces", value=some(jobs, LONGEST_FIELD), inline=False)
    if usage.ledger:
        lines = [_entry(entry) for entry in usage.ledger]
        embed.add_field(name="Latest entries", value=some(lines, LONGEST_FIELD, "\n"), inline=False)
    return embed


def plans(
    offers: Sequence[Offer], held: Membership, loaded: tuple[str, ...], roles: RoleNames
) -> discord.Embed:
    """Show a server's tiers side by side, the member's own marked."""
    embed = discord.Embed(title="Tiers on this server", colour=VIOLET)
    for offer in offers:
        tier = offer.tier
        mine = tier.key == held.tier.key
        lines = [
            escape(tier.price),
            f"pieces up to {tier.longest} s",
            f"{span(tier.per_day)} of music a day",
            f"{counted(tier.takes, 'take')} per request",
            f"up to {tier.waiting} waiting",
            _models(tier, loaded),
            _how(offer, roles),
        ]
        name = f"★ {escape(tier.name)} (yours)" if mine else escape(tier.name)
        embed.add_field(name=name, value="\n".join(filter(None, lines)))
    embed.set_footer(text=f"Your tier: {isolate(held.tier.name)}, {_source(held)}")
    return embed


def allows(tier: Tier) -> str:
    """Say in a line what a tier allows."""
    names = ["all models"] if "*" in tier.models else map(escape, tiers.ordered(tier))
    return (
        f"pieces up to {tier.longest} s, {counted(tier.takes, 'take')} per request, "
        f"{span(tier.per_day)} a day, up to {tier.waiting} waiting, "
        f"{some(list(names), LONGEST_NAMES)}"
    )


def help_(*, manager: bool) -> discord.Embed:
    """Show what the bot can do on one screen."""
    embed = discord.Embed(
        title="Words into music",
        colour=VIOLET,
        description=(
            "`/generate` takes a prompt such as *mozart fantasia* and a length, queues it, and "
            "posts the music in the channel. Its reply shows your place in the queue and the "
            "progress, with a Cancel button."
        ),
    )
    embed.add_field(
        name="About you",
        value=(
            "`/usage` your tier, what is left today, your latest pieces\n"
            "`/queue` what is rendering and waiting; cancel yours there\n"
            "`/plans` the tiers on this server and how to get them\n"
            "`/history` your pieces · `/piece` everything about one of them\n"
            "`/resend` posts one again, in any format · `/forget me` erases everything of yours"
        ),
        inline=False,
    )
    embed.add_field(
        name="Under a result",
        value=(
            "**Again** with a new seed · **Edit** and resubmit · **Extend** by 5 to 30 s · **Save "
            "as** FLAC, MP3 or Ogg · **Delete**. Long pieces are previewed, and can be stopped "
            "early."
        ),
        inline=False,
    )
    if manager:
        embed.add_field(
            name="For server managers",
            value=(
                "`/tier` what members can request, and which roles grant it\n"
                "`/quota` seconds for individual members, and the log of all changes\n"
                "`/member` block and unblock\n"
                "`/channel` where music can be requested\n"
                "`/panel` a message with a button that opens the request form\n"
                "`/words` blocked words"
            ),
            inline=False,
        )
    embed.add_field(
        name="What it costs",
        value=(
            "Seconds are deducted when a piece is queued. Pieces that fail, are cancelled or "
            "cannot be posted are refunded. Your allowance resets at midnight UTC."
        ),
        inline=False,
    )
    return embed


def stats(stats: Stats, latency: float) -> discord.Embed:
    """Show the owner how the studio is doing."""
    embed = discord.Embed(title="The studio", colour=VIOLET)
    if stats.paused is not None:
        embed.description = paused(stats.paused)
    jobs = ", ".join(f"{stats.jobs[state]} {state}" for state in Status if stats.jobs.get(state))
    embed.add_field(name="Pieces", value=jobs or "none yet", inline=False)
    embed.add_field(name="Engine", value=stats.engine)
    embed.add_field(name="Longest wait now", value=span(stats.waited))
    embed.add_field(name="Messages owed", value=str(stats.owed))
    pieces, seconds = stats.rendered
    made = f"{counted(pieces, 'piece')}, {span(seconds)} of music"
    embed.add_field(name="Last 24 hours", value=made)
    for speed in stats.speeds[:5]:
        pace = f"{speed.pace:.2f} s of work per second of music"
        embed.add_field(name=f"Speed of {speed.model}"[:256], value=pace)
    faults = ", ".join(f"{count} {kind}" for kind, count in stats.faults.items())
    embed.add_field(name="Failed", value=faults or "none")
    kept = f"{stats.kept_bytes / 1e9:.1f} GB in {counted(stats.files, 'file')}"
    embed.add_field(name="Disk", value=f"{kept}, {stats.free_bytes / 1e9:.1f} GB free")
    embed.add_field(name="Discord", value=f"heartbeat in {latency * 1000:.0f} ms")
    return embed


def about(about: About, models: tuple[str, ...]) -> discord.Embed:
    """Show the version, the models and their licence, and where the code is."""
    embed = discord.Embed(title=f"Fantasia {about.version}", colour=VIOLET)
    embed.add_field(name="Model", value=some([model(name) for name in models], LONGEST_FIELD))
    if not all(card(name).stands_in for name in models):
        licence = about.licence or "unknown: ask whoever runs this bot"
        embed.add_field(name="Licence of the weights", value=licence)
    embed.add_field(name="Code", value=about.code or "ask whoever runs this bot; MIT licence")
    return embed


def prompt(job: Job) -> str:
    """Return the prompt so that nothing in it is markup."""
    return f"**{escape(job.request.prompt)}**"


def asked_length(request: Request) -> str:
    """Say what length was asked for."""
    if request.before:
        return f"{request.seconds} s more, {request.length:g} s in all"
    return f"{request.takes} x {request.seconds} s" if request.takes > 1 else f"{request.seconds} s"


def _reason(job: Job) -> str:
    """Return why there is no music, cut to fit a message: the engine may say anything."""
    return escape(job.reason or "", LONGEST_SHOWN_REASON)


def _card(job: Job, title: str, text: str, colour: discord.Colour = VIOLET) -> discord.Embed:
    asked = f"{prompt(job)} · {asked_length(job.request)}"
    return discord.Embed(title=title, description=f"{asked}\n{text}", colour=colour)


def _heard(job: Job) -> list[str]:
    """Say what stopping a job means once its preview was posted."""
    if job.stopping:
        return ["Stopping early: what is done so far will be posted, and the rest is not charged."]
    return [STOP_HERE] if job.heard else []


def _expected(ends_at: datetime | None) -> str:
    return f", expected {format_dt(ends_at, 'R')}" if ends_at else ""


def _source(held: Membership, roles: RoleNames | None = None) -> str:
    match held.source:
        case Source.ROLE:
            role = roles.get(held.role or 0, DELETED_ROLE) if roles else ""
            where = f"from the role {role}" if role else "from a role"
        case Source.GIVEN:
            where = "given to you by an admin"
            if held.until and roles is not None:
                where += f" until {format_dt(held.until, 'f')}"
        case Source.USER_SUBSCRIPTION:
            where = "from your subscription"
        case Source.SERVER_SUBSCRIPTION:
            where = "from this server's subscription"
        case Source.DEFAULT:
            where = "the default tier"
    return f"{where}; daily seconds set by an admin" if held.override else where


def _entry(entry: Entry) -> str:
    sign = "−" if entry.seconds < 0 else "+"
    text = escape(entry.text, 60)
    return f"{format_dt(entry.at, 'd')} **{sign}{abs(entry.seconds)} s** {text}"


def _models(tier: Tier, loaded: tuple[str, ...]) -> str:
    if "*" in tier.models:
        return "all models"
    here = tier.models if all(card(name).stands_in for name in loaded) else loaded
    names = [
        escape(name) if name in here else f"~~{escape(name)}~~" for name in tiers.ordered(tier)
    ]
    shown = some(names, LONGEST_NAMES)
    return f"models {shown}{' (struck through: not available here)' if '~~' in shown else ''}"


def _how(offer: Offer, roles: RoleNames) -> str:
    names = [roles[role] for role in offer.roles if role in roles]
    ways = [some(names, LONGEST_NAMES)] if names else []
    ways += [f"[get it here]({offer.tier.link})"] if offer.tier.link else []
    ways += ["subscribe with the button below"] if offer.sku else []
    return f"→ {', '.join(ways)}" if ways else ""


WITHOUT_STANDING = {
    Status.RENDERED: posting,
    Status.CANCELLED: cancelled,
    Status.FAILED: failed,
    Status.UNDELIVERABLE: undeliverable,
    Status.DELIVERED: incomplete,
}


def ended(job: Job) -> discord.Embed:
    """Show what became of a job that is neither queued nor running."""
    return WITHOUT_STANDING[job.status](job)
