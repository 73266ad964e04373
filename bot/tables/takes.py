"""The table of takes: the music, and what each piece of it is charged."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from bot.tables.database import Reader, Transaction, listed, moment, read
from bot.values import Job, Take


async def add(tx: Transaction, job: Job, price: int) -> None:
    """Reserve the job's takes, each charged its share of the price in whole seconds."""
    # Whole seconds that sum to the price: a rounded share for each would not.
    least, more = divmod(price, job.request.takes)
    for number in range(1, job.request.takes + 1):
        await tx.execute(
            "INSERT INTO takes (job_id, number, seed, charged_seconds) VALUES (?, ?, ?, ?)",
            (job.id, number, job.request.seed + number - 1, least + (number <= more)),
        )


async def of(reader: Reader, job: int) -> list[Take]:
    """Return a job's takes by number."""
    rows = await reader.fetch("SELECT * FROM takes WHERE job_id = ? ORDER BY number", (job,))
    return [read(Take, row) for row in rows]


# `added` rounds up what is new in whole seconds: ROUND first, as 8.000000001 s would be 9. The
# EXISTS refuses a report that arrives after its job was cancelled or put back.
async def rendered(
    tx: Transaction, job: int, number: int, seconds: float, audio: str, codes: str | None
) -> None:
    """Note that a take's files exist, if its job is still running."""
    await tx.execute(
        """
        UPDATE takes SET state = 'rendered', seconds = ?1, audio = ?2, codes = ?3, added = (
            SELECT CAST(new AS INTEGER) + (new > CAST(new AS INTEGER)) FROM (
                SELECT ROUND(?1 - before, 6) AS new FROM jobs WHERE id = job_id
            )
        )
        WHERE job_id = ?4 AND number = ?5 AND state = 'waiting'
        AND EXISTS (SELECT 1 FROM jobs WHERE id = job_id AND status = 'running')
        """,
        (seconds, audio, codes, job, number),
    )


async def previewed(tx: Transaction, job: int, number: int, preview: str) -> bool:
    """Note that a take's preview exists; return False if its job is no longer running."""
    return await tx.changes(
        """
        UPDATE takes SET preview = ? WHERE job_id = ? AND number = ?
        AND EXISTS (SELECT 1 FROM jobs WHERE id = job_id AND status = 'running')
        """,
        (preview, job, number),
    )


async def find(reader: Reader, take: int) -> Take | None:
    """Return the take with this id."""
    rows = await reader.fetch("SELECT * FROM takes WHERE id = ?", (take,))
    return read(Take, rows[0]) if rows else None


async def files(reader: Reader) -> set[str]:
    """Return the names of all files that takes have."""
    rows = await reader.fetch(
        """
        SELECT audio, codes, preview FROM takes
        WHERE audio IS NOT NULL OR codes IS NOT NULL OR preview IS NOT NULL
        """
    )
    return {name for row in rows for name in row if name}


class Kept(NamedTuple):
    """A take of an ended job with files: their ids, whether this is starred and was delivered."""

    take: int
    job: int
    starred: bool
    delivered: bool
    ended_at: datetime

    @property
    def worth(self) -> tuple[bool, bool, datetime, int]:
        """What the files of jobs are ordered by: the least goes first."""
        return (self.starred, self.delivered, self.ended_at, self.job)


async def kept(reader: Reader, after: int, limit: int) -> list[Kept]:
    """Return a page of takes of ended jobs that have files, after the take with an id."""
    rows = await reader.fetch(
        """
        SELECT takes.id, job_id, starred, status = 'delivered' AS delivered,
            COALESCE(ended_at, created_at) AS ended_at
        FROM takes INDEXED BY takes_with_files CROSS JOIN jobs ON jobs.id = job_id
        WHERE (audio IS NOT NULL OR codes IS NOT NULL OR preview IS NOT NULL) AND takes.id > ?
        AND status IN ('delivered', 'undeliverable', 'failed', 'cancelled')
        ORDER BY takes.id LIMIT ?
        """,
        (after, limit),
    )
    return [
        Kept(take, job, bool(starred), bool(delivered), moment(ended_at))
        for take, job, starred, delivered, ended_at in rows
    ]


