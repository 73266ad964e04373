"""The table of what is unneeded: files that no row needs, until they are gone from the disk."""

from collections.abc import Sequence

from bot.tables.database import Reader, Transaction, listed


async def due(reader: Reader, after: str = "", limit: int = -1) -> list[str]:
    """Return so many names that follow one, in order; all by default."""
    rows = await reader.fetch(
        "SELECT name FROM unneeded WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
    )
    return [row["name"] for row in rows]


async def done(tx: Transaction, names: Sequence[str]) -> None:
    """These files are gone."""
    await tx.execute(
        "DELETE FROM unneeded WHERE name IN (SELECT value FROM json_each(?))",
        (listed(names),),
    )
