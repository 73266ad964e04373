"""The table of jobs: one method per change of state, each guarded by the state it leaves."""

from collections.abc import Iterable
from datetime import UTC, datetime

from bot.tables.database import Reader, Row, Transaction, listed
from bot.values import ChannelKind, Fault, Job, Notice, Origin, Promise, QueuedJob, Request, Status

IDLE_PRIORITY = -1
"""The priority of what costs nothing and lets all others pass."""


async def add(
    tx: Transaction, origin: Origin, request: Request, promise: Promise, day: str, now: datetime
) -> Job:
    """Queue a request with what it was promised."""
    held = promise.membership
    rows = await tx.fetch(
        """
        INSERT INTO jobs (
            status, guild_id, channel_id, user_id, user_name, application_id, token,
            prompt, seconds, takes, model, seed, guidance, temperature, top_k, parent_take,
            before, edited_from, channel_kind, parent_id,
            tier, source, weight, server_weight, everywhere, allowance_seconds, day, created_at,
            charged_at, priority, price
        ) VALUES (
            'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
            ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
        )
        RETURNING *
        """,
        (
            origin.guild_id,
            origin.channel_id,
            origin.user_id,
            origin.user_name,
            origin.application_id,
            origin.token,
            request.prompt,
            request.seconds,
            request.takes,
            request.model,
            request.seed,
            request.guidance,
            request.temperature,
            request.top_k,
            request.parent_take,
            request.before,
            request.edited_from,
            origin.channel_kind,
            origin.parent_id,
            held.tier.name,
            held.source,
            held.tier.weight,
            held.server_weight,
            held.everywhere,
            held.per_day,
            day,
            now.timestamp(),
            now.timestamp(),
            IDLE_PRIORITY if promise.idle else 0,
            promise.price,
        ),
    )
    return _job(rows[0])


async def answered(reader: Reader, interaction: int) -> Job | None:
    """Return the job that an interaction queued or had posted again."""
    rows = await reader.fetch(
        "SELECT jobs.* FROM interactions JOIN jobs ON jobs.id = job_id WHERE interactions.id = ?",
        (interaction,),
    )
    return _job(rows[0]) if rows else None


async def answer(tx: Transaction, interaction: int, job: int) -> None:
    """An interaction queued a job or had it posted again."""
    await tx.execute("INSERT INTO interactions (id, job_id) VALUES (?, ?)", (interaction, job))


async def first_interaction(reader: Reader, job: int) -> int | None:
    """Return the id of the interaction that queued a job, if it is known."""
    rows = await reader.fetch("SELECT MIN(id) AS id FROM interactions WHERE job_id = ?", (job,))
    first: int | None = rows[0]["id"]
    return first


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


async def waiting(reader: Reader, guild: int, user: int) -> list[int]:
    """Return the numbers of the member's jobs that are still queued."""
    rows = await reader.fetch(
        "SELECT id FROM jobs WHERE guild_id = ? AND user_id = ? AND status = 'queued' ORDER BY id",
        (guild, user),
    )
    return [row["id"] for row in rows]


async def rendering(reader: Reader, guild: int, user: int) -> list[int]:
    """Return the numbers of the member's jobs that are being rendered."""
    rows = await reader.fetch(
        "SELECT id FROM jobs WHERE guild_id = ? AND user_id = ? AND status = 'running' ORDER BY id",
        (guild, user),
    )
    return [row["id"] for row in rows]


async def count_waiting(reader: Reader, guild: int) -> tuple[int, int]:
    """Return how many jobs are queued in all, and how many of them are of one server."""
    rows = await reader.fetch(
        """
        SELECT (SELECT COUNT(*) FROM jobs WHERE status = 'queued') AS everywhere,
            (SELECT COUNT(*) FROM jobs WHERE status = 'queued' AND guild_id = ?) AS here
        """,
        (guild,),
    )
    return rows[0]["everywhere"], rows[0]["here"]


async def heads(tx: Transaction) -> list[QueuedJob]:
    """Return the oldest queued job of each member for each model, and those of the idle lane."""
    rows = await tx.fetch(
        """
        SELECT id, guild_id, user_id, weight, server_weight, seconds, takes, model, priority,
            attempts, passed
        FROM jobs WHERE id IN (
            SELECT MIN(id) FROM jobs WHERE status = 'queued'
            GROUP BY guild_id, user_id, model, priority
        )
        """
    )
    return list(map(QueuedJob._make, rows))