async def dispensable(tx: Transaction, job: int, *, starred: bool) -> bool:
    """Whether a job's files may be removed: it has ended, and no open job extends them.

    Those of a starred job only where `starred` ones go too.
    """
    rows = await tx.fetch(
        """
        SELECT 1 FROM jobs WHERE id = ? AND starred <= ?
        AND status IN ('delivered', 'undeliverable', 'failed', 'cancelled') AND NOT EXISTS (
            SELECT 1 FROM jobs AS child JOIN takes ON takes.id = child.parent_take
            WHERE child.status IN ('queued', 'running') AND takes.job_id = jobs.id
        )
        """,
        (job, starred),
    )
    return bool(rows)


async def erased(tx: Transaction, jobs: Iterable[int], *, but: int | None = None) -> None:
    """Mark the files of these jobs for removal, but those of the take with this number.

    Their pictures too, which show all takes.
    """
    # The names go into `unneeded` before the columns are cleared: whatever fails later, a row still
    # says which files to remove.
    these = listed(jobs)
    await tx.execute(
        """
        WITH these (job) AS (SELECT value FROM json_each(?1)),
        gone AS (SELECT * FROM takes WHERE job_id IN these AND number IS NOT ?2)
        INSERT OR IGNORE INTO unneeded (name)
        SELECT audio FROM gone WHERE audio IS NOT NULL
        UNION ALL SELECT codes FROM gone WHERE codes IS NOT NULL
        UNION ALL SELECT preview FROM gone WHERE preview IS NOT NULL
        UNION ALL SELECT picture FROM jobs WHERE id IN these AND picture IS NOT NULL
        """,
        (these, but),
    )
    await tx.execute(
        """
        UPDATE takes SET audio = NULL, codes = NULL, preview = NULL
        WHERE job_id IN (SELECT value FROM json_each(?)) AND number IS NOT ?
        """,
        (these, but),
    )
    await tx.execute(
        "UPDATE jobs SET picture = NULL WHERE id IN (SELECT value FROM json_each(?))", (these,)
    )


# MIN: a take is never charged more than was reserved for it, however long it came out.
async def settled(tx: Transaction, job: int) -> None:
    """Charge the music that exists, in whole seconds, and nothing for missing takes."""
    await tx.execute(
        """
        UPDATE takes SET charged_seconds = MIN(charged_seconds, added)
        WHERE job_id = ? AND state = 'rendered'
        """,
        (job,),
    )
    await tx.execute(
        """
        UPDATE takes SET state = 'dropped', charged_seconds = 0
        WHERE job_id = ? AND state = 'waiting'
        """,
        (job,),
    )


async def charged(tx: Transaction, job: int) -> None:
    """Charge the music that exists again, unless it was free."""
    await tx.execute(
        """
        UPDATE takes
        SET charged_seconds = added * (SELECT priority >= 0 FROM jobs WHERE id = job_id)
        WHERE job_id = ? AND state = 'rendered'
        """,
        (job,),
    )


async def returned(tx: Transaction, job: int) -> None:
    """Refund everything that was charged for a job."""
    await tx.execute("UPDATE takes SET charged_seconds = 0 WHERE job_id = ?", (job,))


async def lost(tx: Transaction, job: int, number: int, stands: int, parts: int) -> None:
    """Charge only those parts of a take that were posted."""
    await tx.execute(
        """
        UPDATE takes SET state = 'dropped', charged_seconds = (charged_seconds * ? + ? - 1) / ?
        WHERE job_id = ? AND number = ? AND state = 'rendered'
        """,
        # Rounded up: `(a + b - 1) / b` of whole numbers.
        (stands, parts, parts, job, number),
    )


async def heard(tx: Transaction, job: int, seconds: float) -> None:
    """Charge no more than the preview of a piece that will never be finished."""
    await tx.execute(
        "UPDATE takes SET state = 'dropped', charged_seconds = MIN(charged_seconds, ?) "
        "WHERE job_id = ?",
        (int(seconds), job),
    )


async def reset(tx: Transaction, job: int) -> None:
    """Forget the takes of an interrupted render: it starts from scratch."""
    await tx.execute(
        """
        UPDATE takes SET state = 'waiting', seconds = NULL, added = NULL, audio = NULL,
            codes = NULL, preview = NULL
        WHERE job_id = ?
        """,
        (job,),
    )
