"""The table of settings: what the program remembers by name."""

from bot.tables.database import Reader, Transaction


async def get(reader: Reader, key: str) -> str | None:
    """Return what was kept under `key`."""
    rows = await reader.fetch("SELECT value FROM settings WHERE key = ?", (key,))
    return rows[0]["value"] if rows else None


async def drop(tx: Transaction, key: str) -> None:
    """Forget what was kept under `key`."""
    await tx.execute("DELETE FROM settings WHERE key = ?", (key,))


async def put(tx: Transaction, key: str, value: str) -> None:
    """Keep `value` under `key`."""
    await tx.execute(
        """
        INSERT INTO settings (key, value) VALUES (?, ?)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value
        """,
        (key, value),
    )
