"""Connecting to Discord: passing faults are waited out, all others end in one sentence."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.request import getproxies, proxy_bypass

import discord
from yarl import URL

from bot.client import Fantasia
from bot.discord_api.errors import UNREACHED, brief, definite, pause
from bot.errors import OperatorError

log = logging.getLogger(__name__)

FIRST_LOGIN_PAUSE, LONGEST_LOGIN_PAUSE = 5.0, 300.0
"""Seconds between tries, doubling from the first to the longest; Discord may ask for more."""

DISCORD_HOST = "discord.com"

NOT_ACCEPTED = (
    "Discord does not accept DISCORD_TOKEN: copy it again from the Bot page of your application, "
    "where Reset Token makes a new one."
)

CLOSE_REASONS = {
    4004: NOT_ACCEPTED,
    4010: "Discord does not accept the bot's shard (4010). Restart the bot.",
    4011: "Discord requires more shards for the bot's servers (4011). Restart the bot.",
    4012: "Discord no longer supports this version of its API (4012). Install a newer Fantasia.",
    4013: "Discord does not know the bot's intents (4013). Install a newer Fantasia.",
    4014: "Discord does not allow the bot its intents (4014), though none of them is privileged: "
    "check the Bot page of your application.",
}
"""What ends the program when the gateway closes with this code, also while it runs."""

UNSETTLED = (*UNREACHED, discord.GatewayNotFound)


async def serve(client: Fantasia, token: str) -> None:
    """Stay connected until the client is closed; raise OperatorError where waiting is no use."""
    for name in ("discord.shard", "discord.client", "discord.gateway"):
        logging.getLogger(name).addFilter(_shorten)
    try:
        await _insist(client, partial(_login, client, token))
        await _insist(client, partial(_connect, client))
    except discord.LoginFailure as error:
        raise OperatorError(NOT_ACCEPTED) from error
    except discord.PrivilegedIntentsRequired as error:
        raise OperatorError(CLOSE_REASONS[4014]) from error
    except discord.ConnectionClosed as error:
        known = CLOSE_REASONS.get(error.code)
        raise OperatorError(known or f"Discord closed the connection: {error}.") from error


def proxy() -> str | None:
    """Return the proxy that the environment names for Discord; raise OperatorError for a wrong one.

    As other programs read it: HTTPS_PROXY, and NO_PROXY for what is reached without.
    """
    # discord.py's session heeds no environment by itself.
    found = getproxies().get("https")
    if not found or proxy_bypass(DISCORD_HOST):
        return None
    with contextlib.suppress(ValueError):
        url = URL(found if "://" in found else f"http://{found}")
        if url.scheme in ("http", "https") and url.host and url.port:
            return str(url)
    raise OperatorError(
        "HTTPS_PROXY is not a usable address: it must look like http://proxy.example.org:3128, "
        "with name:password@ before the host if needed."
    )


async def _login(client: Fantasia, token: str) -> None:
    try:
        await client.login(token)
    except BaseException:
        # The library makes a new session with each login, and closes none of them.
        await client.http.close()
        client.http.connector = discord.utils.MISSING
        raise


async def _connect(client: Fantasia) -> None:
    """Connect, unless the day's connections are used up: beyond them Discord resets the token."""
    shards, _, limit = await client.http.get_bot_gateway()
    if limit["remaining"] < shards:
        raise discord.RateLimited(limit["reset_after"] / 1000)
    await client.connect()


async def _insist(client: Fantasia, step: Callable[[], Awaitable[None]]) -> None:
    """Repeat a step until it succeeds or the client is closed, with growing pauses between."""
    grown = FIRST_LOGIN_PAUSE
    while not client.is_closed():
        try:
            return await step()
        except UNSETTLED as error:
            cause = error.__cause__ if isinstance(error, discord.GatewayNotFound) else error
            assert isinstance(cause, Exception)
            if client.is_closed():
                return None
            if definite(cause):
                raise OperatorError(f"Discord refused the bot: {brief(cause)}.") from error
            wait = max(grown, pause(cause))
            log.warning("cannot reach Discord: %s; next try in %.0f s", brief(cause), wait)
        grown = min(2 * grown, LONGEST_LOGIN_PAUSE)
        await client.left_alone(wait)
    return None


def _shorten(record: logging.LogRecord) -> bool:
    """Let the library say in one line, without a traceback, that Discord cannot be reached."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (*UNSETTLED, discord.ConnectionClosed)):
        record.msg, record.args = f"{record.getMessage()} {brief(error)}", ()
        record.exc_info = record.exc_text = None
    return True
