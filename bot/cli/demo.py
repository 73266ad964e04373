"""The real bot in SimCord, a simulated Discord: with a page to type in, or headless without one."""

import argparse
import asyncio
import contextlib
import os
import re
import struct
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
import simcord
from rich.console import Console
from simcord._clock import Clock
from simcord.preview import Preview
from simcord.preview._media import MediaInfo, MediaWorker

from bot.app import Plan, compose
from bot.cli.engine_choice import Choice, about
from bot.cli.resources import require_folder, require_port
from bot.client import Fantasia
from bot.clock import utc_now
from bot.config import Config
from bot.errors import OperatorError
from bot.rules import bounds
from bot.rules.tiers import DEFAULTS, FREE
from bot.values import Actor, Limits, Wish

FIRST_TIER = "Starter"
"""The tier of the member that the page begins as, who has 120 s a day."""


@dataclass(kw_only=True)
class Stage:
    """The simulated server with its #music channel, a member, and the bot."""

    env: simcord.Env
    bot: Fantasia
    music: simcord.ChannelHandle
    members: list[simcord.MemberActor]
    changed: asyncio.Event = field(default_factory=asyncio.Event)


async def run(choice: Choice, config: Config, options: argparse.Namespace, console: Console) -> int:
    """Serve the page until it is closed, or do one request without a page; return the exit code."""
    if options.headless:
        require_folder(options.out, f"--out {options.out}")
    else:
        require_port(options.port, f"--port {options.port}")
    with contextlib.ExitStack() as stack:
        folder = options.data or stack.enter_context(tempfile.TemporaryDirectory("-fantasia"))
        plan = Plan(
            folder=Path(folder),
            command=choice.command,
            models=choice.models,
            limits=Limits(max_seconds=config.max_seconds),
            about=about(choice, config),
            sync=True,
        )
        async with _stage(plan) as stage:
            if options.headless:
                await _once(stage, options, console)
            else:
                await _serve(stage, options, console)
    return 0


@asynccontextmanager
async def _stage(plan: Plan) -> AsyncIterator[Stage]:
    async with compose(plan) as bot:
        session = _discord(bot)
        env = session._env
        # Before the bot looks, and by SimCord's own clock, so that the ids are those of the last
        # time: with --data the bot may owe what was asked for here then.
        guild = env.create_guild("Fantasia")
        stage = Stage(
            env=env,
            bot=bot,
            music=guild.create_text_channel("music", topic="Type /generate"),
            members=await _members(env, bot, guild),
        )
        env.backend.clock = _RealClock()
        env.backend.subscribers.append(lambda *_: stage.changed.set())
        async with session:
            yield stage


async def _members(
    env: simcord.Env, bot: Fantasia, guild: simcord.GuildHandle
) -> list[simcord.MemberActor]:
    """Return a member of each tier, by the role of its name, and an admin."""
    admin = guild.create_role("Admin", permissions=discord.Permissions(manage_guild=True))
    members = []
    for tier in DEFAULTS:
        role = guild.create_role(f"{tier.name} members")
        if tier is not FREE:
            mapped = Actor(id=role.id, name=role.name)
            await bot.services.tier_admin.map_role(
                guild.id, Actor(id=0, name="Demo"), mapped, tier.name
            )
        name = "visitor" if tier.name == FIRST_TIER else tier.name.lower()
        members.append(guild.add_member(env.create_user(name), roles=[role]))
    members.sort(key=lambda member: member.name != "visitor")
    return [*members, guild.add_member(env.create_user("admin"), roles=[admin])]


def _discord(bot: Fantasia) -> simcord.run:
    session = simcord.run(bot, shard_count=1, check_errors=False)
    session._env.backend.bot_user.name = "Fantasia"
    return session


class _RealClock(Clock):
    """Lets the simulated Discord live today, so that times relative to now are right."""

    def now(self) -> datetime:
        return utc_now()


async def _serve(stage: Stage, options: argparse.Namespace, console: Console) -> None:
    page = stage.env.preview(
        stage.music, viewers=stage.members, layout="channel", port=options.port
    )
    async with page:
        page._media_worker = _PlayableWavs()
        turn = asyncio.Lock()
        _take_turns(page, turn)
        console.print(f"Fantasia is listening in #music: {page.url}", soft_wrap=True)
        console.print("Type /generate there. Press Ctrl-C to stop.")
        if not options.no_browser and _has_screen():
            webbrowser.open(page.url)
        refreshing = asyncio.create_task(_refresh(stage, page, turn))
        try:
            await page.wait_closed()
        finally:
            refreshing.cancel()


async def _refresh(stage: Stage, page: Preview, turn: asyncio.Lock) -> None:
    """Show background edits as they happen."""
    while True:
        await stage.changed.wait()
        stage.changed.clear()
        async with turn:
            with contextlib.suppress(simcord.SetupError, TimeoutError):
                await page.refresh()
        await asyncio.sleep(0.2)


