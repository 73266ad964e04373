"""What is erased of the table of jobs, and whose words it still has."""

from collections.abc import Iterable
from datetime import datetime

from bot.tables import jobs
from bot.tables.database import Reader, Transaction, listed
from bot.values import Job


async def deleted(tx: Transaction, job: int, now: datetime) -> None:
    """A job's message and files are gone; its status message does not show that yet."""
    await tx.execute(
        """
        UPDATE jobs SET deleted_at = COALESCE(deleted_at, ?), title = NULL, starred = 0,
            shown = NULL
        WHERE id = ?
        """,
        (now.timestamp(), job),
    )


async def forgotten(tx: Transaction, numbers: Iterable[int], now: datetime) -> None:
    """Erase the words of jobs and whose name they have; their numbers stay."""
    await tx.execute(
        """
        UPDATE jobs SET prompt = '', user_name = '', token = '', reason = NULL, title = NULL,
            lyrics = NULL, language = NULL, starred = 0, deleted_at = COALESCE(deleted_at, ?1),
            forgotten_at = ?1
        WHERE id IN (SELECT value FROM json_each(?2))
        """,
        (now.timestamp(), listed(numbers)),
    )


async def tokens_erased(tx: Transaction, before: datetime, most: int) -> int:
    """Erase the tokens of jobs that were asked for before a time; return how many."""
    # INDEXED BY fails instead of falling back to a walk over all jobs, should the partial index
    # ever no longer fit. It empties itself: what is erased leaves it.
    return await tx.execute(
        """
        UPDATE jobs SET token = '' WHERE id IN (
            SELECT id FROM jobs INDEXED BY jobs_with_token
            WHERE token <> '' AND created_at < ? LIMIT ?
        )
        """,
        (before.timestamp(), most),
    )


async def words_erased(tx: Transaction, before: datetime, now: datetime, most: int) -> int:
    """Erase the words and names of jobs without music that ended before a time; return how many."""
    return await tx.execute(
        """
        UPDATE jobs SET prompt = '', user_name = '', token = '', reason = NULL, title = NULL,
            lyrics = NULL, language = NULL, starred = 0, forgotten_at = ?
        WHERE id IN (
            SELECT id FROM jobs INDEXED BY jobs_with_words
            WHERE forgotten_at IS NULL AND ended_at < ? AND picture IS NULL AND NOT EXISTS (
                SELECT 1 FROM takes
                WHERE job_id = jobs.id AND (audio IS NOT NULL OR codes IS NOT NULL)
            ) LIMIT ?
        )
        """,
        (now.timestamp(), before.timestamp(), most),
    )


async def of_member(reader: Reader, user: int, limit: int) -> list[Job]:
    """Return up to `limit` of a member's jobs, in all servers, whose words are still kept."""
    return await jobs.select(
        reader,
        "SELECT * FROM jobs WHERE user_id = ? AND forgotten_at IS NULL LIMIT ?",
        (user, limit),
    )


async def of_left_servers(reader: Reader, before: datetime, limit: int) -> list[Job]:
    """Return up to `limit` jobs with words in servers that the bot left before a time."""
    # CROSS JOIN fixes the order for SQLite: few servers were left, and each then costs its own
    # jobs.
    return await jobs.select(
        reader,
        """
        SELECT jobs.* FROM servers INDEXED BY servers_left
        CROSS JOIN jobs INDEXED BY jobs_by_server USING (guild_id)
        WHERE left_at < ? AND forgotten_at IS NULL LIMIT ?
        """,
        (before.timestamp(), limit),
    )


async def dated(tx: Transaction, least: datetime, now: datetime) -> None:
    """What ended at an impossible time, by a clock that was behind, ended now."""
    await tx.execute(
        "UPDATE jobs SET ended_at = ? WHERE forgotten_at IS NULL AND ended_at < ?",
        (now.timestamp(), least.timestamp()),
    )
