"""The table of unneeded files: no row needs them, and they wait for removal from the disk."""

from collections.abc import Sequence

from bot.tables.database import Reader, Transaction, listed


async def due(reader: Reader, after: str = "", limit: int = -1) -> list[str]:
    """Return up to `limit` names after one, in order; all by default."""
    # Paged by name and not by OFFSET: a file that cannot be removed stays, and must not come again
    # in the same walk.
    return await reader.column(
        "SELECT name FROM unneeded WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
    )


async def done(tx: Transaction, names: Sequence[str]) -> None:
    """Note that these files are gone."""
    await tx.execute(
        "DELETE FROM unneeded WHERE name IN (SELECT value FROM json_each(?))", (listed(names),)
    )
