"""The table of uploads: the smallest files that Discord refused as too large."""

from datetime import datetime

from bot.tables.database import Reader, Transaction
from bot.values import Target


async def refused_bytes(
    reader: Reader, target: Target, files: int, since: datetime, now: datetime
) -> int | None:
    """Return the bytes of a file that were too many beside so many or fewer, from a time to now."""
    rows = await reader.fetch(
        """
        SELECT MIN(refused_bytes) AS least FROM uploads
        WHERE guild_id = ? AND answer = ? AND files <= ? AND refused_at BETWEEN ? AND ?
        """,
        (target.guild, target.answer, files, since.timestamp(), now.timestamp()),
    )
    least: int | None = rows[0]["least"]
    return least


async def refused(tx: Transaction, target: Target, files: int, largest: int, now: datetime) -> None:
    """Note that a message with this many files, the largest of this many bytes, was too large."""
    await tx.execute(
        """
        INSERT INTO uploads (guild_id, answer, files, refused_bytes, refused_at)
        VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (guild_id, answer, files) DO UPDATE SET
            refused_bytes = MIN(refused_bytes, excluded.refused_bytes),
            refused_at = excluded.refused_at
        """,
        (target.guild, target.answer, files, largest, now.timestamp()),
    )


async def accepted(tx: Transaction, target: Target, files: int, largest: int) -> None:
    """Note that such a message was accepted: refusals of smaller ones are out of date."""
    await tx.execute(
        """
        DELETE FROM uploads
        WHERE guild_id = ? AND answer = ? AND files <= ? AND refused_bytes <= ?
        """,
        (target.guild, target.answer, files, largest),
    )
