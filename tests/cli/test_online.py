"""`doctor --online`: what Discord says, and who can change it."""

from pathlib import Path
from typing import Any

import pytest

from bot.discord_api import invitation
from tests.support.stand_in import APPLICATION, StandIn, page, running, said, standing_in, word

HERE = {"id": "234567890123456789", "name": "Conservatory"}
ALL = invitation.link(1).rpartition("=")[2]
GOOD = {**HERE, "permissions": ALL}
SOLD = f"/applications/{APPLICATION['id']}/skus"


async def doctor(discord: StandIn, folder: Path, **settings: str) -> tuple[int, str]:
    """Return the code and the table, its cells as they were before they were folded."""
    async with running(
        discord, folder, "--online", command="doctor", COLUMNS="600", **settings
    ) as run:
        code = await run.ended()
    assert "Traceback" not in run.log, run.log
    return code, run.log


def application(**more: Any) -> dict[str, Any]:
    return {**APPLICATION, **more}


async def test_all_is_well(tmp_path: Path) -> None:
    async with standing_in() as discord:
        discord.planned["/users/@me/guilds"] = [said([GOOD])]
        discord.planned[SOLD] = [said([sku(111111111111111111)])]
        code, told = await doctor(discord, tmp_path, SKUS="111111111111111111:Plus")
    assert code == 0
    assert "knows the bot as F, application 123456789012345678" in told
    assert f"{invitation.link(123456789012345678)} " in told
    assert "no privileged one is needed, and none is on" in told
    assert "in 1 server, none of which lacks a permission" in told
    assert "the application sells SKU" in told


async def test_what_is_wrong_names_who_can_fix_it(tmp_path: Path) -> None:
    lacking = str(int(ALL) & ~0x8000)
    async with standing_in() as discord:
        changed = application(bot_require_code_grant=True, flags=1 << 18)
        for path in ("/oauth2/applications/@me", "/applications/@me"):
            discord.planned[path] = [said(changed)]
        discord.planned["/users/@me/guilds"] = [said([{**HERE, "permissions": lacking}])]
        discord.planned[SOLD] = [said([sku(111111111111111111)])]
        code, told = await doctor(
            discord,
            tmp_path,
            SKUS="999999999999999999:Plus",
            OWNER_GUILD_ID="345678901234567890",
        )
    assert code == 1
    assert "Requires OAuth2 Code Grant is on" in told
    assert "privileged ones are on that the bot does not use: Message Content" in told
    assert "999999999999999999 is not the application's; it has 111111111111111111 (SKU)" in told
    assert "the bot is not in 345678901234567890" in told
    assert "invite it there, or correct OWNER_GUILD_ID" in told
    assert "in server 234567890123456789 the bot's role lacks Attach Files" in told
    assert "whoever manages the server grants it to the bot's role" in told


def sku(number: int) -> dict[str, Any]:
    """Return what the application sells, as Discord describes it."""
    about = {"name": "SKU", "slug": "sku", "application_id": APPLICATION["id"]}
    return {"id": str(number), "type": 5, "flags": 0, **about}


@pytest.mark.parametrize(
    ("answer", "sentence", "remedy"),
    [
        (word(401), "does not accept DISCORD_TOKEN", "Reset Token makes a new one"),
        (page(403), "cannot be asked: 403", "check the network, HTTPS_PROXY and NO_PROXY"),
    ],
)
async def test_a_token_or_a_network_that_fails_is_one_line(
    tmp_path: Path, answer: Any, sentence: str, remedy: str
) -> None:
    async with standing_in() as discord:
        discord.planned["/users/@me"] = [answer]
        code, told = await doctor(discord, tmp_path)
    assert code == 1
    assert sentence in told
    assert remedy in told


async def test_more_servers_than_a_page_holds_are_all_looked_at(tmp_path: Path) -> None:
    many = [{"id": str(10**17 + number), "permissions": ALL} for number in range(200)]
    async with standing_in() as discord:
        discord.planned["/users/@me/guilds"] = [said(many), said([{**HERE, "permissions": "0"}])]
        code, told = await doctor(discord, tmp_path)
    assert code == 0
    assert "in server 234567890123456789 the bot's role lacks View Channel" in told
