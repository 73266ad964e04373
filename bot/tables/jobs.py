"""The table of jobs: one method per change of state, each guarded by the state it leaves."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from bot.tables.database import Parameters, Reader, Row, Transaction, listed, read
from bot.values import Fault, Job, Origin, Promise, Status

IDLE_PRIORITY = -1
"""The priority of the idle lane: free, and after all others."""


async def add(tx: Transaction, origin: Origin, promise: Promise, now: datetime) -> Job:
    """Queue a request on the terms that it was accepted under."""
    held, request = promise.membership, promise.request
    # The row has both by the names of their fields, but for what a table of its own has.
    asked = asdict(origin) | asdict(request) | {"options": json.dumps(dict(request.options))}
    del asked["interaction_id"]
    row = await tx.insert(
        "jobs",
        **asked,
        status=Status.QUEUED,
        tier=held.tier.name,
        source=held.source,
        weight=held.tier.weight,
        server_weight=held.server_weight,
        everywhere=held.everywhere,
        allowance_seconds=held.per_day,
        day=promise.day,
        created_at=now.timestamp(),
        charged_at=now.timestamp(),
        priority=IDLE_PRIORITY if promise.idle else 0,
        price=promise.price,
        work=request.work,
    )
    return _job(row)


async def find(reader: Reader, job: int) -> Job | None:
    """Return the job with this number."""
    rows = await reader.fetch("SELECT * FROM jobs WHERE id = ?", (job,))
    return _job(rows[0]) if rows else None


async def open_ones(reader: Reader, guild: int | None) -> list[Job]:
    """Return the running and queued jobs of a server, or of all, oldest first."""
    # Two equalities and a UNION: each is found by the index of its status, while one `IN` with
    # ORDER BY id may be answered by walking the whole table.
    return await select(
        reader,
        """
        SELECT * FROM jobs WHERE status = 'running' AND (?1 IS NULL OR guild_id = ?1)
        UNION ALL
        SELECT * FROM jobs WHERE status = 'queued' AND (?1 IS NULL OR guild_id = ?1)
        ORDER BY id
        """,
        (guild,),
    )


async def passed(tx: Transaction, job: int) -> None:
    """Note that another job overtakes one whose turn it is."""
    await tx.execute("UPDATE jobs SET passed = passed + 1 WHERE id = ?", (job,))


# Three conditions in one UPDATE, so that none can be outdated by the time of the write: it is
# still queued; if it was tried before it needs an empty engine, since it may have been what killed
# it; and none that is on such a second try is running there, for that would no longer be alone.
async def start(tx: Transaction, job: int, engine: str, now: datetime) -> Job | None:
    """Start a queued job; return None while it, or one that its engine has, has to be alone."""
    rows = await tx.fetch(
        """
        UPDATE jobs SET status = 'running', attempts = attempts + 1, progress = 0,
            started_at = :now, engine = :engine
        WHERE id = :job AND status = 'queued'
        AND (attempts = 0 OR NOT EXISTS (
            SELECT 1 FROM jobs WHERE status = 'running' AND engine = :engine
        ))
        AND NOT EXISTS (
            SELECT 1 FROM jobs WHERE status = 'running' AND engine = :engine AND attempts > 1
        )
        RETURNING *
        """,
        {"job": job, "engine": engine, "now": now.timestamp()},
    )
    return _job(rows[0]) if rows else None


async def stopped(tx: Transaction, job: int) -> bool:
    """Ask a waiting or running job to end early; return False if that was too late or known."""
    return await tx.changes(
        """
        UPDATE jobs SET stopping = 1
        WHERE id = ? AND status IN ('queued', 'running') AND stopping = 0
        """,
        (job,),
    )


async def heard(tx: Transaction, job: int) -> None:
    """Note that a job's preview is about to be posted."""
    await tx.execute("UPDATE jobs SET heard = 1 WHERE id = ?", (job,))


async def unheard(tx: Transaction, job: int) -> None:
    """Note that a job's preview could not be posted, unless an earlier one was."""
    await tx.execute(
        """
        UPDATE jobs SET heard = 0 WHERE id = ? AND NOT EXISTS (
            SELECT 1 FROM posts
            WHERE job_id = jobs.id AND kind = 'preview' AND delivered_at IS NOT NULL
        )
        """,
        (job,),
    )


async def drawn(tx: Transaction, job: int, picture: str) -> None:
    """A job's picture exists."""
    await tx.execute("UPDATE jobs SET picture = ? WHERE id = ?", (picture, job))


async def pictures(reader: Reader) -> set[str]:
    """Return the names of all pictures."""
    return set(await reader.column("SELECT picture FROM jobs WHERE picture IS NOT NULL"))


