"""What the program remembers of itself: a value for each key, and the numbers that jobs had."""

from datetime import datetime

from bot.tables.database import Reader, Transaction, moment


async def paused(reader: Reader) -> str | None:
    """Return why nothing is started, which may be no words at all; None: the studio goes on."""
    return await _get(reader, "paused")


async def pause(tx: Transaction, reason: str) -> None:
    """Note that nothing is to be started."""
    await _put(tx, "paused", reason)


async def resume(tx: Transaction) -> None:
    """Note that jobs are to be started again."""
    await tx.execute("DELETE FROM settings WHERE key = 'paused'")


# Kept, not computed: the rule of the aged turn must go on counting over a restart.
async def turn(reader: Reader) -> int:
    """Return how many jobs were started that counted as somebody's turn."""
    return int(await _get(reader, "starts") or 0)


async def count_turn(tx: Transaction) -> None:
    """Count one more."""
    await _put(tx, "starts", str(await turn(tx) + 1))


async def calendar(reader: Reader) -> tuple[float, float] | None:
    """Return the time that was believed last, and the seconds for which another was doubted."""
    if (told := await _get(reader, "calendar")) is None:
        return None
    trusted, doubted = map(float, told.split())
    return trusted, doubted


async def believe(tx: Transaction, trusted: float, doubted: float) -> None:
    """Keep those two."""
    await _put(tx, "calendar", f"{trusted} {doubted}")


async def welcomes_since(tx: Transaction, now: datetime) -> datetime:
    """Return since when servers that the bot joins are welcomed, which is now at first."""
    if (told := await _get(tx, "welcomes")) is None:
        told = str(now.timestamp())
        await _put(tx, "welcomes", told)
    return moment(float(told))


async def database_name(reader: Reader) -> str | None:
    """Return what tells this database from others that the data folder may have had."""
    return await _get(reader, "database")


async def name_database(tx: Transaction, name: str) -> None:
    """Give the database such a name."""
    await _put(tx, "database", name)


async def commands(reader: Reader, scope: str) -> str | None:
    """Return the digest of the commands last registered in a scope."""
    return await _get(reader, f"commands {scope}")


async def note_commands(tx: Transaction, scope: str, digest: str) -> None:
    """Keep the digest of what is registered there now."""
    await _put(tx, f"commands {scope}", digest)


async def highest(reader: Reader) -> int:
    """Return the highest job number ever assigned here."""
    # AUTOINCREMENT keeps it here even when the row with that number is gone.
    return await reader.value("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'") or 0


async def numbered_above(tx: Transaction, number: int) -> None:
    """Assign only higher numbers than this from now on."""
    await tx.execute(
        """
        INSERT INTO sqlite_sequence (name, seq)
        SELECT 'jobs', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'jobs')
        """
    )
    # The row exists only once a job was inserted, hence the INSERT above; it has no UNIQUE to
    # conflict on.
    await tx.execute("UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = 'jobs'", (number,))


async def _get(reader: Reader, key: str) -> str | None:
    return await reader.value("SELECT value FROM settings WHERE key = ?", (key,))


async def _put(tx: Transaction, key: str, value: str) -> None:
    await tx.upsert("settings", key=key, value=value)
