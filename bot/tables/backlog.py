"""The queue in the table of jobs: who waits, what runs, and what was started for each member."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import starmap
from types import MappingProxyType
from typing import Any

from bot.tables.database import Reader, Transaction, listed, moment
from bot.values import Head, QueuedJob


async def of(reader: Reader, guild: int, user: int) -> list[int]:
    """Return the numbers of the member's jobs that are still queued."""
    return await reader.column(
        "SELECT id FROM jobs WHERE guild_id = ? AND user_id = ? AND status = 'queued' ORDER BY id",
        (guild, user),
    )


async def rendering(reader: Reader, guild: int, user: int) -> list[int]:
    """Return the numbers of the member's jobs that are being rendered."""
    return await reader.column(
        "SELECT id FROM jobs WHERE guild_id = ? AND user_id = ? AND status = 'running' ORDER BY id",
        (guild, user),
    )


async def count(reader: Reader, guild: int) -> tuple[int, int]:
    """Return how many jobs are queued in all, and how many of them are of one server."""
    ((everywhere, here),) = await reader.fetch(
        """
        SELECT (SELECT COUNT(*) FROM jobs WHERE status = 'queued'),
            (SELECT COUNT(*) FROM jobs WHERE status = 'queued' AND guild_id = ?)
        """,
        (guild,),
    )
    return everywhere, here


async def oldest(reader: Reader) -> datetime | None:
    """Return when the oldest queued job was requested."""
    at = await reader.value("SELECT MIN(created_at) FROM jobs WHERE status = 'queued'")
    return None if at is None else moment(at)


async def servers(tx: Transaction) -> list[int]:
    """Return the servers whose members have queued jobs."""
    # From each to the next by the index: without it, every queued job would be looked at.
    return await tx.column(
        """
        WITH RECURSIVE waiting (guild_id) AS (
            SELECT MIN(guild_id) FROM jobs INDEXED BY jobs_waiting WHERE status = 'queued'
            UNION ALL
            SELECT (
                SELECT MIN(guild_id) FROM jobs INDEXED BY jobs_waiting
                WHERE status = 'queued' AND jobs.guild_id > waiting.guild_id
            )
            FROM waiting WHERE guild_id IS NOT NULL
        )
        SELECT guild_id FROM waiting WHERE guild_id IS NOT NULL
        """
    )


async def heads(tx: Transaction, guilds: Collection[int], *, idle: bool) -> list[Head]:
    """Return the oldest queued job of each of these servers' members for each model, in a lane."""
    # The index holds all of it: nothing is sorted, and no row is looked up.
    rows = await tx.fetch(
        """
        SELECT MIN(id), guild_id, user_id, model, priority
        FROM jobs INDEXED BY jobs_waiting
        WHERE status = 'queued' AND guild_id IN (SELECT value FROM json_each(?))
            AND (priority < 0) = ?
        GROUP BY guild_id, user_id, model, priority
        """,
        (listed(guilds), idle),
    )
    # The columns stand in the order of Head's fields.
    return list(starmap(Head, rows))


async def by_age(tx: Transaction, after: int, *, idle: bool) -> list[Head]:
    """Return some queued jobs of a lane, from the oldest after this number on."""
    rows = await tx.fetch(
        """
        SELECT id, guild_id, user_id, model, priority
        FROM jobs INDEXED BY jobs_by_status
        WHERE status = 'queued' AND id > ? AND (priority < 0) = ?
        ORDER BY id LIMIT 50
        """,
        (after, idle),
    )
    return list(starmap(Head, rows))


async def passed(tx: Transaction, job: int) -> int:
    """Return how many others overtook a queued job."""
    return await tx.value("SELECT passed FROM jobs WHERE id = ?", (job,)) or 0


async def length(tx: Transaction, job: int) -> float:
    """Return the seconds of a queued job's piece, with what it extends."""
    return await tx.value("SELECT seconds + before FROM jobs WHERE id = ?", (job,)) or 0.0


async def line(reader: Reader) -> list[QueuedJob]:
    """Return all queued jobs, in no order."""
    rows = await reader.fetch(
        """
        SELECT id, guild_id, user_id, weight, server_weight, work, takes, model, priority,
            attempts, passed, engine, before, options
        FROM jobs WHERE status = 'queued'
        """
    )
    return list(map(_whole, rows))


