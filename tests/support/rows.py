"""Rows as a test wants them, and what a function of a table module changed in them."""

from collections.abc import Awaitable, Callable
from typing import Any

from bot.tables.database import Database, Transaction

Call = Callable[[Transaction], Awaitable[Any]]

USUAL: dict[str, dict[str, Any]] = {
    "jobs": {
        "status": "queued",
        "guild_id": 10,
        "channel_id": 100,
        "user_id": 1,
        "user_name": "someone",
        "application_id": 5,
        "token": "t",
        "prompt": "play",
        "seconds": 8,
        "takes": 2,
        "work": 16,
        "model": "small",
        "seed": 7,
        "options": '{"guidance": 3.0, "temperature": 1.0, "top_k": 250}',
        "tier": "Free",
        "allowance_seconds": 100,
        "day": "2026-11-23",
        "created_at": 5.0,
    },
    "takes": {"number": 1, "seed": 7, "charged_seconds": 8},
    "posts": {"part": 0, "kind": "result", "due_at": 100.0, "place": 100},
    "draws": {"drawn": 5, "seconds": 5},
    "grants": {"guild_id": 10, "user_id": 1, "seconds": 30, "reason": "a gift", "created_at": 5.0},
}

WATCHED = ("jobs", "takes", "posts", "draws", "grants", "unneeded")


async def put(tx: Transaction, table: str, **columns: Any) -> int:
    """Insert a row that is as usual but for these columns, and return its id."""
    row = USUAL[table] | columns
    if table == "posts":
        row = {"nonce": f"{row['job_id']} {row['part']} {row['kind']}"} | row
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    (made,) = await tx.fetch(
        f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", [*row.values()]
    )
    return int(made["id"])


async def everything(database: Database) -> dict[str, dict[str, Any]]:
    """Return all rows that are watched, by table and id."""
    return {
        f"{table} {row[0]}": dict(row)
        for table in WATCHED
        for row in await database.fetch(f"SELECT * FROM {table}")
    }


async def changes(database: Database, call: Call) -> dict[str, dict[str, Any]]:
    """Return what a call changes: of each row the columns, all of a new one, none of one gone.

    One that says that it did nothing did nothing.
    """
    before = await everything(database)
    async with database.transaction() as tx:
        says = await call(tx)
    after = await everything(database)
    assert says is not False or before == after
    return {
        name: {
            column: value
            for column, value in after.get(name, {}).items()
            if name not in before or before[name][column] != value
        }
        for name in before | after
        if before.get(name) != after.get(name)
    }
