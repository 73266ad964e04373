"""The table of uploads: how much Discord was seen to refuse, by server and number of files."""

from datetime import datetime

from bot.database import Database, Transaction


async def refused_bytes(
    source: Database | Transaction, guild: int, files: int, since: datetime
) -> int | None:
    """Return the bytes that were too many for so many files since a time."""
    rows = await source.fetch(
        """
        SELECT refused_bytes FROM uploads WHERE guild_id = ? AND files = ? AND refused_at >= ?
        """,
        (guild, files, since.timestamp()),
    )
    return rows[0]["refused_bytes"] if rows else None


async def refused(tx: Transaction, guild: int, files: int, size: int, now: datetime) -> None:
    """A message of so many bytes was too large."""
    await tx.execute(
        """
        INSERT INTO uploads (guild_id, files, refused_bytes, refused_at) VALUES (?, ?, ?, ?)
        ON CONFLICT (guild_id, files) DO UPDATE SET
            refused_bytes = MIN(refused_bytes, excluded.refused_bytes),
            refused_at = excluded.refused_at
        """,
        (guild, files, size, now.timestamp()),
    )


async def accepted(tx: Transaction, guild: int, files: int, size: int) -> None:
    """A message of so many bytes was taken: what was known to the contrary is out of date."""
    await tx.execute(
        "DELETE FROM uploads WHERE guild_id = ? AND files = ? AND refused_bytes <= ?",
        (guild, files, size),
    )
