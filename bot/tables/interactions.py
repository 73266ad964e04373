"""The table of interactions that queued a job or had one posted again: some come twice."""

from bot.tables.database import Reader, Transaction


async def answered(reader: Reader, interaction: int) -> int | None:
    """Return the number of the job that an interaction queued or had posted again."""
    return await reader.value("SELECT job_id FROM interactions WHERE id = ?", (interaction,))


async def answer(tx: Transaction, interaction: int, job: int) -> None:
    """Note that an interaction queued a job or had it posted again."""
    # No OR IGNORE: who did not look first in the same transaction fails, with all that it did.
    await tx.insert("interactions", id=interaction, job_id=job)


async def first(reader: Reader, job: int) -> int | None:
    """Return the id of the interaction that queued a job, if it is known."""
    return await reader.value("SELECT MIN(id) FROM interactions WHERE job_id = ?", (job,))
