"""The table of what admins set for individual members: a tier, an allowance, a block."""

from datetime import datetime

from bot.tables.database import Reader, Transaction, read, stamp
from bot.values import Arranged, MemberSettings

# What has run out is not deleted, only no longer in force: no clean-up has to be on time.
GIVEN = "tier IS NOT NULL AND (tier_until IS NULL OR tier_until > :now)"
BLOCKED = "blocked_at IS NOT NULL AND (blocked_until IS NULL OR blocked_until > :now)"
OPEN_GRANTS = """
    FROM grants WHERE guild_id = :guild AND (expires_at IS NULL OR expires_at > :now)
    AND seconds > COALESCE((SELECT SUM(draws.seconds) FROM draws WHERE grant_id = grants.id), 0)
"""


async def find(reader: Reader, guild: int, user: int, now: datetime) -> MemberSettings:
    """Return what is in force for a member now."""
    rows = await reader.fetch(
        f"""
        SELECT IIF({GIVEN}, tier, NULL) AS tier, IIF({GIVEN}, tier_until, NULL) AS tier_until,
            per_day, {BLOCKED} AS blocked, block_reason AS reason, blocked_until AS until
        FROM members WHERE guild_id = :guild AND user_id = :user
        """,  # noqa: S608
        {"guild": guild, "user": user, "now": now.timestamp()},
    )
    if not rows:
        return MemberSettings()
    (row,) = rows
    return read(MemberSettings, row, block=dict(row) if row["blocked"] else None)


async def arranged(reader: Reader, guild: int, now: datetime, limit: int, skip: int) -> list[int]:
    """Return a page of the members for whom a setting is in force or a grant is open, by id."""
    return await reader.column(
        f"""
        SELECT user_id FROM members
        WHERE guild_id = :guild AND (per_day IS NOT NULL OR ({GIVEN}) OR ({BLOCKED}))
        UNION
        SELECT user_id {OPEN_GRANTS}
        ORDER BY user_id LIMIT :limit OFFSET :skip
        """,  # noqa: S608
        {"guild": guild, "now": now.timestamp(), "limit": limit, "skip": skip},
    )


async def count(reader: Reader, guild: int, now: datetime) -> Arranged:
    """Return for how many members something is in force, and how many grants are open."""
    (row,) = await reader.fetch(
        f"""
        SELECT COUNT(*) FILTER (WHERE {BLOCKED}) AS blocked,
            COUNT(*) FILTER (WHERE {GIVEN}) AS tiers, COUNT(per_day) AS allowances,
            (SELECT COUNT(*) {OPEN_GRANTS}) AS grants
        FROM members WHERE guild_id = :guild
        """,  # noqa: S608
        {"guild": guild, "now": now.timestamp()},
    )
    return read(Arranged, row)


async def count_given(reader: Reader, guild: int, tier: str) -> int:
    """Return how many members were given a tier, by its key."""
    sql = "SELECT COUNT(*) FROM members WHERE guild_id = ? AND tier = ?"
    return await reader.value(sql, (guild, tier)) or 0


async def given(
    tx: Transaction, guild: int, user: int, tier: str | None, until: datetime | None
) -> None:
    """Give a member a tier, or None."""
    await tx.upsert("members", guild_id=guild, user_id=user, tier=tier, tier_until=stamp(until))


async def untiered(tx: Transaction, guild: int, tier: str) -> int:
    """Take a tier from all members who were given it, and return how many."""
    return await tx.execute(
        "UPDATE members SET tier = NULL, tier_until = NULL WHERE guild_id = ? AND tier = ?",
        (guild, tier),
    )


async def allowed(tx: Transaction, guild: int, user: int, per_day: int | None) -> None:
    """Set a member's seconds a day instead of the tier's, or None."""
    await tx.upsert("members", guild_id=guild, user_id=user, per_day=per_day)


async def blocked(
    tx: Transaction, guild: int, user: int, reason: str, now: datetime, until: datetime | None
) -> None:
    """Block a member until a time, or for ever."""
    await tx.upsert(
        "members",
        guild_id=guild,
        user_id=user,
        blocked_at=now.timestamp(),
        blocked_until=stamp(until),
        block_reason=reason,
    )


async def unblocked(tx: Transaction, guild: int, user: int) -> None:
    """Unblock a member."""
    await tx.execute(
        """
        UPDATE members SET blocked_at = NULL, blocked_until = NULL, block_reason = NULL
        WHERE guild_id = ? AND user_id = ?
        """,
        (guild, user),
    )


async def forgotten(tx: Transaction, user: int) -> None:
    """Erase the reason of a member's block; the block stays."""
    await tx.execute(
        "UPDATE members SET block_reason = '' WHERE user_id = ? AND block_reason IS NOT NULL",
        (user,),
    )


async def forgotten_where_left(tx: Transaction, before: datetime) -> None:
    """Erase the reasons of blocks in servers that the bot left before a time."""
    await tx.execute(
        """
        UPDATE members SET block_reason = '' WHERE block_reason <> '' AND guild_id IN (
            SELECT guild_id FROM servers INDEXED BY servers_left WHERE left_at < ?
        )
        """,
        (before.timestamp(),),
    )
