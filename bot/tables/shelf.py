"""The lists of members' pieces in the table of jobs, with their titles and stars."""

from bot.tables import jobs
from bot.tables.database import Reader, Transaction, listed
from bot.values import Job


async def history(
    reader: Reader, guild: int, user: int, limit: int, skip: int, words: str = ""
) -> list[Job]:
    """Return the member's jobs that became music, starred ones first, then the newest.

    With `words` only those that have each of them in their number, title, prompt or lyrics.
    """
    return await jobs.select(
        reader,
        """
        SELECT * FROM jobs WHERE guild_id = ? AND user_id = ? AND rendered_at IS NOT NULL
        AND deleted_at IS NULL AND forgotten_at IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM json_each(?) AS word WHERE instr(
                casefold(
                    '#' || jobs.id || ' ' || COALESCE(title, '') || ' ' || prompt || ' '
                    || COALESCE(lyrics, '')
                ), word.value
            ) = 0
        )
        ORDER BY starred DESC, id DESC LIMIT ? OFFSET ?
        """,
        (guild, user, listed(words.casefold().split()), limit, skip),
    )


# Counted in the UPDATE itself: two stars at a time are no more than one after the other.
async def starred(tx: Transaction, job: int, most: int) -> bool:
    """Star a delivered job whose music is kept, if its member has fewer than `most`."""
    return await tx.changes(
        """
        UPDATE jobs SET starred = 1 WHERE id = ?1 AND starred = 0 AND status = 'delivered'
        AND deleted_at IS NULL AND forgotten_at IS NULL
        AND EXISTS (SELECT 1 FROM takes WHERE job_id = jobs.id AND audio IS NOT NULL)
        AND ?2 > (
            SELECT COUNT(*) FROM jobs AS other
            WHERE other.guild_id = jobs.guild_id AND other.user_id = jobs.user_id
            AND other.starred = 1 AND other.rendered_at IS NOT NULL
            AND other.deleted_at IS NULL AND other.forgotten_at IS NULL
        )
        """,
        (job, most),
    )


async def unstarred(tx: Transaction, job: int) -> None:
    """Take a job's star."""
    await tx.execute("UPDATE jobs SET starred = 0 WHERE id = ?", (job,))


async def count(reader: Reader, guild: int, user: int) -> int:
    """Return how many jobs a member has starred in a server."""
    stars = await reader.value(
        """
        SELECT COUNT(*) FROM jobs
        WHERE guild_id = ? AND user_id = ? AND starred = 1 AND rendered_at IS NOT NULL
        AND deleted_at IS NULL AND forgotten_at IS NULL
        """,
        (guild, user),
    )
    return stars or 0


async def named(tx: Transaction, job: int, title: str | None) -> None:
    """Give a job a title, or None."""
    await tx.execute(
        "UPDATE jobs SET title = ? WHERE id = ? AND deleted_at IS NULL AND forgotten_at IS NULL",
        (title, job),
    )
