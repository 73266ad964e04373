"""The table of tallies, which triggers keep: how many jobs there are in each state."""

from datetime import datetime

from bot.tables.database import Reader
from bot.values import Fault, Status


async def counts(reader: Reader) -> dict[Status, int]:
    """Return how many jobs are in each state."""
    # Read at each scrape and by `/studio`: COUNT(*) over the jobs costs more with every year.
    rows = await reader.fetch(
        "SELECT status, SUM(jobs) AS count FROM tallies GROUP BY status HAVING SUM(jobs) > 0"
    )
    return {Status(row["status"]): row["count"] for row in rows}


async def faults(reader: Reader) -> dict[Fault, int]:
    """Return how many jobs failed, by kind."""
    rows = await reader.fetch(
        "SELECT fault, jobs FROM tallies WHERE status = 'failed' AND jobs > 0"
    )
    return {Fault(row["fault"]): row["jobs"] for row in rows}


async def rendered_since(reader: Reader, since: datetime) -> tuple[int, int]:
    """Return how many jobs were rendered since then, and their seconds of music."""
    ((jobs, seconds),) = await reader.fetch(
        """
        SELECT COUNT(*), COALESCE(SUM(work), 0)
        FROM jobs INDEXED BY jobs_by_start WHERE started_at > ? AND rendered_at IS NOT NULL
        """,
        (since.timestamp(),),
    )
    return jobs, seconds
