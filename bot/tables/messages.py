"""The bot's messages of all tables: which job each is about."""

from bot.tables.database import Reader


async def job(reader: Reader, message: int) -> int | None:
    """Return the number of the job that a message is about."""
    return await reader.value(
        """
        SELECT job_id FROM posts WHERE message_id = ?1
        UNION ALL SELECT job_id FROM repeats WHERE message_id = ?1
        UNION ALL SELECT id FROM jobs WHERE status_message_id = ?1
        """,
        (message,),
    )