async def line(reader: Reader) -> list[QueuedJob]:
    """Return all queued jobs."""
    rows = await reader.fetch(
        """
        SELECT id, guild_id, user_id, weight, server_weight, seconds, takes, model, priority,
            attempts, passed
        FROM jobs WHERE status = 'queued' ORDER BY priority DESC, id
        """
    )
    return list(map(QueuedJob._make, rows))


async def under_way(reader: Reader) -> list[tuple[QueuedJob, float]]:
    """Return the running jobs with their progress, 0…1, in the order they were started.

    Their attempts are those before this one.
    """
    rows = await reader.fetch(
        """
        SELECT id, guild_id, user_id, weight, server_weight, seconds, takes, model, priority,
            attempts - 1, passed, progress
        FROM jobs WHERE status = 'running' ORDER BY started_at, id
        """
    )
    return [(QueuedJob(*waiting), progress) for *waiting, progress in rows]


async def shares(
    reader: Reader, since: datetime, now: datetime
) -> list[tuple[int, int, float, float]]:
    """Return what was started from then on: server, member, seconds of music by their weight.

    First by the weight that counts among members, then by that among servers. What was started
    after now, by a clock that was ahead, does not count.
    """
    rows = await reader.fetch(
        """
        SELECT guild_id, user_id, SUM(1.0 * seconds * takes / weight),
            SUM(1.0 * seconds * takes / server_weight)
        FROM jobs INDEXED BY jobs_by_start WHERE started_at > ? AND started_at <= ?
        GROUP BY guild_id, user_id
        """,
        (since.timestamp(), now.timestamp()),
    )
    return [(guild, user, share, of_server) for guild, user, share, of_server in rows]


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


async def somebody_pays(reader: Reader) -> bool:
    """Whether a job waits that is not of the idle lane."""
    rows = await reader.fetch(
        "SELECT id FROM jobs WHERE status = 'queued' AND priority >= 0 LIMIT 1"
    )
    return bool(rows)


async def passed(tx: Transaction, job: int) -> None:
    """Another job goes before one whose turn it is."""
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
    """A waiting or running job shall end early; return False if it was past that, or told so."""
    return await tx.changes(
        """
        UPDATE jobs SET stopping = 1
        WHERE id = ? AND status IN ('queued', 'running') AND stopping = 0
        """,
        (job,),
    )


async def heard(tx: Transaction, job: int) -> None:
    """A job's beginning is about to be posted."""
    await tx.execute("UPDATE jobs SET heard = 1 WHERE id = ?", (job,))


async def unheard(tx: Transaction, job: int) -> None:
    """A job's beginning could not be posted, unless it was before."""
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
    """Return the highest number that a job was ever given here."""
    rows = await reader.fetch("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
    return rows[0]["seq"] if rows else 0


async def numbered_above(tx: Transaction, number: int) -> None:
    """Give no job from now on this number or a lower one."""
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
    """Return so many of a member's jobs, in all servers, whose words are not forgotten."""
    rows = await reader.fetch(
        "SELECT * FROM jobs WHERE user_id = ? AND forgotten_at IS NULL LIMIT ?", (user, limit)
    )
    return [_job(row) for row in rows]


async def of_left_servers(reader: Reader, before: datetime, limit: int) -> list[Job]:
    """Return so many jobs, whose words are not forgotten, of servers left before a time."""
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
    """All of a running job's music exists; return False if it was not running any more.

    The engine needed so many seconds.
    """
    return await tx.changes(
        """
        UPDATE jobs SET status = 'rendered', progress = 1, rendered_at = ?, spent = ?
        WHERE id = ? AND status = 'running'
        """,
        (now.timestamp(), spent, job),
    )


async def failed(tx: Transaction, job: int, reason: str, fault: Fault, now: datetime) -> bool:
    """A running job cannot be rendered; return False if it was not running any more."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'failed', reason = ?, fault = ?, ended_at = ?
        WHERE id = ? AND status = 'running'
        """,
        (reason, fault, now.timestamp(), job),
    )


async def cancelled(tx: Transaction, job: int, now: datetime) -> bool:
    """A waiting or running job is not wanted any more; return False if it was past that."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'cancelled', ended_at = ?
        WHERE id = ? AND status IN ('queued', 'running')
        """,
        (now.timestamp(), job),
    )


