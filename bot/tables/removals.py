"""The tables of the bot's messages that are to be deleted, and of those that /resend posted."""

from collections.abc import Sequence
from datetime import datetime

from bot.tables.database import Reader, Transaction, listed, read
from bot.values import Removal


async def repeated(tx: Transaction, job: int, channel: int, message: int) -> None:
    """Note that a job's music was posted again, as this message."""
    await tx.execute("INSERT OR IGNORE INTO repeats VALUES (?, ?, ?)", (message, channel, job))


async def add_late_repeats(tx: Transaction, job: int, now: datetime) -> None:
    """Mark the messages that /resend posted of a job for deletion, if it was deleted meanwhile."""
    if await tx.fetch("SELECT 1 FROM jobs WHERE id = ? AND deleted_at IS NOT NULL", (job,)):
        await add_repeats(tx, job, now)


async def add_repeats(tx: Transaction, job: int, now: datetime) -> None:
    """Mark the messages that /resend posted of a job for deletion."""
    await tx.execute(
        """
        INSERT OR IGNORE INTO removals (message_id, channel_id, due_at)
        SELECT message_id, channel_id, ? FROM repeats WHERE job_id = ?
        """,
        (now.timestamp(), job),
    )
    await tx.execute(
        """
        DELETE FROM repeats
        WHERE job_id = ? AND message_id IN (SELECT message_id FROM removals)
        """,
        (job,),
    )


async def add_message(tx: Transaction, message: int, channel: int, now: datetime) -> None:
    """Mark a message of the bot that is about no job for deletion."""
    await tx.execute(
        "INSERT OR IGNORE INTO removals (message_id, channel_id, due_at) VALUES (?, ?, ?)",
        (message, channel, now.timestamp()),
    )


async def add(tx: Transaction, jobs: Sequence[int], direct: int | None, now: datetime) -> list[int]:
    """Mark the messages about forgotten jobs for deletion; return their ids.

    `direct` is the channel of direct messages; without it, those stay known for later.
    """
    numbers = listed(jobs)
    # json_each comes first in each CROSS JOIN, so that the few numbers look up their rows, and not
    # the tables theirs.
    added = await tx.column(
        """
        INSERT OR IGNORE INTO removals (message_id, channel_id, due_at)
        SELECT message_id, channel, ?3 FROM (
            SELECT status_message_id AS message_id, channel_id AS channel
            FROM json_each(?1) CROSS JOIN jobs ON jobs.id = value
            WHERE status_message_id IS NOT NULL
            UNION ALL
            SELECT message_id, IIF(route = 'direct', ?2, place)
            FROM json_each(?1) CROSS JOIN posts ON job_id = value
            WHERE message_id IS NOT NULL AND replaced_at IS NULL
            UNION ALL
            SELECT message_id, channel_id FROM json_each(?1) CROSS JOIN repeats ON job_id = value
        ) WHERE channel IS NOT NULL
        RETURNING message_id
        """,
        (numbers, direct, now.timestamp()),
    )
    # After the INSERT: it reads the ids that this takes out of the rows.
    await _unnamed(tx, numbers, now)
    return added


async def add_late(tx: Transaction, job: int, now: datetime) -> None:
    """A message about a job is known; if the job was forgotten meanwhile, it is to be deleted."""
    if await tx.fetch("SELECT 1 FROM jobs WHERE id = ? AND forgotten_at IS NOT NULL", (job,)):
        await add(tx, [job], None, now)


async def said(reader: Reader, user: int, after: int, most: int) -> list[int]:
    """Return a member's forgotten jobs that still have messages, after a number, in order.

    Such as those whose words the operator let age.
    """
    return await reader.column(
        """
        SELECT id FROM jobs INDEXED BY jobs_forgotten
        WHERE user_id = ? AND forgotten_at IS NOT NULL AND id > ? AND (
            status_message_id IS NOT NULL
            OR EXISTS (SELECT 1 FROM posts WHERE job_id = jobs.id AND message_id IS NOT NULL)
            OR EXISTS (SELECT 1 FROM repeats WHERE job_id = jobs.id)
        ) ORDER BY id LIMIT ?
        """,
        (user, after, most),
    )


async def due(reader: Reader, now: datetime, latest: datetime, most: int) -> list[Removal]:
    """Return the messages that are to be deleted now, those due longest first.

    What is due after the latest time was postponed by a clock that has been set since.
    """
    rows = await reader.fetch(
        """
        SELECT message_id AS message, channel_id AS channel, attempts FROM (
            SELECT * FROM removals WHERE due_at <= ?1 ORDER BY due_at, message_id LIMIT ?3
        ) UNION ALL SELECT message_id, channel_id, attempts FROM (
            SELECT * FROM removals WHERE due_at > ?2 ORDER BY due_at, message_id LIMIT ?3
        ) LIMIT ?3
        """,
        (now.timestamp(), latest.timestamp(), most),
    )
    return [read(Removal, row) for row in rows]


async def count(reader: Reader) -> int:
    """Return how many messages are to be deleted."""
    return await reader.value("SELECT COUNT(*) FROM removals") or 0


async def done(tx: Transaction, message: int) -> None:
    """Note that a message is gone, or can never be deleted."""
    await tx.execute("DELETE FROM removals WHERE message_id = ?", (message,))


async def postponed(tx: Transaction, message: int, due_at: datetime) -> None:
    """There was no clear answer: try again later."""
    await tx.execute(
        "UPDATE removals SET attempts = attempts + 1, due_at = ? WHERE message_id = ?",
        (due_at.timestamp(), message),
    )


async def _unnamed(tx: Transaction, numbers: str, now: datetime) -> None:
    """Let the rows of jobs, by their numbers in JSON, name no message that is to be deleted."""
    await tx.execute(
        """
        UPDATE jobs SET status_message_id = NULL
        WHERE id IN (SELECT value FROM json_each(?)) AND status_message_id IS NOT NULL
        """,
        (numbers,),
    )
    await tx.execute(
        """
        UPDATE posts SET message_id = NULL,
            replaced_at = IIF(kind = 'preview', COALESCE(replaced_at, ?), replaced_at)
        WHERE job_id IN (SELECT value FROM json_each(?))
        AND message_id IN (SELECT message_id FROM removals)
        """,
        (now.timestamp(), numbers),
    )
    await tx.execute(
        "DELETE FROM repeats WHERE job_id IN (SELECT value FROM json_each(?))", (numbers,)
    )
