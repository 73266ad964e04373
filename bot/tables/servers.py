"""The tables of what applies to a whole server: the operator's decision, channels and words."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from bot.tables.database import Reader, Transaction
from bot.values import Limits


async def limits(reader: Reader, guild: int, usual: Limits) -> Limits:
    """Return the operator's limits as they hold for a server."""
    rows = await reader.fetch("SELECT * FROM servers WHERE guild_id = ?", (guild,))
    if not rows:
        return usual
    row = rows[0]
    per_day = row["seconds_per_day"]
    return replace(
        usual,
        max_seconds=min(usual.max_seconds, row["max_seconds"] or usual.max_seconds),
        waiting_per_server=row["waiting"] or usual.waiting_per_server,
        server_seconds_per_day=usual.server_seconds_per_day if per_day is None else per_day,
        allowed=None if row["allowed"] is None else bool(row["allowed"]),
    )


async def allowed(tx: Transaction, guild: int, allowed: bool | None) -> None:
    """Store the operator's decision on a server, which overrides the list in .env."""
    await tx.upsert("servers", guild_id=guild, allowed=allowed)


async def limited(tx: Transaction, guild: int, changes: Mapping[str, int | None]) -> None:
    """Set a server's own limits: None keeps one, 0 (for a day -1) returns to the one in .env."""
    await tx.execute("INSERT OR IGNORE INTO servers (guild_id) VALUES (?)", (guild,))
    await tx.execute(
        """
        UPDATE servers SET
            max_seconds = NULLIF(COALESCE(?, max_seconds), 0),
            waiting = NULLIF(COALESCE(?, waiting), 0),
            seconds_per_day = NULLIF(COALESCE(?, seconds_per_day), -1)
        WHERE guild_id = ?
        """,
        (changes["max_seconds"], changes["waiting"], changes["seconds_per_day"], guild),
    )


async def was_told(reader: Reader, guild: int) -> bool:
    """Whether a server was told that it is not allowed."""
    sql = "SELECT told_at IS NOT NULL FROM servers WHERE guild_id = ?"
    return bool(await reader.value(sql, (guild,)))


async def told(tx: Transaction, guild: int, now: datetime) -> None:
    """Note that a server was told that it is not allowed."""
    await tx.upsert("servers", guild_id=guild, told_at=now.timestamp())


async def welcomed(tx: Transaction, guild: int, now: datetime) -> bool:
    """Note that a server was welcomed; return False if it was before."""
    return await _first(tx, guild, "welcomed_at", now)


async def was_welcomed(reader: Reader, guild: int) -> bool:
    """Whether a server was welcomed, or had no channel for it."""
    sql = "SELECT welcomed_at IS NOT NULL FROM servers WHERE guild_id = ?"
    return bool(await reader.value(sql, (guild,)))


async def introduced(tx: Transaction, guild: int, now: datetime) -> bool:
    """Note that a manager of a server knows of the set-up; return False if one did before."""
    return await _first(tx, guild, "introduced_at", now)


# Only once: a bot that starts again and still misses the server must not start the 30 days again.
async def left(tx: Transaction, guild: int, at: datetime) -> None:
    """Note when the bot was removed from a server, once."""
    await _first(tx, guild, "left_at", at)


async def dated(tx: Transaction, least: datetime, now: datetime) -> None:
    """What was left at an impossible time, by a clock that was behind, was left now."""
    await tx.execute(
        "UPDATE servers SET left_at = ? WHERE left_at < ?", (now.timestamp(), least.timestamp())
    )


async def returned(tx: Transaction, guild: int) -> None:
    """Note that the bot is in a server again."""
    await tx.execute(
        "UPDATE servers SET left_at = NULL WHERE guild_id = ? AND left_at IS NOT NULL", (guild,)
    )


async def known(reader: Reader) -> dict[int, bool]:
    """Return the servers with requests or a decision of the operator.

    By id, and whether the bot is in them as far as is known.
    """
    rows = await reader.fetch("SELECT guild_id, left_at FROM servers ORDER BY guild_id")
    return {row["guild_id"]: row["left_at"] is None for row in rows}


async def channels(reader: Reader, guild: int) -> list[int]:
    """Return the ids of the channels where music can be requested; none means everywhere."""
    return await reader.column(
        "SELECT channel_id FROM channels WHERE guild_id = ? ORDER BY channel_id", (guild,)
    )


async def channel_allowed(tx: Transaction, guild: int, channel: int) -> bool:
    """Allow a channel; return False if it already was."""
    return await tx.changes("INSERT OR IGNORE INTO channels VALUES (?, ?)", (guild, channel))


async def channel_forgotten(tx: Transaction, guild: int, channel: int) -> bool:
    """Remove a channel from the list; return False if it was not on it."""
    return await tx.changes(
        "DELETE FROM channels WHERE guild_id = ? AND channel_id = ?", (guild, channel)
    )


async def words(reader: Reader, guild: int) -> list[str]:
    """Return the words that a server blocks in prompts, case folded."""
    return await reader.column("SELECT word FROM words WHERE guild_id = ? ORDER BY word", (guild,))


async def word_added(tx: Transaction, guild: int, word: str) -> bool:
    """Block a word; return False if it already was."""
    return await tx.changes("INSERT OR IGNORE INTO words VALUES (?, ?)", (guild, word))


async def word_removed(tx: Transaction, guild: int, word: str) -> bool:
    """Unblock a word; return False if it was not blocked."""
    return await tx.changes("DELETE FROM words WHERE guild_id = ? AND word = ?", (guild, word))


async def _first(tx: Transaction, guild: int, column: str, now: datetime) -> bool:
    """Note in a column when something was first; return False if it was before."""
    sql = f"""
        INSERT INTO servers (guild_id, {column}) VALUES (?, ?) ON CONFLICT DO UPDATE
        SET {column} = excluded.{column} WHERE {column} IS NULL
        """  # noqa: S608
    return await tx.changes(sql, (guild, now.timestamp()))
