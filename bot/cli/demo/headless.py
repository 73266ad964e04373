"""One request without a page, as a member would make it."""

import argparse
import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import discord
from rich.console import Console

from bot.cli.demo.stage import Stage
from bot.errors import OperatorError
from bot.rules import bounds
from bot.values import Wish


async def once(stage: Stage, options: argparse.Namespace, console: Console) -> None:
    """Make the request, write what the channel received, and print the names of the files.

    Raises OperatorError if it is refused or nothing was posted.
    """
    prompt, longest = options.prompt, stage.bot.services.studio.max_seconds
    wish = Wish(prompt=prompt, seconds=options.duration)
    bounds.ask(wish, models=stage.bot.services.studio.cards, max_seconds=longest, seed=0)
    if (await stage.bot.services.operations.stats()).paused is not None:
        raise OperatorError("The studio in this --data folder is paused: use another folder.")
    await _finished_before(stage)
    shown = await stage.member("visitor").slash(
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
            for line in lines:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
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
