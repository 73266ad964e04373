"""What the studio says about itself: /help, /about, and the owner's /studio stats."""

from collections.abc import Sequence

import discord

from bot.engine.cards import ModelCard
from bot.rules.markup import escape, some
from bot.rules.wording import counted, span
from bot.values import About, EngineStatus, Stats, Status
from cogs.ui.embeds import LONGEST_FIELD, VIOLET, fill
from cogs.ui.status_embeds import paused

SPEEDS_SHOWN = 5
"""Models whose speed is shown: an embed has at most 25 fields, 6,000 characters in all."""

LONGEST_TROUBLE, LONGEST_SPEEDS = 200, 300
"""Characters that are shown of why an engine was lost, and of a model's speeds."""

LONGEST_FIELD_NAME = 256
"""Characters that Discord takes as the name of a field."""

INTRODUCTION = (
    "`/generate` takes a prompt such as *mozart fantasia* and a length, queues it, and posts the "
    "music in the channel. Its reply shows your place in the queue and the progress, with a Cancel "
    "button. `/song` takes a style and lyrics, where a model here sings."
)

FOR_MEMBERS = {
    "About you": "`/usage` your tier, what is left today, your latest pieces\n"
    "`/queue` what is rendering and waiting; cancel yours there\n"
    "`/plans` the tiers on this server and how to get them\n"
    "`/history` your pieces, with a search · `/piece` everything about one: star it, name it\n"
    "`/resend` posts one again, in any format · `/forget me` erases everything of yours",
    "Under a result": "**Again** with a new seed · **Edit** and resubmit · **Extend** by 5 to 30 s "
    "· **Save as** FLAC, MP3 or Ogg · **Delete**. Where the model can, long pieces are previewed "
    "and can be stopped early.",
}

FOR_MANAGERS = {
    "For server managers": "`/setup` who can make how much, and where\n"
    "`/settings` everything that is set · `/log` who changed what\n"
    "`/tier` what members can request, and which roles grant it\n"
    "`/quota` seconds for individual members\n"
    "`/member` block and unblock, and for whom something is set\n"
    "`/channel` where music can be requested\n"
    "`/panel` a message with a button that opens the request form\n"
    "`/words` blocked words"
}

COSTS = {
    "What it costs": "Seconds are deducted when a piece is queued. Pieces that fail, are cancelled "
    "or cannot be posted are refunded. Your allowance resets at midnight UTC."
}


def help_(*, manager: bool) -> discord.Embed:
    """Show what the bot can do on one screen."""
    embed = discord.Embed(title="Words into music", colour=VIOLET, description=INTRODUCTION)
    told = FOR_MEMBERS | (FOR_MANAGERS if manager else {}) | COSTS
    return fill(embed, told, inline=False)


def about(about: About, cards: Sequence[ModelCard]) -> discord.Embed:
    """Show the version, the models, each with the licence of its weights, and where the code is."""
    embed = discord.Embed(title=f"Fantasia {about.version}", colour=VIOLET)
    models = {
        "Models": some([_licensed(each) for each in cards], LONGEST_FIELD, "\n"),
        "Code": about.code or "MIT licence; ask whoever runs this bot for a copy",
    }
    return fill(embed, models, inline=False)


def _licensed(card: ModelCard) -> str:
    """Name a model with the licence of its weights; what only stands in for one has none."""
    return card.label if card.stands_in else f"{card.label}: {card.licence.name}"


def _engine(engine: EngineStatus) -> str:
    """Say in a line how an engine is, what it runs on and what it renders."""
    told = [f"{engine.state}, paused" if engine.paused else str(engine.state)]
    if engine.trouble:
        told.append(escape(engine.trouble, LONGEST_TROUBLE))
    if engine.device:
        told.append(escape(f"{engine.device} in {engine.precision}"))
    models = [f"{each} (loaded)" if each in engine.loaded else each for each in engine.models]
    told += [escape(", ".join(each for each in models if each not in engine.unfit))]
    if engine.unfit:
        told.append(f"too small for {escape(', '.join(engine.unfit))}")
    return f"**{escape(engine.name)}** {' · '.join(filter(None, told))}"


def _speeds(engines: Sequence[EngineStatus]) -> dict[str, str]:
    """Return the speed of each model, on each of several engines."""
    found: dict[str, list[str]] = {}
    for engine in engines:
        on = f"{escape(engine.name)} " if len(engines) > 1 else ""
        for model, speed in engine.speeds.items():
            found.setdefault(model, []).append(f"{on}{speed.pace:.2f}")
    shown = list(found.items())[:SPEEDS_SHOWN]
    unit = "s of work per second of music"
    return {
        f"Speed of {model}"[:LONGEST_FIELD_NAME]: f"{some(paces, LONGEST_SPEEDS)} {unit}"
        for model, paces in shown
    }


def stats(stats: Stats, latency: float) -> discord.Embed:
    """Show the owner how the studio is doing; `latency` in seconds."""
    embed = discord.Embed(title="The studio", colour=VIOLET)
    if stats.paused is not None:
        embed.description = paused(stats.paused)
    jobs = ", ".join(f"{stats.jobs[state]} {state}" for state in Status if stats.jobs.get(state))
    engines = some([_engine(each) for each in stats.engines], LONGEST_FIELD, "\n")
    fill(embed, {"Pieces": jobs or "none yet", "Engines": engines or "none yet"}, inline=False)
    pieces, seconds = stats.rendered
    facts = {
        "Longest wait now": span(stats.waited),
        "Messages owed": str(stats.owed),
        "Last 24 hours": f"{counted(pieces, 'piece')}, {span(seconds)} of music",
    }
    facts |= _speeds(stats.engines)
    faults = ", ".join(f"{count} {kind}" for kind, count in stats.faults.items())
    kept = f"{stats.kept_bytes / 1e9:.1f} GB in {counted(stats.files, 'file')}"
    facts |= {
        "Failed": faults or "none",
        "Disk": f"{kept}, {stats.free_bytes / 1e9:.1f} GB free",
        "Discord": f"heartbeat in {latency * 1000:.0f} ms",
    }
    return fill(embed, facts)
