"""The operator's hand: pause, drain and signals, what is kept, what is logged and measured."""

import asyncio
import json
import logging
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest
import simcord
from prometheus_client.parser import text_string_to_metric_families

from bot.app import Plan
from bot.errors import OperatorError, Refusal
from bot.monitoring.server import STUCK_SECONDS, Pulse, serving
from bot.values import Keep, Status, Wish
from tests.support.clock import Clock, until
from tests.support.ports import free_port
from tests.support.processes import alive, children, program
from tests.support.scripted_child import SCRIPTED
from tests.support.shown import described
from tests.support.studio import origin, viewer
from tests.support.world import World, world

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def owned(plan: Plan) -> AsyncIterator[tuple[World, simcord.MemberActor]]:
    """A world whose bot has an owner."""
    async with world(plan) as w:
        await w.restart(replace(plan, owner_guild_id=w.guild.id))
        administrator = discord.Permissions(administrator=True)
        boss = w.guild.create_role("Root", permissions=administrator)
        root = w.guild.add_member(w.env.create_user("root"), roles=[boss])
        w.bot.owner_id = root.id
        yield w, root


async def studio(w: World, root: simcord.MemberActor, command: str, **options: Any) -> str:
    shown = await root.slash(w.music, f"studio {command}", **options)
    assert shown.response
    assert shown.ephemeral
    embeds = "".join(str(embed.to_dict()) for embed in shown.response.embeds)
    return shown.response.content + embeds


async def test_a_paused_studio_queues_and_says_so_also_after_a_restart(plan: Plan) -> None:
    async with owned(plan) as (w, root):
        told = await studio(w, root, "pause", reason="new *strings*")
        assert "queued and start when it resumes" in told
        shown = await w.generate("play")
        card = await w.status(shown, "Queued")
        assert r"The studio is paused: new \*strings\*." in (card.description or "")
        await w.restart(replace(plan, owner_guild_id=w.guild.id))
        w.bot.owner_id = root.id
        await asyncio.sleep(0.3)
        assert (await w.studio.job(1)).status is Status.QUEUED
        queue = await w.alice.slash(w.music, "queue")
        assert "paused" in described(queue)
        assert "has resumed" in await studio(w, root, "resume")
        await w.ended(1, Status.DELIVERED)
        assert "not paused" in await studio(w, root, "resume")


async def test_the_owner_cancels_any_piece_and_sees_how_the_studio_does(plan: Plan) -> None:
    async with owned(plan) as (w, root):
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        await w.generate("slow")
        await w.ended(2, Status.RUNNING)
        foreign = await w.studio.submit(origin(user=5, guild=77), Wish(prompt="play", seconds=2))
        told = await studio(w, root, "cancel", id=foreign.id)
        assert "#3 on server `77` was cancelled" in told
        assert "no piece #99" in await studio(w, root, "cancel", id=99)
        told = await studio(w, root, "stats")
        assert "1 running, 1 delivered, 1 cancelled" in told
        assert "1 piece, 2 s of music" in told
        assert "Speed of scripted" in told


async def test_drain_lets_what_renders_end_and_closes(plan: Plan) -> None:
    async with owned(plan) as (w, root):
        await w.generate("swap")
        await w.generate("play", by=w.bob)
        await w.ended(1, Status.RUNNING)
        assert "then shutting down" in await studio(w, root, "drain")
        late = await w.generate("play", by=w.admin)
        assert "about to restart" in described(late)

        async def closed() -> bool:
            return w.bot.is_closed()

        await until(closed)
        states = [(await w.studio.job(number)).status for number in (1, 2, 3)]
        assert states == [Status.DELIVERED, Status.QUEUED, Status.QUEUED]


