"""The table of engines: what each was last seen doing, and what it renders with."""

import json
from collections.abc import Collection

from bot.tables import speeds
from bot.tables.database import Reader, Transaction, listed, read
from bot.values import EngineState, EngineStatus


async def every(reader: Reader) -> list[EngineStatus]:
    """Return all engines by their names' order, with their speeds."""
    rows = await reader.fetch("SELECT * FROM engines ORDER BY name")
    known = await speeds.by_engine(reader)
    return [
        read(
            EngineStatus,
            row,
            **{name: json.loads(row[name]) for name in ("models", "unfit", "loaded")},
            speeds=known.get(row["name"], {}),
        )
        for row in rows
    ]


async def state(reader: Reader) -> EngineState:
    """Return whether any engine can render that is not taken out."""
    rows = await reader.fetch("SELECT 1 FROM engines WHERE state = 'ready' AND NOT paused LIMIT 1")
    return EngineState.READY if rows else EngineState.LOADING


async def able(reader: Reader) -> set[str]:
    """Return the models that an engine can render which is ready and not taken out."""
    models = await reader.column(
        """
        SELECT value FROM engines, json_each(models)
        WHERE state = 'ready' AND paused = 0
            AND value NOT IN (SELECT value FROM json_each(unfit))
        """
    )
    return set(models)


async def are(tx: Transaction, names: Collection[str]) -> None:
    """Note which engines there are; of others only a pause is remembered."""
    there = listed(names)
    await tx.execute(
        """
        DELETE FROM engines
        WHERE paused = 0 AND name NOT IN (SELECT value FROM json_each(?))
        """,
        (there,),
    )
    await tx.execute(
        """
        UPDATE engines SET state = 'lost', trouble = 'It is not there.', loaded = '[]'
        WHERE name NOT IN (SELECT value FROM json_each(?))
        """,
        (there,),
    )
    # WHERE true, without which SQLite would take the ON for a join's.
    await tx.execute(
        """
        INSERT INTO engines (name) SELECT value FROM json_each(?) WHERE true
        ON CONFLICT (name) DO UPDATE SET state = 'loading', trouble = NULL WHERE state = 'lost'
        """,
        (there,),
    )


async def loads(tx: Transaction, name: str) -> None:
    """Note that an engine is started."""
    await tx.execute("UPDATE engines SET state = 'loading', trouble = NULL WHERE name = ?", (name,))


async def lost(tx: Transaction, name: str, trouble: str) -> None:
    """Note that an engine was lost, or cannot start, and why."""
    await tx.execute(
        "UPDATE engines SET state = 'lost', trouble = ?, loaded = '[]' WHERE name = ?",
        (trouble, name),
    )


async def runs(
    tx: Transaction,
    name: str,
    *,
    device: str,
    precision: str,
    models: Collection[str],
    unfit: Collection[str] = (),
) -> None:
    """Note what an engine that is ready runs on, which models it has, and which are too large."""
    await tx.upsert(
        "engines",
        name=name,
        state=EngineState.READY,
        trouble=None,
        device=device,
        precision=precision,
        models=listed(models),
        unfit=listed(unfit),
    )


async def holds(tx: Transaction, name: str, loaded: Collection[str]) -> None:
    """Note which models an engine has in memory."""
    await tx.execute("UPDATE engines SET loaded = ? WHERE name = ?", (listed(loaded), name))


async def paused(reader: Reader, name: str) -> bool:
    """Whether an engine was taken out."""
    return bool(await reader.fetch("SELECT 1 FROM engines WHERE name = ? AND paused = 1", (name,)))


async def all_paused(reader: Reader) -> bool:
    """Whether there are engines, and every one was taken out."""
    return bool(await reader.value("SELECT MIN(paused) FROM engines"))


async def pause(tx: Transaction, name: str) -> bool:
    """Take an engine out: it starts nothing. Return False if there is none, or it was out."""
    return await tx.changes("UPDATE engines SET paused = 1 WHERE name = ? AND paused = 0", (name,))


async def resume(tx: Transaction, name: str) -> bool:
    """Put an engine back; return False if there is none, or it was not taken out."""
    return await tx.changes("UPDATE engines SET paused = 0 WHERE name = ? AND paused = 1", (name,))
