"""Whoever is forgotten, and what is left of them."""

from typing import Any

import discord
import simcord

from tests.support.clock import until
from tests.support.world import World

NAME = "alice"


WORDS = "play our secret"


async def forget(w: World) -> simcord.InteractionResult:
    """Have alice press the button, and return the answer."""
    shown = await w.alice.slash(w.music, "forget me")
    assert shown.response
    return await w.alice.click(shown.response.message, label="Erase everything")


def reply(done: simcord.InteractionResult) -> str:
    assert done.response
    return str(done.response.content)


async def everything(w: World) -> str:
    """All that the database holds."""
    tables = await w.database.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
    rows = [
        tuple(row)
        for table in tables
        for row in await w.database.fetch(f"SELECT * FROM {table['name']}")
    ]
    return repr(rows)


async def swept(w: World) -> None:
    """Look until no message is left to be deleted."""

    async def look() -> bool:
        w.bot.dispatch("look")
        return not await w.bot.services.erasure.left()

    await until(look)


def said(messages: list[discord.Message]) -> str:
    return repr([(each.content, [embed.to_dict() for embed in each.embeds]) for each in messages])


async def row(w: World, number: int = 1) -> Any:
    return (await w.database.fetch("SELECT * FROM jobs WHERE id = ?", (number,)))[0]
