"""The table of panels: the message of /panel in each channel that has one."""

from datetime import datetime

from bot.tables.database import Reader, Transaction, read
from bot.values import Panel


async def find(reader: Reader, channel: int) -> Panel | None:
    """Return the panel of a channel."""
    rows = await reader.fetch(
        """
        SELECT guild_id AS guild, channel_id AS channel, message_id AS message
        FROM panels WHERE channel_id = ?
        """,
        (channel,),
    )
    return read(Panel, rows[0]) if rows else None


async def put(tx: Transaction, panel: Panel, now: datetime) -> None:
    """Note a channel's panel, instead of the one before."""
    await tx.upsert(
        "panels",
        channel_id=panel.channel,
        guild_id=panel.guild,
        message_id=panel.message,
        looked_at=now.timestamp(),
        passed=False,
    )


async def gone(tx: Transaction, panel: Panel) -> None:
    """A panel was deleted: its channel has none, unless there is another by now."""
    await tx.execute("DELETE FROM panels WHERE message_id = ?", (panel.message,))


async def passed(tx: Transaction, channel: int) -> None:
    """Note that the bot posted below the panel of a channel, if it has one."""
    await tx.execute("UPDATE panels SET passed = 1 WHERE channel_id = ?", (channel,))


async def due(reader: Reader, before: datetime, now: datetime) -> list[Panel]:
    """Return the passed panels that were last looked at `before`, or by a clock that was ahead."""
    rows = await reader.fetch(
        """
        SELECT guild_id AS guild, channel_id AS channel, message_id AS message
        FROM panels INDEXED BY panels_passed
        WHERE passed = 1 AND (looked_at < ? OR looked_at > ?)
        """,
        (before.timestamp(), now.timestamp()),
    )
    return [read(Panel, row) for row in rows]


async def claimed(tx: Transaction, panel: Panel, now: datetime) -> bool:
    """Look at a passed panel; return False if somebody does already, or there is another now."""
    return await tx.changes(
        "UPDATE panels SET passed = 0, looked_at = ? WHERE message_id = ? AND passed = 1",
        (now.timestamp(), panel.message),
    )