async def unmade(reader: Reader, numbers: Iterable[int]) -> list[Job]:
    """Return those of these jobs that have no music, whatever an engine was writing of them."""
    return await select(
        reader,
        """
        SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))
        AND status IN ('queued', 'running', 'cancelled', 'failed')
        """,
        (listed(numbers),),
    )


async def progressed(tx: Transaction, job: int, progress: float) -> None:
    """Note how far a running job is, 0…1."""
    await tx.execute(
        "UPDATE jobs SET progress = MAX(progress, ?) WHERE id = ? AND status = 'running'",
        (progress, job),
    )


async def rendered(tx: Transaction, job: int, now: datetime, spent: float | None = None) -> bool:
    """Note that a job's music is complete; return False if it was no longer running.

    `spent` is the engine's time for it, in seconds.
    """
    return await tx.changes(
        """
        UPDATE jobs SET status = 'rendered', progress = 1, rendered_at = ?, spent = ?
        WHERE id = ? AND status = 'running'
        """,
        (now.timestamp(), spent, job),
    )


async def failed(tx: Transaction, job: int, reason: str, fault: Fault, now: datetime) -> bool:
    """Fail a running job; return False if it was no longer running."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'failed', reason = ?, fault = ?, ended_at = ?
        WHERE id = ? AND status = 'running'
        """,
        (reason, fault, now.timestamp(), job),
    )


async def cancelled(tx: Transaction, job: int, now: datetime) -> bool:
    """Cancel a waiting or running job; return False if it was past that."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'cancelled', ended_at = ?
        WHERE id = ? AND status IN ('queued', 'running')
        """,
        (now.timestamp(), job),
    )


# `attempts - 1` takes back what `start` added: a render that somebody else cut short is no try.
# `care` only grows, or a job would run out of memory in the same way for ever.
async def queued_again(tx: Transaction, job: int, *, attempts: int, deaths: int, care: int) -> bool:
    """Put a running job back to where it was; return False if it was no longer running.

    It is next on its engine, which may still be writing its files, until it is let go of.
    Adds `attempts` and `deaths` to those before it began, and sets at least this care.
    """
    return await tx.changes(
        """
        UPDATE jobs SET status = 'queued', progress = 0, started_at = NULL,
            attempts = attempts - 1 + ?, deaths = deaths + ?, care = MAX(care, ?)
        WHERE id = ? AND status = 'running'
        """,
        (attempts, deaths, care, job),
    )


async def running(reader: Reader, engine: str | None = None) -> list[Job]:
    """Return the jobs that are being rendered, by one engine or by all."""
    return await select(
        reader,
        "SELECT * FROM jobs WHERE status = 'running' AND (?1 IS NULL OR engine = ?1) ORDER BY id",
        (engine,),
    )


async def delivered(tx: Transaction, job: int, now: datetime) -> bool:
    """Note that Discord accepted the rendered music."""
    return await tx.changes(
        "UPDATE jobs SET status = 'delivered', ended_at = ? WHERE id = ? AND status = 'rendered'",
        (now.timestamp(), job),
    )


async def undeliverable(
    tx: Transaction, job: int, reason: str | None, fault: Fault | None, now: datetime
) -> bool:
    """The rendered music cannot be posted: Discord refused every way, or by a fault of ours."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'undeliverable', reason = ?, fault = ?, ended_at = ?
        WHERE id = ? AND status = 'rendered'
        """,
        (reason, fault, now.timestamp(), job),
    )


async def withdrawn(tx: Transaction, job: int, now: datetime) -> bool:
    """Withdraw a job whose member is forgotten; return False if it had ended."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'cancelled', ended_at = ?
        WHERE id = ? AND status IN ('queued', 'running', 'rendered')
        """,
        (now.timestamp(), job),
    )


# `ended_at` stays on purpose: by it a piece that is posted again still counts as one that could
# not be posted today.
async def wanted_again(tx: Transaction, job: int) -> bool:
    """Post undeliverable music again; return False if there is none.

    When it was found that it could not be stays known until it was.
    """
    return await tx.changes(
        """
        UPDATE jobs SET status = 'rendered', reason = NULL, fault = NULL
        WHERE id = ? AND status = 'undeliverable' AND deleted_at IS NULL
        AND EXISTS (SELECT 1 FROM takes WHERE job_id = jobs.id AND audio IS NOT NULL)
        """,
        (job,),
    )


async def select(reader: Reader, sql: str, parameters: Parameters = ()) -> list[Job]:
    """Return the jobs that a statement finds; it selects all their columns."""
    return [_job(row) for row in await reader.fetch(sql, parameters)]


def _job(row: Row) -> Job:
    # The row holds its origin and its request by the names that their fields have.
    columns = {**dict(row), "options": json.loads(row["options"])}
    return read(
        Job,
        row,
        origin=columns,
        request=columns,
        deleted=row["deleted_at"] is not None,
        forgotten=row["forgotten_at"] is not None,
    )
