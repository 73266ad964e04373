"""The ways to a member: where a message goes, whether it is already there, what Discord says."""

import logging
from dataclasses import dataclass
from typing import Any

import discord

from bot.discord_api.errors import brief, definite, pause, too_large
from bot.values import Job, Later, Outcome, Oversized, Owed, Route, Unsent
from cogs.ui.letters import Letter, mark
from cogs.ui.places import places

log = logging.getLogger(__name__)

SEARCHED = 500
"""How many messages of a channel are searched at most for one that may already be there."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What an earlier try left: its message, or None; and whether `all` messages were searched."""

    message: int | None = None
    all: bool = True


async def trace(client: discord.Client, owed: Owed) -> Trace:
    """Look for the message that an earlier try may have posted."""
    complete = True
    for place in await places(client, owed.job, owed.post.route):
        seen = await _seen(place, owed)
        for message in seen or ():
            if _is(client, message, owed):
                log.info("job %d: its message was already posted", owed.job.id)
                return Trace(message.id)
        complete = complete and seen is not None and len(seen) < SEARCHED
    return Trace(all=complete)


async def send(client: discord.Client, owed: Owed, letter: Letter) -> int:
    """Send a letter by its route and return the message; raise what Discord answers instead."""
    message: dict[str, Any] = {
        "content": letter.content,
        "embed": letter.embed,
        "files": [each.file for each in letter.files],
        "allowed_mentions": discord.AllowedMentions(
            users=[discord.Object(owed.job.origin.user_id)]
        ),
    }
    if letter.view:
        message["view"] = letter.view
    if owed.post.route is Route.FOLLOWUP:
        return (await _webhook(client, owed.job).send(wait=True, **message)).id
    place, *_ = await places(client, owed.job, owed.post.route)
    # Of two messages with one nonce within minutes Discord posts only the first, and returns it.
    return (await place.send(nonce=owed.post.nonce, **message)).id


async def edit(client: discord.Client, owed: Owed, letter: Letter) -> None:
    """Let a message that was posted hold a letter instead; raise what Discord answers."""
    place, *_ = await places(client, owed.job, owed.post.route)
    await place.get_partial_message(owed.post.message_id or 0).edit(
        content=letter.content,
        embed=letter.embed,
        attachments=[each.file for each in letter.files],
        view=letter.view,
        allowed_mentions=discord.AllowedMentions.none(),
    )


def outcome(owed: Owed, error: Exception, letter: Letter | None = None) -> Outcome:
    """Return the outcome that an error of Discord's means, for the letter that was sent."""
    log.warning("job %d: %s: %s", owed.job.id, owed.post.route, brief(error))
    if letter and too_large(error):
        return Oversized(letter.upload, smaller=letter.smaller)
    return Unsent.REFUSED if definite(error) else Later(pause(error))


async def _seen(place: discord.abc.Messageable, owed: Owed) -> list[discord.Message] | None:
    """Return the latest messages of a place, newest first; None if the bot may not read it.

    None older than what is owed: compared by id, since clocks may differ.
    """
    since = discord.Object(owed.since) if owed.since else None
    history = place.history(limit=SEARCHED, after=since, oldest_first=False)
    try:
        return [message async for message in history]
    except discord.HTTPException as error:
        if definite(error):
            return None
        raise


def _is(client: discord.Client, message: discord.Message, owed: Owed) -> bool:
    assert client.user
    # The history tells no nonces.
    footers = {str(embed.footer.text).split(" · ")[0] for embed in message.embeds}
    return message.author.id == client.user.id and mark(owed) in footers


def _webhook(client: discord.Client, job: Job) -> discord.Webhook:
    origin = job.origin
    webhook = discord.Webhook.partial(origin.application_id, origin.token, client=client)
    # The library sets these on other webhooks, but not on partial ones.
    webhook.proxy, webhook.proxy_auth = client.http.proxy, client.http.proxy_auth
    return webhook