def _take_turns(page: Preview, turn: asyncio.Lock) -> None:
    """Let what a person does wait for a refresh in progress, and count for the page after it.

    Otherwise SimCord refuses an action that meets a refresh or was made just before one.
    """
    real = page._action

    async def action(context: str | None, body: Any) -> dict[str, Any]:  # noqa: ANN401
        async with turn:
            if isinstance(body, dict) and "published_revision" in body:
                body["published_revision"] = page._get_page(context).revision
            return await real(context, body)

    page._action = action  # type: ignore[method-assign,assignment]  # SimCord has no hook


async def _once(stage: Stage, options: argparse.Namespace, console: Console) -> None:
    prompt, longest = options.prompt, stage.bot.services.studio.max_seconds
    wish = Wish(prompt=prompt, seconds=options.duration)
    bounds.ask(wish, models=stage.bot.services.studio.models, max_seconds=longest, seed=0)
    if (await stage.bot.services.operations.stats()).paused is not None:
        raise OperatorError("The studio in this --data folder is paused: use another folder.")
    await _finished_before(stage)
    shown = await stage.members[0].slash(
        stage.music, "generate", prompt=prompt, duration=options.duration
    )
    if shown.ephemeral and shown.response:
        raise OperatorError(_plain(stage, shown.response.content))
    assert shown.response
    asked = shown.response.message.id
    seen: dict[int, str] = {}
    written = options.out / "transcript.txt"
    with written.open("w") as transcript:
        lines = [f"visitor: /generate prompt: {prompt} duration: {options.duration}"]
        while True:
            lines += _news(stage, seen)
            transcript.writelines(f"{line}\n" for line in lines)
            transcript.flush()
            os.fsync(transcript.fileno())  # what it says was accepted can be relied upon
            console.print(*lines, sep="\n", markup=False, highlight=False, soft_wrap=True)
            if "could not" in seen[asked] or asked not in {
                message.id for message in stage.music.history()
            }:
                break
            await stage.changed.wait()
            stage.changed.clear()
            lines = []
    for path in [*await _attachments(stage, options.out), written]:
        console.file.flush()
        print(path)  # noqa: T201
    if not any(each.attachments for each in stage.music.history() if each.id > asked):
        raise OperatorError(f"No music was posted; the transcript is in {options.out}.")


def _plain(stage: Stage, text: str) -> str:
    """Return what a message says in a terminal: names for mentions, times of day, no asterisks."""
    for guild in stage.bot.guilds:
        for named in (*guild.roles, *guild.channels):
            text = text.replace(named.mention, f"{named.mention[1]}{named.name}")
    text = re.sub(r"<t:(\d+):R>", lambda at: f"at {_utc(int(at[1])):%H:%M} UTC", text)
    return discord.utils.remove_markdown(text)


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def _finished_before(stage: Stage) -> None:
    """Wait until what an earlier demo on this --data accepted was posted."""
    services = stage.bot.services
    while (await services.standings.page(None, 0, 1))[1] or await services.outbox.owed():  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def _news(stage: Stage, seen: dict[int, str]) -> list[str]:
    """Return a line for each message that is new or was edited."""
    lines = []
    for message in stage.music.history():
        texts = [message.content, *(f"[{e.title or ''}] {e.description}" for e in message.embeds)]
        texts += [f"<{file.filename}, {file.size} bytes>" for file in message.attachments]
        text = " ".join(filter(None, texts)).replace("\n", " / ")
        if seen.get(message.id) != text:
            seen[message.id] = text
            lines.append(f"Fantasia: {text}")
    return lines


async def _attachments(stage: Stage, folder: Path) -> list[Path]:
    paths = []
    for message in stage.music.history():
        for attachment in message.attachments:
            path = folder / attachment.filename
            await attachment.save(path)
            paths.append(path)
    return paths


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class _PlayableWavs(MediaWorker):
    """Preview plays a mono WAV only if its header names the speaker, so it is given such a copy."""

    async def validate(
        self, key: str, blob: bytes, *, media_time: float | None = None
    ) -> MediaInfo:
        return await super().validate(key, _extensible(blob), media_time=media_time)


def _extensible(blob: bytes) -> bytes:
    """Return a plain 16-bit PCM WAV with the header of WAVE_FORMAT_EXTENSIBLE, others as they are.

    Source: Microsoft, "Multiple Channel Audio Data and WAVE Files".
    """
    if blob[:4] != b"RIFF" or blob[8:20] != b"WAVEfmt \x10\0\0\0" or blob[36:40] != b"data":
        return blob
    pcm, channels, rate, bytes_per_second, frame, bits = struct.unpack("<HHIIHH", blob[20:36])
    speakers = {1: 0x4, 2: 0x3}.get(channels, 0)
    guid = struct.pack("<H", pcm) + bytes.fromhex("000000001000800000aa00389b71")
    extension = struct.pack("<HHI", 22, bits, speakers) + guid
    header = struct.pack("<HHIIHH", 0xFFFE, channels, rate, bytes_per_second, frame, bits)
    fmt = b"fmt " + struct.pack("<I", 40) + header + extension
    body = b"WAVE" + fmt + blob[36:]
    return b"RIFF" + struct.pack("<I", len(body)) + body
