"""What Discord says of the token, the application, what it sells, and its servers."""

from collections.abc import AsyncIterator, Iterator

import discord

from bot.cli.checks.check import Check, bad, good, note
from bot.cli.connection import proxy
from bot.config import Config
from bot.discord_api import invitation
from bot.discord_api.errors import UNREACHED, brief
from bot.errors import OperatorError
from bot.rules.wording import counted

GUILDS_PER_PAGE = 200
"""The most servers that Discord lists at a time."""

BOT_PAGE = "on the Bot page of your application"

WHO_GRANTS = (
    "whoever manages the server grants it to the bot's role, or adds the bot again by the invite "
    "link"
)


async def discord_checks(config: Config) -> list[Check]:
    """Ask Discord, without connecting to the gateway: a running bot is not disturbed."""
    if config.discord_token is None:
        return [note("Discord", "not asked, for lack of a token", "put DISCORD_TOKEN in .env")]
    try:
        async with discord.Client(intents=discord.Intents.none(), proxy=proxy()) as client:
            await client.login(config.discord_token)
            return [check async for check in _asked(client, config)]
    except discord.LoginFailure:
        remedy = f"copy it again {BOT_PAGE}, where Reset Token makes a new one"
        return [bad("Discord", "does not accept DISCORD_TOKEN", remedy)]
    except UNREACHED as error:
        remedy = "check the network, HTTPS_PROXY and NO_PROXY, and try again"
        return [bad("Discord", f"cannot be asked: {brief(error)}", remedy)]
    except OperatorError as error:
        return [bad("Discord", f"cannot be asked: {error}", "correct it in .env")]


async def _asked(client: discord.Client, config: Config) -> AsyncIterator[Check]:
    application = client.application
    assert application
    yield good("Discord", f"knows the bot as {client.user}, application {application.id}")
    for check in (*_application(application), *await _sold(client, config)):
        yield check
    servers = await _servers(client)
    named = {"OWNER_GUILD_ID": config.owner_guild_id, "DEV_GUILD_ID": config.dev_guild_id}
    for key, wanted in named.items():
        if wanted and wanted not in servers:
            yield bad(key, f"the bot is not in {wanted}", f"invite it there, or correct {key}")
    poor = {server: missing for server, missing in servers.items() if missing}
    for server, missing in poor.items():
        yield note("Permissions", f"in server {server} the bot's role lacks {missing}", WHO_GRANTS)
    if not poor:
        found = f"the bot is in {counted(len(servers), 'server')}, none of which lacks a permission"
        yield good("Servers", found)


def _application(application: discord.AppInfo) -> Iterator[Check]:
    if application.bot_require_code_grant:
        found = "the invite link cannot work while Requires OAuth2 Code Grant is on"
        yield bad("Invite link", found, f"switch it off {BOT_PAGE}")
    elif not application.bot_public:
        found = f"for you alone, since the bot is not public: {invitation.link(application.id)}"
        yield good("Invite link", found)
    else:
        yield good("Invite link", invitation.link(application.id))
    flags = application.flags
    privileged = {
        "Presence": flags.gateway_presence or flags.gateway_presence_limited,
        "Server Members": flags.gateway_guild_members or flags.gateway_guild_members_limited,
        "Message Content": flags.gateway_message_content or flags.gateway_message_content_limited,
    }
    if on := [name for name, there in privileged.items() if there]:
        found = f"privileged ones are on that the bot does not use: {', '.join(on)}"
        yield note("Intents", found, f"switch them off {BOT_PAGE}")
    else:
        yield good("Intents", "no privileged one is needed, and none is on")


async def _sold(client: discord.Client, config: Config) -> list[Check]:
    """Compare SKUS with what the application sells."""
    if not config.skus:
        return []
    there = {sku.id: sku.name for sku in await client.fetch_skus()}
    if unknown := [str(sku) for sku in config.skus if sku not in there]:
        known = ", ".join(f"{sku} ({name})" for sku, name in there.items()) or "none"
        found = f"{', '.join(unknown)} is not the application's; it has {known}"
        return [bad("SKUS", found, "correct SKUS by the Monetization pages of your application")]
    return [good("SKUS", f"the application sells {', '.join(there[sku] for sku in config.skus)}")]


async def _servers(client: discord.Client) -> dict[int, str]:
    """Return what the bot lacks in each of its servers, by id."""
    lacking: dict[int, str] = {}
    # Straight from the API: `fetch_guilds` drops what the bot may do there, which is all of it.
    while page := await client.http.get_guilds(
        GUILDS_PER_PAGE, after=max(lacking, default=None), with_counts=False
    ):
        for guild in page:
            held = discord.Permissions(int(guild["permissions"]))
            lacking[int(guild["id"])] = invitation.lacking(held)
        if len(page) < GUILDS_PER_PAGE:
            break
    return lacking
