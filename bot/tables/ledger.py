"""What members used and were refunded: sums over the rows, since there is no running balance."""

from datetime import datetime

from bot.tables import grants, takes
from bot.tables.database import Reader, Row, Transaction, moment
from bot.values import Entry, Promise, Status

ENTRIES_SHOWN = 10

REFUND_REASONS = {Status.CANCELLED: "cancelled", Status.UNDELIVERABLE: "could not be posted"}


async def used(reader: Reader, guild: int, user: int, day: str, *, everywhere: bool = False) -> int:
    """Return the seconds of a day's allowance that a member used in a server since the reset.

    With its use in others if it counts `everywhere`.
    """
    # Each half of the OR has an index of its own.
    used = await reader.value(
        """
        SELECT SUM(
            (SELECT SUM(charged_seconds) FROM takes WHERE job_id = jobs.id)
            - COALESCE((SELECT SUM(seconds) FROM draws WHERE job_id = jobs.id), 0)
        )
        FROM jobs WHERE (guild_id = :guild AND user_id = :user AND day = :day AND forgiven = 0) OR (
            :everywhere AND user_id = :user AND day = :day AND everywhere = 1 AND guild_id <> :guild
        )
        """,
        {"guild": guild, "user": user, "day": day, "everywhere": everywhere},
    )
    return used or 0


async def used_by_server(reader: Reader, guild: int, day: str) -> int:
    """Return all the seconds that a server is charged on a day; no reset lowers it."""
    used = await reader.value(
        """
        SELECT SUM(charged_seconds)
        FROM jobs JOIN takes ON takes.job_id = jobs.id WHERE guild_id = ? AND day = ?
        """,
        (guild, day),
    )
    return used or 0


async def unposted(reader: Reader, user: int, since: datetime, now: datetime) -> list[int]:
    """Return the numbers of a member's jobs that could not be posted since then, in any server.

    Not those that we ourselves failed to post, nor any of a clock that was ahead; but also those
    that are being posted again, for none of these was posted yet.
    """
    return await reader.column(
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


async def forgiven(tx: Transaction, guild: int, user: int, day: str) -> None:
    """Reset a member's use of a day, except what their own subscription paid for."""
    await tx.execute(
        """
        UPDATE jobs SET forgiven = 1
        WHERE guild_id = ? AND user_id = ? AND day = ? AND everywhere = 0
        """,
        (guild, user, day),
    )


async def settled(tx: Transaction, job: int, now: datetime) -> None:
    """Charge a rendered job for the music that exists, and refund the rest."""
    await takes.settled(tx, job)
    await _given_back(tx, job, now)


async def returned(tx: Transaction, job: int, now: datetime) -> None:
    """Refund everything that was charged for a job."""
    await takes.returned(tx, job)
    await _given_back(tx, job, now)


async def take_lost(
    tx: Transaction, job: int, number: int, stands: int, parts: int, now: datetime
) -> None:
    """Refund the parts of a take that could not be posted; `stands` is how many could."""
    await takes.lost(tx, job, number, stands, parts)
    await _given_back(tx, job, now)


async def heard(tx: Transaction, job: int, seconds: float, now: datetime) -> None:
    """Charge a job that ends early for the given seconds of each take, and refund the rest."""
    await takes.heard(tx, job, seconds)
    await _given_back(tx, job, now)


async def charged_again(tx: Transaction, job: int, promise: Promise, now: datetime) -> None:
    """Charge a refunded job to another day."""
    await takes.charged(tx, job)
    await grants.drawn(tx, job, promise.draws)
    await tx.execute(
        """
        UPDATE jobs SET day = :day, charged_at = :now, price = :price, returned_at = NULL,
            forgiven = 0, tier = :tier, source = :source, everywhere = :everywhere,
            allowance_seconds = :per_day
        WHERE id = :job
        """,
        {
            "day": promise.day,
            "now": now.timestamp(),
            "price": promise.price,
            "tier": promise.membership.tier.name,
            "source": promise.membership.source,
            "everywhere": promise.membership.everywhere,
            "per_day": promise.membership.per_day,
            "job": job,
        },
    )
    await _given_back(tx, job, now)


async def last(reader: Reader, guild: int, user: int) -> list[Entry]:
    """Return the newest entries of a member's ledger, newest first."""
    # Each part is cut to the newest by its own index before they are merged: a long history costs
    # nothing.
    rows = await reader.fetch(
        """
        SELECT * FROM (
            SELECT charged_at AS at, 0 AS kind, id, -price AS seconds, status, prompt AS text,
                CASE WHEN forgotten_at IS NOT NULL THEN 'erased'
                    WHEN deleted_at IS NOT NULL THEN 'deleted' END AS gone
            FROM jobs WHERE guild_id = :guild AND user_id = :user
            ORDER BY charged_at DESC LIMIT :most
        ) UNION ALL SELECT * FROM (
            SELECT returned_at, 1, id, price - (
                SELECT SUM(charged_seconds) FROM takes WHERE job_id = jobs.id
            ), status, reason, NULL
            FROM jobs WHERE guild_id = :guild AND user_id = :user AND returned_at IS NOT NULL
            ORDER BY returned_at DESC LIMIT :most
        ) UNION ALL SELECT * FROM (
            SELECT created_at, 2, id, seconds, NULL, reason, NULL
            FROM grants WHERE guild_id = :guild AND user_id = :user
            ORDER BY created_at DESC LIMIT :most
        ) ORDER BY at DESC, kind DESC, id DESC LIMIT :most
        """,
        {"guild": guild, "user": user, "most": ENTRIES_SHOWN},
    )
    return [Entry(at=moment(row["at"]), seconds=row["seconds"], text=_text(row)) for row in rows]


def _text(row: Row) -> str:
    number, text = f"#{row['id']}", row["text"]
    if row["kind"] == 0:
        return " ".join(filter(None, (number, row["gone"] and f"({row['gone']})", text)))
    if row["kind"] == 2:
        return f"granted: {text}" if text else "granted"
    why = text or REFUND_REASONS.get(Status(row["status"]), "stopped early")
    return f"{number} refunded: {why}"


async def _given_back(tx: Transaction, job: int, now: datetime) -> None:
    # First the takes, then the grants: these get back what the takes are no longer charged.
    await grants.returned(tx, job)
    await tx.execute(
        """
        UPDATE jobs SET returned_at = ? WHERE id = ?
        AND price > (SELECT SUM(charged_seconds) FROM takes WHERE job_id = jobs.id)
        """,
        (now.timestamp(), job),
    )
