"""The table of jobs: one method per change of state, each guarded by the state it leaves."""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

from bot.tables.database import Reader, Row, Transaction, listed
from bot.values import ChannelKind, Fault, Job, Notice, Origin, Promise, Request, Status

IDLE_PRIORITY = -1
"""The priority of the idle lane: free, and after all others."""


ORIGIN = tuple(field.name for field in fields(Origin) if field.name != "interaction_id")
REQUEST = tuple(field.name for field in fields(Request))
"""Columns that hold an origin and a request, by the names that their fields have."""


async def add(tx: Transaction, origin: Origin, promise: Promise, now: datetime) -> Job:
    """Queue a request on the terms that it was accepted under."""
    held = promise.membership
    rows = await tx.fetch(
        """
        INSERT INTO jobs (
            status, guild_id, channel_id, user_id, user_name, application_id, token, channel_kind,
            parent_id, prompt, seconds, takes, model, seed, guidance, temperature, top_k,
            parent_take, before, edited_from, tier, source, weight, server_weight, everywhere,
            allowance_seconds, day, created_at, charged_at, priority, price, work
        ) VALUES (
            'queued', :guild_id, :channel_id, :user_id, :user_name, :application_id, :token,
            :channel_kind, :parent_id, :prompt, :seconds, :takes, :model, :seed, :guidance,
            :temperature, :top_k, :parent_take, :before, :edited_from, :tier, :source, :weight,
            :server_weight, :everywhere, :per_day, :day, :now, :now, :priority, :price,
            :work
        )
        RETURNING *
        """,
        {
            **asdict(origin),
            **asdict(promise.request),
            "tier": held.tier.name,
            "source": held.source,
            "weight": held.tier.weight,
            "server_weight": held.server_weight,
            "everywhere": held.everywhere,
            "per_day": held.per_day,
            "day": promise.day,
            "now": now.timestamp(),
            "priority": IDLE_PRIORITY if promise.idle else 0,
            "price": promise.price,
            "work": promise.request.work,
        },
    )
    return _job(rows[0])


async def find(reader: Reader, job: int) -> Job | None:
    """Return the job with this number."""
    rows = await reader.fetch("SELECT * FROM jobs WHERE id = ?", (job,))
    return _job(rows[0]) if rows else None


async def history(reader: Reader, guild: int, user: int, limit: int, skip: int) -> list[Job]:
    """Return the member's jobs that became music, newest first."""
    rows = await reader.fetch(
        """
        SELECT * FROM jobs WHERE guild_id = ? AND user_id = ? AND rendered_at IS NOT NULL
        AND deleted_at IS NULL AND forgotten_at IS NULL
        ORDER BY id DESC LIMIT ? OFFSET ?
        """,
        (guild, user, limit, skip),
    )
    return [_job(row) for row in rows]


async def open_ones(reader: Reader, guild: int | None) -> list[Job]:
    """Return the running and queued jobs of a server, or of all, oldest first."""
    rows = await reader.fetch(
        """
        SELECT * FROM jobs WHERE status = 'running' AND (?1 IS NULL OR guild_id = ?1)
        UNION ALL
        SELECT * FROM jobs WHERE status = 'queued' AND (?1 IS NULL OR guild_id = ?1)
        ORDER BY id
        """,
        (guild,),
    )
    return [_job(row) for row in rows]


async def passed(tx: Transaction, job: int) -> None:
    """Note that another job overtakes one whose turn it is."""
    await tx.execute("UPDATE jobs SET passed = passed + 1 WHERE id = ?", (job,))