async def queued_again(tx: Transaction, job: int, *, attempts: int, deaths: int, care: int) -> bool:
    """Put a running job back to where it was; return False if it was not running any more.

    With so many `attempts` and `deaths` more than before it began, and with at least this care.
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
    """The rendered music was accepted by Discord."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'delivered', ended_at = ? WHERE id = ? AND status = 'rendered'
        """,
        (now.timestamp(), job),
    )


async def undeliverable(tx: Transaction, job: int, reason: str | None, now: datetime) -> bool:
    """The rendered music cannot be posted: Discord refused every way, or for this reason."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'undeliverable', reason = ?, ended_at = ?
        WHERE id = ? AND status = 'rendered'
        """,
        (reason, now.timestamp(), job),
    )


async def withdrawn(tx: Transaction, job: int, now: datetime) -> bool:
    """Whoever asked wants it no more, whatever came of it; return False if it had ended."""
    return await tx.changes(
        """
        UPDATE jobs SET status = 'cancelled', ended_at = ?
        WHERE id = ? AND status IN ('queued', 'running', 'rendered')
        """,
        (now.timestamp(), job),
    )


async def wanted_again(tx: Transaction, job: int) -> bool:
    """Music that could not be delivered is to be posted after all; False if there is none.

    When it was found that it could not be stays known until it was.
    """
    return await tx.changes(
        """
        UPDATE jobs SET status = 'rendered', reason = NULL
        WHERE id = ? AND status = 'undeliverable' AND deleted_at IS NULL
        AND EXISTS (SELECT 1 FROM takes WHERE job_id = jobs.id AND audio IS NOT NULL)
        """,
        (job,),
    )


async def unposted(reader: Reader, user: int, since: datetime, now: datetime) -> list[int]:
    """Return the numbers of a member's jobs that could not be posted since then, in any server.

    Not those that we ourselves failed to post, nor any of a clock that was ahead; but also those
    that are being posted again, for none of these was posted yet.
    """
    rows = await reader.fetch(
        """
        SELECT id FROM jobs WHERE user_id = ?1 AND status = 'undeliverable'
        AND ended_at BETWEEN ?2 AND ?3 AND reason IS NULL
        UNION ALL
        SELECT id FROM jobs WHERE user_id = ?1 AND status = 'rendered'
        AND ended_at BETWEEN ?2 AND ?3
        ORDER BY id
        """,
        (user, since.timestamp(), now.timestamp()),
    )
    return [row["id"] for row in rows]


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


async def faults(reader: Reader) -> dict[str, int]:
    """Return how many jobs failed, by kind."""
    rows = await reader.fetch(
        """
        SELECT fault, jobs FROM tallies WHERE status = 'failed' AND jobs > 0
        """
    )
    return {row["fault"]: row["jobs"] for row in rows}


async def oldest_waiting(reader: Reader) -> datetime | None:
    """Return when the oldest queued job was asked for."""
    rows = await reader.fetch("SELECT MIN(created_at) AS at FROM jobs WHERE status = 'queued'")
    return _time_or_none(rows[0]["at"])


async def rendered_since(reader: Reader, since: datetime) -> tuple[int, int]:
    """Return how many jobs were rendered since then, and their seconds of music."""
    rows = await reader.fetch(
        """
        SELECT COUNT(*) AS jobs, COALESCE(SUM(seconds * takes), 0) AS seconds
        FROM jobs INDEXED BY jobs_by_start WHERE started_at > ? AND rendered_at IS NOT NULL
        """,
        (since.timestamp(),),
    )
    return rows[0]["jobs"], rows[0]["seconds"]


def _job(row: Row) -> Job:
    return Job(
        id=row["id"],
        status=Status(row["status"]),
        origin=Origin(
            guild_id=row["guild_id"],
            channel_id=row["channel_id"],
            user_id=row["user_id"],
            user_name=row["user_name"],
            application_id=row["application_id"],
            token=row["token"],
            channel_kind=ChannelKind(row["channel_kind"]) if row["channel_kind"] else None,
            parent_id=row["parent_id"],
        ),
        request=Request(
            prompt=row["prompt"],
            seconds=row["seconds"],
            takes=row["takes"],
            model=row["model"],
            seed=row["seed"],
            guidance=row["guidance"],
            temperature=row["temperature"],
            top_k=row["top_k"],
            parent_take=row["parent_take"],
            before=row["before"],
            edited_from=row["edited_from"],
        ),
        tier=row["tier"],
        allowance_seconds=row["allowance_seconds"],
        priority=row["priority"],
        attempts=row["attempts"],
        deaths=row["deaths"],
        care=row["care"],
        progress=row["progress"],
        reason=row["reason"],
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
