"""The status messages of the table of jobs: where each stands, and what it shows."""

from bot.tables.database import Reader, Transaction, read
from bot.values import Notice, Status


async def shown(tx: Transaction, job: int, message: int | None, status: Status) -> None:
    """Note the message that shows a job's status, and which status it shows."""
    await tx.execute(
        "UPDATE jobs SET status_message_id = ?, shown = ? WHERE id = ?", (message, status, job)
    )


async def to_show(reader: Reader) -> list[Notice]:
    """Return the status messages that may be out of date, oldest first."""
    # Each half of the UNION has an index of its own; an OR of both would walk over all jobs, and so
    # would the index by which a message's job is found.
    rows = await reader.fetch(
        """
        SELECT id AS job, channel_id AS channel, status, shown, created_at FROM jobs WHERE id IN (
            SELECT id FROM jobs INDEXED BY jobs_by_status
            WHERE status IN ('queued', 'running') AND status_message_id IS NOT NULL
            UNION
            SELECT id FROM jobs INDEXED BY jobs_to_show
            WHERE status_message_id IS NOT NULL AND shown IS NOT status
        ) ORDER BY id
        """
    )
    return [read(Notice, row) for row in rows]


async def changed(reader: Reader) -> list[Notice]:
    """Return the status messages that do not show their jobs' status, oldest first."""
    rows = await reader.fetch(
        """
        SELECT id AS job, channel_id AS channel, status, shown, created_at
        FROM jobs INDEXED BY jobs_to_show
        WHERE status_message_id IS NOT NULL AND shown IS NOT status ORDER BY id
        """
    )
    return [read(Notice, row) for row in rows]
