"""What Discord's errors mean: a definite refusal, or a passing fault of Discord or its edge.

Any other exception is a fault of our own.
"""

import aiohttp
import discord

UNREACHED = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError)
"""Raised when Discord refuses a request, or cannot be reached at all."""

TOKEN_ENDED = 50027
"""With status 401: an interaction that can no longer be answered."""

TOO_LARGE = 40005
"""A request that is too large; the edge says so by the status 413 alone."""

LONGEST_RETRY_AFTER = 86_400.0

PASSING_CODES = frozenset(
    {
        20016,  # slow mode
        20022,  # too many edits of announcements
        20028,  # too many writes to the channel
        20029,  # too many writes to the server
        30034,  # as many commands were registered as a day allows
        30046,  # too many edits of messages older than an hour
        40003,  # direct messages are opened too fast
        40004,  # sending is switched off for a while
        40006,  # this feature is switched off for a while
        40062,  # a resource is rate limited
        40333,  # a fault of Discord's network
        130000,  # overloaded
    }
)
"""Codes of refusals that say nothing of the channel, the member or the message.

Source: Discord's documentation, "JSON Error Codes".
"""


def definite(error: Exception) -> bool:
    """Whether the same request would be refused again.

    Not for a limit or the bot's token, and not without a code: that answer comes from Discord's
    edge, as HTML does, and says nothing about the request.
    """
    if not isinstance(error, discord.HTTPException) or not 400 <= error.status < 500:
        return False
    if error.status in (401, 408, 429):
        return error.code == TOKEN_ENDED
    return error.code != 0 and error.code not in PASSING_CODES


def too_large(error: Exception) -> bool:
    """Whether a message was refused for its size."""
    if not isinstance(error, discord.HTTPException):
        return False
    return error.status == 413 or error.code == TOO_LARGE


def pause(error: Exception) -> float:
    """Return how many seconds Discord asks to wait, a day at most."""
    if isinstance(error, discord.RateLimited):
        return min(error.retry_after, LONGEST_RETRY_AFTER)
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return min(max(0.0, float(headers.get("Retry-After", 0))), LONGEST_RETRY_AFTER)
    except ValueError:  # a date
        return 0.0


def brief(error: Exception) -> str:
    """Say in a line what was answered; pages of HTML are left out."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{error.status} {error.message}"  # str(error) would show the proxy's password
    if not isinstance(error, discord.HTTPException):
        return str(error) or type(error).__name__
    text = "a page of HTML" if error.text.lstrip().startswith("<") else error.text
    code = f", code {error.code}" if error.code else ""
    return f"{error.status} {error.response.reason}{code}: {' '.join(text.split())[:200]}"


def json_only() -> aiohttp.TraceConfig:
    """Refuse a page of HTML even with status 200: it comes from a proxy, not from Discord."""

    async def ended(_: object, __: object, request: aiohttp.TraceRequestEndParams) -> None:
        if request.response.ok and request.response.content_type == "text/html":
            request.response.close()
            raise aiohttp.ClientPayloadError("the answer is a page of HTML")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    return trace