async def start(tx: Transaction, job: int, now: datetime) -> Job | None:
    """Start a queued job; return None while it, or one that runs, has to be alone."""
    rows = await tx.fetch(
        """
        UPDATE jobs SET status = 'running', attempts = attempts + 1, progress = 0, started_at = ?
        WHERE id = ? AND status = 'queued'
        AND (attempts = 0 OR NOT EXISTS (SELECT 1 FROM jobs WHERE status = 'running'))
        AND NOT EXISTS (SELECT 1 FROM jobs WHERE status = 'running' AND attempts > 1)
        RETURNING *
        """,
        (now.timestamp(), job),
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
    rows = await reader.fetch("SELECT picture FROM jobs WHERE picture IS NOT NULL")
    return {row["picture"] for row in rows}


async def highest(reader: Reader) -> int:
    """Return the highest job number ever assigned here."""
    rows = await reader.fetch("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
    return rows[0]["seq"] if rows else 0


async def numbered_above(tx: Transaction, number: int) -> None:
    """Assign only higher numbers than this from now on."""
    await tx.execute(
        """
        INSERT INTO sqlite_sequence (name, seq)
        SELECT 'jobs', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'jobs')
        """
    )
    await tx.execute("UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = 'jobs'", (number,))


async def unmade(reader: Reader, numbers: Iterable[int]) -> list[Job]:
    """Return those of these jobs that have no music, whatever an engine was writing of them."""
    rows = await reader.fetch(
        """
        SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))
        AND status IN ('queued', 'running', 'cancelled', 'failed')
        """,
        (listed(numbers),),
    )
    return [_job(row) for row in rows]


async def deleted(tx: Transaction, job: int, now: datetime) -> None:
    """A job's message and files are gone."""
    await tx.execute(
        "UPDATE jobs SET deleted_at = COALESCE(deleted_at, ?) WHERE id = ?",
        (now.timestamp(), job),
    )


async def forgotten(tx: Transaction, jobs: Iterable[int], now: datetime) -> None:
    """Erase the words of jobs and whose name they have; their numbers stay."""
    await tx.execute(
        """
        UPDATE jobs SET prompt = '', user_name = '', token = '', reason = NULL,
            deleted_at = COALESCE(deleted_at, ?1), forgotten_at = ?1
        WHERE id IN (SELECT value FROM json_each(?2))
        """,
        (now.timestamp(), listed(jobs)),
    )


async def tokens_erased(tx: Transaction, before: datetime, most: int) -> int:
    """Erase the tokens of jobs that were asked for before a time; return how many."""
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
        UPDATE jobs SET prompt = '', user_name = '', token = '', reason = NULL, forgotten_at = ?
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
    rows = await reader.fetch(
        "SELECT * FROM jobs WHERE user_id = ? AND forgotten_at IS NULL LIMIT ?", (user, limit)
    )
    return [_job(row) for row in rows]


async def of_left_servers(reader: Reader, before: datetime, limit: int) -> list[Job]:
    """Return up to `limit` jobs with words in servers that the bot left before a time."""
    rows = await reader.fetch(
        """
        SELECT jobs.* FROM servers INDEXED BY servers_left
        CROSS JOIN jobs INDEXED BY jobs_by_server USING (guild_id)
        WHERE left_at < ? AND forgotten_at IS NULL LIMIT ?
        """,
        (before.timestamp(), limit),
    )
    return [_job(row) for row in rows]


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


async def queued_again(tx: Transaction, job: int, *, attempts: int, deaths: int, care: int) -> bool:
    """Put a running job back to where it was; return False if it was no longer running.

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


async def running(reader: Reader) -> list[Job]:
    """Return the jobs that are being rendered."""
    rows = await reader.fetch("SELECT * FROM jobs WHERE status = 'running' ORDER BY id")
    return [_job(row) for row in rows]


async def delivered(tx: Transaction, job: int, now: datetime) -> bool:
    """Note that Discord accepted the rendered music."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'delivered', ended_at = ? WHERE id = ? AND status = 'rendered'
        """,
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


async def dated(tx: Transaction, least: datetime, now: datetime) -> None:
    """What ended by a clock that was behind a time which it cannot be ended now."""
    await tx.execute(
        """
        UPDATE jobs SET ended_at = ? WHERE forgotten_at IS NULL AND ended_at < ?
        """,
        (now.timestamp(), least.timestamp()),
    )


async def status_message(tx: Transaction, job: int, message: int | None, shown: Status) -> None:
    """Note the message that shows a job's status, and which status it shows."""
    await tx.execute(
        "UPDATE jobs SET status_message_id = ?, shown = ? WHERE id = ?", (message, shown, job)
    )


async def to_show(reader: Reader) -> list[Notice]:
    """Return the status messages that may be out of date, oldest first."""
    rows = await reader.fetch(
        """
        SELECT id, channel_id, status, shown, created_at FROM jobs WHERE id IN (
            SELECT id FROM jobs
            WHERE status IN ('queued', 'running') AND status_message_id IS NOT NULL
            UNION
            SELECT id FROM jobs WHERE status_message_id IS NOT NULL AND shown IS NOT status
        ) ORDER BY id
        """
    )
    return [
        Notice(
            job=row["id"],
            channel=row["channel_id"],
            status=Status(row["status"]),
            shown=Status(row["shown"]) if row["shown"] else None,
            created_at=_time(row["created_at"]),
        )
        for row in rows
    ]


async def counts(reader: Reader) -> dict[Status, int]:
    """Return how many jobs are in each state."""
    rows = await reader.fetch(
        "SELECT status, SUM(jobs) AS count FROM tallies GROUP BY status HAVING SUM(jobs) > 0"
    )
    return {Status(row["status"]): row["count"] for row in rows}


async def faults(reader: Reader) -> dict[Fault, int]:
    """Return how many jobs failed, by kind."""
    rows = await reader.fetch(
        """
        SELECT fault, jobs FROM tallies WHERE status = 'failed' AND jobs > 0
        """
    )
    return {Fault(row["fault"]): row["jobs"] for row in rows}


async def rendered_since(reader: Reader, since: datetime) -> tuple[int, int]:
    """Return how many jobs were rendered since then, and their seconds of music."""
    rows = await reader.fetch(
        """
        SELECT COUNT(*) AS jobs, COALESCE(SUM(work), 0) AS seconds
        FROM jobs INDEXED BY jobs_by_start WHERE started_at > ? AND rendered_at IS NOT NULL
        """,
        (since.timestamp(),),
    )
    return rows[0]["jobs"], rows[0]["seconds"]


def _job(row: Row) -> Job:
    return Job(
        id=row["id"],
        status=Status(row["status"]),
        origin=replace(
            Origin(**{name: row[name] for name in ORIGIN}),
            channel_kind=ChannelKind(row["channel_kind"]) if row["channel_kind"] else None,
        ),
        request=Request(**{name: row[name] for name in REQUEST}),
        tier=row["tier"],
        allowance_seconds=row["allowance_seconds"],
        priority=row["priority"],
        attempts=row["attempts"],
        deaths=row["deaths"],
        care=row["care"],
        progress=row["progress"],
        reason=row["reason"],
        fault=Fault(row["fault"]) if row["fault"] else None,
        created_at=_time(row["created_at"]),
        charged_at=_time(row["charged_at"]),
        started_at=_time_or_none(row["started_at"]),
        rendered_at=_time_or_none(row["rendered_at"]),
        spent=row["spent"],
        status_message_id=row["status_message_id"],
        shown=Status(row["shown"]) if row["shown"] else None,
        stopping=bool(row["stopping"]),
        heard=bool(row["heard"]),
        picture=row["picture"],
        deleted=row["deleted_at"] is not None,
        forgotten=row["forgotten_at"] is not None,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)
