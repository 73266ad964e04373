"""The bot's start, and what Discord or its edge may answer to it: the real `bot run` as a child."""

import asyncio
from pathlib import Path

import pytest

from bot.cli import connection
from bot.errors import OperatorError
from tests.support.clock import until
from tests.support.stand_in import TOKEN, Run, page, running, said, standing_in, word

COMMANDS = "/applications/123456789012345678/commands"


def sound(run: Run) -> str:
    """Return the log of a bot that said what it met in sentences."""
    assert "Traceback" not in run.log, run.log
    assert "<!DOCTYPE" not in run.log
    assert TOKEN not in run.log
    return run.log


async def test_what_waiting_mends_is_waited_out_while_one_engine_loads(tmp_path: Path) -> None:
    async with standing_in() as discord:
        discord.planned["/users/@me"] = [
            page(429, **{"Retry-After": "0.3"}),
            page(403),
            page(503),
            page(200),
            word(403, 40333),
        ]
        discord.planned["/oauth2/applications/@me"] = [page(503)]
        discord.planned["/applications/@me"] = [page(503)]
        discord.planned[COMMANDS] = [page(503), word(400, 30034)]
        limited = said(discord.gateway_with(0))
        discord.planned["/gateway/bot"] = [page(503), page(200), limited]
        async with running(discord, tmp_path) as run:
            await discord.ready.wait()
            await until(lambda: asyncio.sleep(0, "engine cpu-0 ready" in run.log))
            assert await run.stopped() == 0, run.log
        log = sound(run)
    tries = [line for line in log.splitlines() if "cannot reach Discord" in line]
    assert len(tries) == 11, log
    assert "code 30034" in log
    assert log.count("engine cpu-0 ready") == 1
    assert discord.asked[-1] == "IDENTIFY"


async def test_a_stop_while_discord_is_waited_for_is_heeded_at_once(tmp_path: Path) -> None:
    async with standing_in() as discord:
        discord.planned["/users/@me"] = [page(429, **{"Retry-After": "3600"})] * 9
        async with running(discord, tmp_path) as run:
            while "next try in 3600 s" not in run.log:
                await asyncio.sleep(0.05)
            assert await run.stopped() == 0
        sound(run)


@pytest.mark.parametrize(
    ("code", "late", "sentence"),
    [
        (4004, False, "Discord does not accept DISCORD_TOKEN"),
        (4004, True, "Discord does not accept DISCORD_TOKEN"),
        (4011, False, "requires more shards"),
        (4013, False, "does not know the bot's intents (4013)"),
        (4014, False, "does not allow the bot its intents (4014)"),
    ],
)
async def test_a_gateway_that_closes_for_good_ends_it_with_a_sentence(
    tmp_path: Path, code: int, late: bool, sentence: str
) -> None:
    async with standing_in() as discord:
        discord.closes, discord.late = [code], late
        async with running(discord, tmp_path) as run:
            assert await run.ended() == 1, run.log
        assert sentence in sound(run).replace("\n", " ")


def test_each_code_for_good_has_its_sentence() -> None:
    assert set(connection.CLOSE_REASONS) == {4004, *range(4010, 4015)}


async def test_a_token_that_discord_does_not_know_ends_it_with_a_sentence(tmp_path: Path) -> None:
    async with standing_in() as discord:
        discord.planned["/users/@me"] = [word(401)]
        async with running(discord, tmp_path) as run:
            assert await run.ended() == 1, run.log
        assert "Discord does not accept DISCORD_TOKEN" in sound(run)


async def test_commands_that_are_registered_need_no_second_time(tmp_path: Path) -> None:
    async with standing_in() as discord:
        async with running(discord, tmp_path) as run:
            await discord.ready.wait()
            assert await run.stopped() == 0
        assert "invite link: https://discord.com/oauth2/authorize?client_id=" in run.log
        assert f"PUT {COMMANDS}" in discord.asked
        for refusal in (
            word(400, 30034, "Max number of daily creates"),
            word(400, 50035),
            page(503),
        ):
            discord.planned[COMMANDS] = [refusal]
            discord.ready.clear()
            async with running(discord, tmp_path, "--sync") as run:
                await discord.ready.wait()
                assert await run.stopped() == 0
            assert "the old ones stay" in sound(run)


async def test_a_server_of_the_operators_that_the_bot_is_not_in_is_named(tmp_path: Path) -> None:
    async with standing_in() as discord:
        place = "/applications/123456789012345678/guilds/234567890123456789/commands"
        discord.planned[place] = [word(403, 50001, "Missing Access")]
        async with running(discord, tmp_path, OWNER_GUILD_ID="234567890123456789") as run:
            assert await run.ended() == 1, run.log
        assert "invite the bot there first" in sound(run).replace("\n", " ")


async def test_a_gateway_that_is_away_for_a_while_costs_no_traceback(tmp_path: Path) -> None:
    async with standing_in() as discord:
        discord.closes, discord.late = [1011], True
        async with running(discord, tmp_path) as run:
            while "RESUME" not in discord.asked:
                await asyncio.sleep(0.05)
            assert await run.stopped() == 0
        sound(run)


async def test_a_network_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async with standing_in() as discord:
        place, discord.place = discord.place, "127.0.0.1:9"
        async with running(discord, tmp_path) as run:
            while run.log.count("cannot reach Discord: Cannot connect") < 2:
                await asyncio.sleep(0.05)
            assert await run.stopped() == 0
        sound(run)
        discord.place = place


async def test_everything_goes_by_the_proxy_that_the_environment_names(tmp_path: Path) -> None:
    async with standing_in() as discord:
        proxy, discord.place = f"http://me:secret@{discord.place}", "discord.invalid"
        async with running(discord, tmp_path, HTTPS_PROXY=proxy) as run:
            await discord.ready.wait()
            assert await run.stopped() == 0
        assert "secret" not in sound(run)


async def test_a_proxy_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    async with standing_in() as discord:
        proxy = "http://me:secret@127.0.0.1:9"
        async with running(discord, tmp_path, HTTPS_PROXY=proxy) as run:
            while "cannot reach Discord: Cannot connect to host 127.0.0.1:9" not in run.log:
                await asyncio.sleep(0.05)
            assert await run.stopped() == 0
        assert "secret" not in sound(run)


@pytest.mark.parametrize(
    ("found", "read"),
    [
        ("http://proxy.example.org:3128", "http://proxy.example.org:3128"),
        ("proxy.example.org:3128", "http://proxy.example.org:3128"),
        ("https://me:secret@proxy.example.org:1", "https://me:secret@proxy.example.org:1"),
    ],
)
def test_a_proxy_is_read_as_other_programs_do(
    monkeypatch: pytest.MonkeyPatch, found: str, read: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", found)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert connection.proxy() == read
    monkeypatch.setenv("NO_PROXY", "example.com, discord.com")
    assert connection.proxy() is None


@pytest.mark.parametrize("found", ["socks5://me:secret@host:1", "http://", "http://host:port", "?"])
def test_what_is_no_proxy_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", found)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(OperatorError, match="HTTPS_PROXY is not a usable address") as refusal:
        connection.proxy()
    assert "secret" not in str(refusal.value)