async def under_way(reader: Reader) -> list[tuple[QueuedJob, float]]:
    """Return the running jobs with their progress, 0…1, in the order of their start.

    Their attempts are those before this one.
    """
    rows = await reader.fetch(
        """
        SELECT id, guild_id, user_id, weight, server_weight, work, takes, model, priority,
            attempts - 1, passed, engine, before, options, progress
        FROM jobs WHERE status = 'running' ORDER BY started_at, id
        """
    )
    return [(_whole(row[:-1]), row["progress"]) for row in rows]


async def awaits(tx: Transaction, job: int, engine: str, *, if_alone: bool = False) -> None:
    """Note that a queued job is next on an engine, perhaps only if it has to be alone there."""
    await tx.execute(
        """
        UPDATE jobs SET engine = ?
        WHERE id = ? AND status = 'queued' AND engine IS NULL AND attempts >= ?
        """,
        (engine, job, int(if_alone)),
    )


async def awaiting(tx: Transaction) -> dict[int, str]:
    """Return the queued jobs that are next on an engine, with its name."""
    rows = await tx.fetch(
        """
        SELECT id, engine FROM jobs INDEXED BY jobs_awaiting
        WHERE status = 'queued' AND engine IS NOT NULL
        """
    )
    return {row["id"]: row["engine"] for row in rows}


async def let_go(tx: Transaction, waiting: Collection[int]) -> None:
    """Let these queued jobs start on any engine."""
    await tx.execute(
        """
        UPDATE jobs SET engine = NULL
        WHERE status = 'queued' AND id IN (SELECT value FROM json_each(?))
        """,
        (listed(waiting),),
    )


async def awaits_no_more(tx: Transaction, engine: str | None = None) -> None:
    """Let the queued jobs that waited for an engine, or for any, start on each."""
    await tx.execute(
        """
        UPDATE jobs SET engine = NULL
        WHERE status = 'queued' AND engine IS NOT NULL AND (?1 IS NULL OR engine = ?1)
        """,
        (engine,),
    )


async def somebody_pays(reader: Reader, engine: str, other_than: Collection[str] = ()) -> bool:
    """Whether a paying job is waiting that an engine could begin, of another model than these."""
    rows = await reader.fetch(
        """
        SELECT id FROM jobs WHERE status = 'queued' AND priority >= 0
            AND (engine IS NULL OR engine = ?)
            AND model NOT IN (SELECT value FROM json_each(?))
        LIMIT 1
        """,
        (engine, listed(other_than)),
    )
    return bool(rows)


async def shares(
    reader: Reader, since: datetime, now: datetime, guilds: Collection[int] | None = None
) -> list[tuple[int, int, float, float]]:
    """Return what was started from then on: server, member, seconds of music by their weight.

    First by the weight that counts among members, then by that among servers; of these servers or
    of all. What was started after now, by a clock that was ahead, does not count.
    """
    # `1.0 *`, since SQLite's `/` of two whole numbers is a whole number.
    rows = await reader.fetch(
        """
        SELECT guild_id, user_id, SUM(1.0 * work / weight), SUM(1.0 * work / server_weight)
        FROM jobs INDEXED BY jobs_by_start WHERE started_at > ?1 AND started_at <= ?2
            AND (?3 IS NULL OR guild_id IN (SELECT value FROM json_each(?3)))
        GROUP BY guild_id, user_id
        """,
        (since.timestamp(), now.timestamp(), None if guilds is None else listed(guilds)),
    )
    return [(guild, user, share, of_server) for guild, user, share, of_server in rows]


def _whole(columns: Sequence[Any]) -> QueuedJob:
    """Return a job by all its columns, in the order of its fields."""
    *others, options = columns
    return QueuedJob._make((*others, _options(options)))


@lru_cache(maxsize=1000)  # most jobs have the usual options of their model
def _options(text: str) -> Mapping[str, float]:
    return MappingProxyType(json.loads(text))


async def shares_of_servers(reader: Reader, since: datetime, now: datetime) -> dict[int, float]:
    """Return what was started for each server, as `shares` does."""
    rows = await reader.fetch(
        """
        SELECT guild_id, SUM(1.0 * work / server_weight) AS share
        FROM jobs INDEXED BY jobs_by_start WHERE started_at > ? AND started_at <= ?
        GROUP BY guild_id
        """,
        (since.timestamp(), now.timestamp()),
    )
    return {row["guild_id"]: row["share"] for row in rows}