def states(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "fantasia.db") as database:
        return [row[0] for row in database.execute("SELECT status FROM jobs ORDER BY id")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("first", "signals", "left"),
    [("swap", 1, ["delivered", "queued"]), ("slow", 2, ["queued", "queued"])],
)
def test_a_signal_drains_and_a_second_one_stops(
    tmp_path: Path, number: signal.Signals, first: str, signals: int, left: list[str]
) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.support.signalled_bot",
        tmp_path,
        first,
    ]
    with program(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as bot:
        assert bot.stdout
        assert bot.stderr
        assert bot.stdout.readline() == "rendering\n"
        (engine,) = children(bot.pid)
        bot.send_signal(number)
        if signals == 2:
            assert any("draining" in line for line in bot.stderr)
            bot.send_signal(number)
        out, err = bot.communicate()
    assert bot.returncode == 0, err
    assert states(tmp_path) == left
    assert out == ("closed 1\n" if signals == 1 else "")
    assert not alive(engine)


def files(plan: Plan) -> set[str]:
    return {file.name.split("-")[0] for file in (plan.folder / "audio").glob("*")}


async def test_delivered_music_is_kept_for_so_many_days_and_what_is_owed_for_ever(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.generate("play one")
        await w.ended(1, Status.DELIVERED)
        w.env.inject_error("POST", f"/channels/{w.music.id}/messages", status=503, times=None)
        await w.generate("play two")
        await w.ended(2, Status.RENDERED)
        clock.turn(days=29)
        assert await w.bot.services.archive.prune(Keep()) == 0
        clock.turn(days=2)
        assert await w.bot.services.archive.prune(Keep()) == 1
        assert files(plan) == {"2"}
        w.env.backend.faults.clear()
        shown = await w.alice.slash(w.music, "history")
        assert "play one" in described(shown)
        with pytest.raises(Refusal, match="no longer kept"):
            await w.services.pieces.takes(1, viewer(guild=w.guild.id))


async def test_too_much_music_goes_oldest_first_but_not_what_another_goes_on_from(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        for number in (1, 2, 3):
            await w.generate("play")
            await w.ended(number, Status.DELIVERED)
            clock.turn(minutes=1)
        await w.generate("slow")
        await w.ended(4, Status.RUNNING)
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        longer = await w.services.pieces.extension(1, 1, 2, viewer(guild=w.guild.id))
        await w.studio.submit(here, longer)
        size = sum(file.stat().st_size for file in (plan.folder / "audio").glob("3-*"))
        assert await w.bot.services.archive.prune(Keep(most=2 * size)) == 1
        assert files(plan) == {"1", "3"}


async def test_metrics_and_health_are_served(plan: Plan) -> None:
    async with (
        world(plan) as w,
        serving(w.bot, Pulse(w.database), "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        await w.generate("fail")
        await w.ended(2, Status.FAILED)
        async with session.get("/metrics") as answer:
            assert answer.status == 200
            text = await answer.text()
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert found["fantasia_jobs", "delivered"] == 1
        assert found["fantasia_failures_total", "request"] == 1
        assert 0 < found["fantasia_pace_seconds", "cpu-0", "scripted"] < 0.25
        assert found["fantasia_music_seconds_a_day",] == 2
        assert {"fantasia_event_loop_lag_seconds", "fantasia_discord_latency_seconds"} <= {
            name for name, *_ in found
        }
        assert found["fantasia_engine_ready", "cpu-0"] == 1
        assert found["fantasia_paused",] == found["fantasia_draining",] == 0
        with pytest.raises(OperatorError, match=f"METRICS_PORT {port} on 127.0.0.1"):
            async with serving(w.bot, Pulse(w.database), "127.0.0.1", port):
                pass


@asynccontextmanager
async def watched(
    plan: Plan,
) -> AsyncIterator[tuple[World, Callable[[], Awaitable[tuple[int, str | None]]]]]:
    """A world with METRICS_PORT, and a way to ask /healthz: status, and what is stuck."""
    port = free_port()
    async with (
        world(replace(plan, metrics=("127.0.0.1", port))) as w,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):

        async def health() -> tuple[int, str | None]:
            async with session.get("/healthz") as answer:
                return answer.status, (await answer.json())["stuck"]

        yield w, health


async def test_health_is_good_while_there_is_nothing_that_a_restart_would_mend(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(replace(plan, command=(*SCRIPTED, "mute"))) as (w, health):
        await w.bot.services.operations.pause("for a while")
        monkeypatch.setattr(w.bot, "is_ready", lambda: False)  # Discord is away
        assert await health() == (200, None)
        async with w.database.transaction():
            assert await health() == (200, None), "it asks no database"


async def test_health_is_bad_when_a_task_ended_or_nothing_goes_on(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(plan) as (w, health):
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + STUCK_SECONDS)
        async with w.database.transaction():
            with monkeypatch.context() as held:
                held.setattr("bot.tables.database.time", later)
                assert await health() == (503, "the database is stuck")
        assert await health() == (200, None)
        monkeypatch.setattr("bot.monitoring.server.STUCK_SECONDS", -1.0)
        assert await health() == (503, "the loop that looks for news is stuck")
        monkeypatch.setattr("bot.monitoring.server.STUCK_SECONDS", STUCK_SECONDS)
        (tidy,) = [task for task in asyncio.all_tasks() if task.get_name() == "tidy"]
        tidy.cancel()
        await asyncio.wait([tidy])
        assert await health() == (503, "ended: tidy")


async def test_each_change_is_one_line_with_whom_it_is_about(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with world(plan) as w:
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        await w.generate("fail")
        await w.ended(2, Status.FAILED)
        await w.look()
        about = f"server {w.guild.id}, member {w.alice.id}"
    lines = [record for record in caplog.records if "state" in vars(record)]
    assert [(vars(record)["job"], vars(record)["state"]) for record in lines] == [
        *((1, state) for state in ("queued", "running", "rendered", "delivered")),
        *((2, state) for state in ("queued", "running", "failed", "failure posted")),
    ]
    assert all(about in record.getMessage() for record in lines)


@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_that_is_quoted_breaks_a_line_of_the_log(as_json: bool) -> None:
    script = (
        "import logging, sys\n"
        "from bot import logs\n"
        f"logs.start('info', as_json={as_json})\n"
        "evil = 'a\\n2026-11-23 INFO forged\\r\\x1b[2J\\u2028end'\n"
        "try:\n    raise ValueError(evil)\n"
        "except ValueError:\n    logging.exception('said %s', evil)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    lines = done.stderr.split("\n")
    assert "\x1b" not in done.stderr
    if as_json:
        (line, rest) = lines
        assert rest == ""
        said = json.loads(line)
        assert said["level"] == "ERROR"
        assert said["message"].startswith("said a\n2026")
    else:
        assert re.match(r"\d{4}-\S+ \S+ ERROR ", lines[0])
        assert all(line.startswith("  | ") for line in lines[1:-1])


async def test_what_could_not_be_posted_goes_like_any_other_and_first(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        bob = origin(user=w.bob.id, guild=w.guild.id, channel=w.music.id)
        w.env.inject_error("POST", "/channels/*", status=403, code=50013, times=None)
        w.env.inject_error("POST", "/webhooks/*", status=404, code=10015, times=None)
        for number in (2, 3):
            clock.turn(minutes=1)
            await w.studio.submit(bob, Wish(prompt="play", seconds=8))
            await w.ended(number, Status.UNDELIVERABLE)
        size = sum(file.stat().st_size for file in (plan.folder / "audio").glob("3-*"))
        (plan.folder / "audio" / "77-1.wav").write_bytes(bytes(10 * size))
        assert await w.bot.services.archive.prune(Keep(most=2 * size)) == 1
        assert files(plan) == {"1", "3", "77"}
        assert await w.bot.services.archive.prune(Keep(most=size)) == 1
        assert files(plan) == {"1", "77"}
        await w.studio.submit(replace(bob, user_id=5), Wish(prompt="play", seconds=8))
        await w.ended(4, Status.UNDELIVERABLE)
        clock.turn(days=31)
        assert await w.bot.services.archive.prune(Keep()) == 2
        assert files(plan) == {"77"}
