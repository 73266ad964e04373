"""Where the messages about a job are."""

import logging

import discord

from bot.discord_api.errors import UNREACHED, brief, definite
from bot.values import Job, Post, Route

log = logging.getLogger(__name__)

MessagePlace = discord.DMChannel | discord.PartialMessageable


def channel(client: discord.Client, job: Job) -> discord.PartialMessageable:
    """Return the channel that a job was requested in, whether or not it is cached."""
    origin = job.origin
    return client.get_partial_messageable(origin.channel_id, guild_id=origin.guild_id)


async def places(client: discord.Client, job: Job, route: Route | None) -> list[MessagePlace]:
    """Return where a post may be: in direct messages if sent there, and in the channel."""
    if route is Route.DIRECT:
        direct = await client.create_dm(discord.Object(job.origin.user_id))
        return [direct, channel(client, job)]
    return [channel(client, job)]


def link(job: Job, post: Post | None) -> str | None:
    """Return where a delivered result is, if it is in a channel."""
    if post is None or post.route is Route.DIRECT:
        return None
    place = f"{job.origin.guild_id}/{job.origin.channel_id}/{post.message_id}"
    return f"https://discord.com/channels/{place}"


async def removed(client: discord.Client, job: Job, post: Post) -> bool:
    """Delete a message that was posted; return False where that may work later."""
    try:
        place, *_ = await places(client, job, post.route)
        await place.get_partial_message(post.message_id or 0).delete()
    except UNREACHED as error:
        log.info("job %d: a message was not deleted: %s", job.id, brief(error))
        return definite(error)
    return True
