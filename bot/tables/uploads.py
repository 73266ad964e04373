"""The table of uploads: the smallest files that Discord refused as too large."""

from datetime import datetime

from bot.tables.database import Reader, Transaction
from bot.values import Target, Upload, UploadLimits


async def limits(reader: Reader, target: Target, since: datetime, now: datetime) -> UploadLimits:
    """Return what was refused between `since` and now."""
    rows = await reader.fetch(
        """
        SELECT files, refused_bytes FROM uploads
        WHERE guild_id = ? AND answer = ? AND refused_at BETWEEN ? AND ?
        """,
        (*target, since.timestamp(), now.timestamp()),
    )
    return UploadLimits(tuple((row["files"], row["refused_bytes"]) for row in rows))


async def refused(tx: Transaction, upload: Upload, now: datetime) -> None:
    """Note that a message with these files was too large."""
    await tx.execute(
        """
        INSERT INTO uploads (guild_id, answer, files, refused_bytes, refused_at)
        VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (guild_id, answer, files) DO UPDATE SET
            refused_bytes = MIN(refused_bytes, excluded.refused_bytes),
            refused_at = excluded.refused_at
        """,
        (*upload.target, len(upload.sizes), max(upload.sizes), now.timestamp()),
    )


async def accepted(tx: Transaction, upload: Upload) -> None:
    """Note that such a message was accepted: refusals of smaller ones are out of date."""
    # A limit can grow, such as by boosts: what just passed disproves what was refused below it.
    await tx.execute(
        """
        DELETE FROM uploads
        WHERE guild_id = ? AND answer = ? AND files <= ? AND refused_bytes <= ?
        """,
        (*upload.target, len(upload.sizes), max(upload.sizes)),
    )
