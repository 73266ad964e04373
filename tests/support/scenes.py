"""What the pictures in docs/ show: the demo, gone through as a member of the highest tier would."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import simcord

from bot.app import Plan
from bot.cli import engine_choice
from bot.cli.demo.stage import Stage
from bot.config import Config
from bot.engine.cards import EngineName
from tests.support.clock import until
from tests.support.places import ROOT

DOCS = ROOT / "docs"

Shown = discord.Message | simcord.InteractionResult


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture by name, and the message, the answer or the form that it shows to a viewer."""

    name: str
    shown: Shown
    viewer: simcord.MemberActor

    @property
    def picture(self) -> Path:
        """Where the picture lies."""
        return DOCS / f"{self.name}.png"

    @property
    def stored(self) -> Path:
        """Where the text lies that was in the picture when it was taken."""
        return self.picture.with_suffix(".txt")

    @property
    def text(self) -> str:
        """All that is to be read there now, without what differs each time."""
        found = "\n".join(filter(None, _texts(self.shown)))
        found = re.sub(r"\(https://discord\.com/channels/[0-9/]+\)", "(link)", found)
        found = re.sub(r"<t:[0-9]+(:\w)?>", "(time)", found)
        return re.sub(r"<@[0-9]+>", "(member)", found) + "\n"


def plan(folder: Path, pace: float = 0.0) -> Plan:
    """Return a bot over the sketch engine, which pretends to work as slowly as `pace`."""
    choice = engine_choice.usable(Config(), EngineName.SKETCH, pace)
    return Plan(folder=folder, command=choice.command, models=choice.models, sync=True)


async def scenes(stage: Stage) -> AsyncIterator[Scene]:
    """Go through the demo, and stop where a picture is taken."""
    pro = stage.member("pro")

    async def requested(prompt: str, **options: int) -> None:
        await pro.slash(stage.music, "generate", prompt=prompt, **options)

    await requested("mozart fantasia", duration=8, seed=123)
    yield Scene(name="demo", shown=await posted(stage, "Piece #1"), viewer=pro)
    await requested("warm lofi with rain", duration=8, takes=5, seed=7)
    takes = await posted(stage, "Piece #2")
    yield Scene(name="takes", shown=takes, viewer=pro)
    yield Scene(name="edit", shown=await pro.click(takes, label="Edit"), viewer=pro)
    await requested("epic battle drums", duration=15, seed=5)
    await posted(stage, "Piece #3")
    yield Scene(name="history", shown=await pro.slash(stage.music, "history"), viewer=pro)
    await requested("a long orchestral journey", duration=120, seed=9)
    preview = await posted(stage, "first half minute")
    yield Scene(name="preview", shown=preview, viewer=pro)


async def posted(stage: Stage, words: str) -> discord.Message:
    """Wait for a message with music that says this."""

    async def look() -> discord.Message | None:
        found = (each for each in reversed(stage.music.history()) if each.attachments)
        return next((each for each in found if words in "\n".join(_texts(each))), None)

    return await until(look)


def _texts(shown: Shown) -> list[str]:
    if isinstance(shown, discord.Message):
        embeds = [embed.to_dict() for embed in shown.embeds]
        components = [row.to_dict() for row in shown.components]
        files = [f"[{file.filename}]" for file in shown.attachments]
        return [shown.content, *_read(embeds), *files, *_read(components)]
    if shown.modal is not None:
        return _read(shown.modal)
    assert shown.response
    embeds = [embed.to_dict() for embed in shown.response.embeds]
    return [shown.response.content, *_read(embeds), *_read(shown.response.components)]


READ = ("title", "description", "label", "placeholder", "name", "value", "text", "content")
"""What Discord shows of the parts of a message or a form."""


def _read(part: Any) -> list[str]:
    if isinstance(part, Mapping):
        shown = [part[key] for key in READ if isinstance(part.get(key), str)]
        return [*shown, *_read([each for each in part.values() if not isinstance(each, str)])]
    return [text for each in part for text in _read(each)] if isinstance(part, list | tuple) else []
