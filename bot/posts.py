"""The table of posts: the messages that members are owed, written before they are sent."""

import secrets
from datetime import UTC, datetime

from bot.database import Database, Row, Transaction
from bot.models import Post, PostKind, Route


async def add(tx: Transaction, job: int, kind: PostKind, now: datetime, part: int = 0) -> None:
    """Owe a message, if it is not owed yet.

    Its nonce (24 characters) lets Discord recognise a repeated send.
    """
    await tx.execute(
        "INSERT OR IGNORE INTO posts (job_id, part, kind, nonce, due_at) VALUES (?, ?, ?, ?, ?)",
        (job, part, kind, secrets.token_hex(12), now.timestamp()),
    )


async def undelivered(source: Database, now: datetime) -> list[Post]:
    """Return the posts that are due, oldest first.

    The `+` keeps SQLite from reading all posts by id to save the sort.
    """
    rows = await source.fetch(
        """
        SELECT * FROM posts WHERE delivered_at IS NULL AND refused_at IS NULL AND due_at <= ?
        ORDER BY +id
        """,
        (now.timestamp(),),
    )
    return [_post(row) for row in rows]


async def of(source: Database | Transaction, job: int) -> list[Post]:
    """Return all posts of a job, in the order they were owed."""
    rows = await source.fetch("SELECT * FROM posts WHERE job_id = ? ORDER BY id", (job,))
    return [_post(row) for row in rows]


async def delivered(tx: Transaction, post: int, message: int, now: datetime) -> bool:
    """Discord accepted the message; return False if that was known already."""
    return await tx.changes(
        """
        UPDATE posts SET message_id = ?, delivered_at = ? WHERE id = ? AND delivered_at IS NULL
        """,
        (message, now.timestamp(), post),
    )


async def rerouted(tx: Transaction, post: int, route: Route) -> None:
    """The last route was refused for good: take another one."""
    await tx.execute("UPDATE posts SET route = ?, attempts = 0 WHERE id = ?", (route, post))


async def postponed(tx: Transaction, post: int, due_at: datetime) -> None:
    """There was no clear answer: try the same route with the same nonce again later."""
    await tx.execute(
        "UPDATE posts SET attempts = attempts + 1, due_at = ? WHERE id = ?",
        (due_at.timestamp(), post),
    )


async def previews_to_replace(source: Database) -> list[Post]:
    """Return the previews that stand in a channel though their job has ended."""
    rows = await source.fetch(
        """
        SELECT posts.* FROM posts JOIN jobs ON jobs.id = job_id
        WHERE kind = 'preview' AND delivered_at IS NOT NULL AND replaced_at IS NULL
        AND status IN ('delivered', 'failed', 'cancelled', 'undeliverable')
        """
    )
    return [_post(row) for row in rows]


async def replaced(tx: Transaction, post: int, now: datetime) -> None:
    """A preview's message is gone."""
    await tx.execute("UPDATE posts SET replaced_at = ? WHERE id = ?", (now.timestamp(), post))


async def superfluous(tx: Transaction, job: int, now: datetime) -> None:
    """A preview that was not sent yet is not wanted any more."""
    await tx.execute(
        """
        UPDATE posts SET refused_at = ?
        WHERE job_id = ? AND kind = 'preview' AND delivered_at IS NULL
        """,
        (now.timestamp(), job),
    )


async def refused(tx: Transaction, post: int, now: datetime) -> None:
    """No route is left."""
    await tx.execute("UPDATE posts SET refused_at = ? WHERE id = ?", (now.timestamp(), post))


async def withdrawn(tx: Transaction, job: int, now: datetime) -> None:
    """Nothing of a job is to be sent any more."""
    await tx.execute(
        "UPDATE posts SET refused_at = ? WHERE job_id = ? AND delivered_at IS NULL",
        (now.timestamp(), job),
    )


async def wanted_again(tx: Transaction, job: int, now: datetime) -> None:
    """Try a refused result again from the first route, as a new message."""
    await tx.execute(
        """
        UPDATE posts SET route = 'channel', attempts = 0, refused_at = NULL, due_at = ?, nonce = ?
        WHERE job_id = ? AND kind = 'result' AND delivered_at IS NULL
        """,
        (now.timestamp(), secrets.token_hex(12), job),
    )


def _post(row: Row) -> Post:
    delivered_at = row["delivered_at"]
    return Post(
        id=row["id"],
        job_id=row["job_id"],
        part=row["part"],
        kind=PostKind(row["kind"]),
        nonce=row["nonce"],
        route=Route(row["route"]),
        attempts=row["attempts"],
        due_at=datetime.fromtimestamp(row["due_at"], UTC),
        message_id=row["message_id"],
        delivered_at=None if delivered_at is None else datetime.fromtimestamp(delivered_at, UTC),
    )
