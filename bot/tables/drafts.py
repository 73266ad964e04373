"""The table of what members typed into forms that were refused: of each the newest."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.tables.database import Reader, Transaction
from bot.values import Draft

LIFE = timedelta(minutes=15)
"""How long what was typed is kept."""


async def put(
    tx: Transaction, guild: int, user: int, form: str, said: Mapping[str, str], now: datetime
) -> None:
    """Keep what a member typed, instead of what they typed before."""
    await tx.execute(
        "INSERT OR REPLACE INTO drafts VALUES (?, ?, ?, ?, ?)",
        (user, guild, form, json.dumps(said), now.timestamp()),
    )


async def find(reader: Reader, guild: int, user: int, since: datetime) -> Draft | None:
    """Return what a member typed last in a server, if that was since a time."""
    rows = await reader.fetch(
        "SELECT form, said FROM drafts WHERE user_id = ? AND guild_id = ? AND typed_at >= ?",
        (user, guild, since.timestamp()),
    )
    return Draft(rows[0]["form"], json.loads(rows[0]["said"])) if rows else None


async def forgotten(tx: Transaction, user: int) -> None:
    """Erase what a member typed."""
    await tx.execute("DELETE FROM drafts WHERE user_id = ?", (user,))


async def left(tx: Transaction, guild: int) -> None:
    """Erase what was typed in a server."""
    await tx.execute("DELETE FROM drafts WHERE guild_id = ?", (guild,))


async def aged(tx: Transaction, since: datetime, now: datetime) -> int:
    """Erase all that was not typed between `since` and now; return how many."""
    return await tx.execute(
        "DELETE FROM drafts WHERE typed_at NOT BETWEEN ? AND ?",
        (since.timestamp(), now.timestamp()),
    )
