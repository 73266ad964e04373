"""The table of what admins and the operator changed; it only grows."""

from collections.abc import AsyncIterator
from datetime import datetime

from bot.tables.database import Reader, Row, Transaction, read
from bot.values import Actor, Change

CHANGES_PER_PAGE = 10


async def note(
    tx: Transaction,
    guild: int,
    now: datetime,
    actor: Actor,
    action: str,
    subject: str | Actor,
    before: str | None = None,
    after: str | None = None,
    reason: str | None = None,
) -> None:
    """Record a change, in the transaction that makes it.

    If its subject is a member, it can be found by them.
    """
    await tx.insert(
        "audit",
        guild_id=guild,
        at=now.timestamp(),
        actor_id=actor.id,
        actor_name=actor.name,
        action=action,
        member_id=subject.id if isinstance(subject, Actor) else None,
        subject=subject.name if isinstance(subject, Actor) else subject,
        before=before,
        after=after,
        reason=reason,
    )


async def forgotten(tx: Transaction, user: int) -> None:
    """Erase a member's name and the words about them and by them; what was changed stays."""
    await tx.execute("UPDATE audit SET subject = '', reason = NULL WHERE member_id = ?", (user,))
    await tx.execute("UPDATE audit SET actor_name = '', reason = NULL WHERE actor_id = ?", (user,))


async def forgotten_where_left(tx: Transaction, before: datetime, most: int) -> int:
    """Erase names and words of servers that were left before a time; return how many changes'."""
    return await tx.execute(
        """
        UPDATE audit SET actor_name = '', subject = '', reason = NULL WHERE id IN (
            SELECT audit.id FROM servers INDEXED BY servers_left
            CROSS JOIN audit INDEXED BY audit_named USING (guild_id)
            WHERE left_at < ? AND (actor_name <> '' OR subject <> '') LIMIT ?
        )
        """,
        (before.timestamp(), most),
    )


async def page(reader: Reader, guild: int, member: int | None, number: int) -> list[Change]:
    """Return a page of a server's changes, newest first, and one more if there are more pages."""
    if member is None:
        rows = await reader.fetch(
            "SELECT * FROM audit WHERE guild_id = ? ORDER BY id DESC LIMIT ? OFFSET ?",
            (guild, CHANGES_PER_PAGE + 1, number * CHANGES_PER_PAGE),
        )
    else:
        rows = await reader.fetch(
            """
            SELECT * FROM audit WHERE guild_id = ? AND member_id = ?
            ORDER BY id DESC LIMIT ? OFFSET ?
            """,
            (guild, member, CHANGES_PER_PAGE + 1, number * CHANGES_PER_PAGE),
        )
    return [_change(row) for row in rows]


# In pages, each a statement of its own: an export may be read slowly, and holds nothing up.
async def every(reader: Reader, guild: int) -> AsyncIterator[Change]:
    """Yield all of a server's changes, oldest first."""
    last = 0
    while rows := await reader.fetch(
        "SELECT * FROM audit WHERE guild_id = ? AND id > ? ORDER BY id LIMIT 500", (guild, last)
    ):
        for row in rows:
            yield _change(row)
        last = rows[-1]["id"]


def _change(row: Row) -> Change:
    return read(Change, row, actor={"id": row["actor_id"], "name": row["actor_name"]})
