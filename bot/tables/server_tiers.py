"""The tables of a server's own tiers and of the roles that grant them."""

from collections.abc import Iterable
from dataclasses import asdict

from bot.tables.database import Reader, Transaction, read
from bot.values import Tier


async def of(reader: Reader, guild: int, usual: Iterable[Tier]) -> list[Tier]:
    """Return a server's tiers, lowest first: its own, or the usual ones if it has none."""
    rows = await reader.fetch("SELECT * FROM tiers WHERE guild_id = ?", (guild,))
    own = [read(Tier, row, models=row["models"].split()) for row in rows]
    return sorted(own or usual, key=lambda tier: tier.rank)


async def put(tx: Transaction, guild: int, tier: Tier) -> None:
    """Add a tier, or replace the one with its key."""
    columns = asdict(tier) | {"models": " ".join(sorted(tier.models))}
    await tx.upsert("tiers", guild_id=guild, **columns)


async def removed(tx: Transaction, guild: int, key: str) -> None:
    """Remove a tier and its roles."""
    await tx.execute("DELETE FROM tiers WHERE guild_id = ? AND key = ?", (guild, key))
    await tx.execute("DELETE FROM role_tiers WHERE guild_id = ? AND tier = ?", (guild, key))


async def reset(tx: Transaction, guild: int) -> None:
    """Remove all tiers of a server's own: it has the operator's then. Roles stay mapped."""
    await tx.execute("DELETE FROM tiers WHERE guild_id = ?", (guild,))


async def roles(reader: Reader, guild: int) -> dict[int, str]:
    """Return the key of the tier that each mapped role grants."""
    rows = await reader.fetch(
        "SELECT role_id, tier FROM role_tiers WHERE guild_id = ? ORDER BY role_id", (guild,)
    )
    return {row["role_id"]: row["tier"] for row in rows}


async def role_names(reader: Reader, guild: int) -> dict[int, str]:
    """Return the name that each mapped role had when it was mapped."""
    rows = await reader.fetch(
        "SELECT role_id, role_name FROM role_tiers WHERE guild_id = ? ORDER BY role_name", (guild,)
    )
    return {row["role_id"]: row["role_name"] for row in rows}


async def mapped(tx: Transaction, guild: int, role: int, name: str, key: str) -> None:
    """Make a role grant a tier."""
    await tx.execute(
        "INSERT OR REPLACE INTO role_tiers VALUES (?, ?, ?, ?)", (guild, role, name, key)
    )


async def unmapped(tx: Transaction, guild: int, role: int) -> bool:
    """Remove a role's tier; return False if it had none."""
    return await tx.changes(
        "DELETE FROM role_tiers WHERE guild_id = ? AND role_id = ?", (guild, role)
    )


async def all_mapped(reader: Reader) -> list[tuple[int, str]]:
    """Return every server and tier's key that a role is mapped to which not everybody has."""
    rows = await reader.fetch(
        "SELECT DISTINCT guild_id, tier FROM role_tiers WHERE role_id <> guild_id"
    )
    return [(row["guild_id"], row["tier"]) for row in rows]
