"""The tables of grants and of what jobs drew from them."""

from collections.abc import Sequence
from datetime import datetime

from bot.tables.database import Reader, Transaction, read, stamp
from bot.values import Grant


async def add(
    tx: Transaction,
    guild: int,
    user: int,
    seconds: int,
    reason: str,
    now: datetime,
    expires_at: datetime | None,
) -> None:
    """Give a member extra seconds on top of the daily allowance."""
    await tx.insert(
        "grants",
        guild_id=guild,
        user_id=user,
        seconds=seconds,
        reason=reason,
        created_at=now.timestamp(),
        expires_at=stamp(expires_at),
    )


async def open_ones(reader: Reader, guild: int, user: int, now: datetime) -> list[Grant]:
    """Return the grants that still hold something, soonest end first."""
    rows = await reader.fetch(
        """
        SELECT * FROM (
            SELECT grants.*, grants.seconds - COALESCE(
                (SELECT SUM(draws.seconds) FROM draws WHERE grant_id = grants.id), 0
            ) AS "left"
            FROM grants WHERE guild_id = ? AND user_id = ?
            AND (expires_at IS NULL OR expires_at > ?)
        ) WHERE "left" > 0 ORDER BY expires_at IS NULL, expires_at, id
        """,
        (guild, user, now.timestamp()),
    )
    return [read(Grant, row) for row in rows]


# As one that has run out by itself: what it paid stays paid, and refunds to it are gone.
async def revoked(tx: Transaction, guild: int, user: int, grant: int, now: datetime) -> bool:
    """End a member's grant now; return False if it is not open."""
    return await tx.changes(
        """
        UPDATE grants SET expires_at = :now WHERE id = :grant AND guild_id = :guild
        AND user_id = :user AND (expires_at IS NULL OR expires_at > :now)
        """,
        {"guild": guild, "user": user, "grant": grant, "now": now.timestamp()},
    )


async def forgotten(tx: Transaction, user: int) -> None:
    """Erase the reasons of a member's grants; the seconds stay."""
    await tx.execute("UPDATE grants SET reason = '' WHERE user_id = ? AND reason <> ''", (user,))


async def forgotten_where_left(tx: Transaction, before: datetime) -> None:
    """Erase the reasons of grants in servers that the bot left before a time."""
    await tx.execute(
        """
        UPDATE grants SET reason = '' WHERE reason <> '' AND guild_id IN (
            SELECT guild_id FROM servers INDEXED BY servers_left WHERE left_at < ?
        )
        """,
        (before.timestamp(),),
    )


async def drawn(tx: Transaction, job: int, draws: Sequence[tuple[int, int]]) -> None:
    """Note what each grant, by id, pays of a job, in the order they are drawn from."""
    await tx.execute("DELETE FROM draws WHERE job_id = ?", (job,))
    for grant, seconds in draws:
        await tx.execute(
            "INSERT INTO draws (job_id, grant_id, drawn, seconds) VALUES (?, ?, ?, ?)",
            (job, grant, seconds, seconds),
        )


async def returned(tx: Transaction, job: int) -> None:
    """Refund to the grants what a job's takes are no longer charged, last drawn first."""
    draws = await tx.fetch(
        "SELECT id, drawn, seconds FROM draws WHERE job_id = ? ORDER BY id DESC", (job,)
    )
    if not draws:
        return
    (row,) = await tx.fetch(
        """
        SELECT price,
            (SELECT SUM(charged_seconds) FROM takes WHERE job_id = jobs.id) AS charged
        FROM jobs WHERE id = ?
        """,
        (job,),
    )
    # The allowance paid first, so a refund goes to the grants first: what remains charged is
    # compared with what the allowance had paid.
    from_allowance = row["price"] - sum(draw["drawn"] for draw in draws)
    kept = max(0, row["charged"] - from_allowance)
    excess = sum(draw["seconds"] for draw in draws) - kept
    # Last drawn, first returned: that grant is the one that ends last, or never.
    for draw in draws:
        back = min(max(0, excess), draw["seconds"])
        excess -= back
        await tx.execute("UPDATE draws SET seconds = seconds - ? WHERE id = ?", (back, draw["id"]))
