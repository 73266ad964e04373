"""What is read of grants and of the ledger, against the same said of all their rows in Python."""

from collections.abc import Callable
from typing import Any

from bot.tables import grants, ledger
from bot.tables.database import Database
from tests.support.tables import DAY, NOW, Tables, ours, tables

__all__ = ["tables"]


async def test_grants_that_hold_something(database: Database, tables: Tables) -> None:
    def left(grant: dict[str, Any]) -> int:
        drawn = [draw["seconds"] for draw in tables.draws if draw["grant_id"] == grant["id"]]
        return int(grant["seconds"] - sum(drawn))

    valid = [
        grant
        for grant in tables.grants
        if ours(grant) and left(grant) > 0 and (grant["expires_at"] or 9999) > 1000
    ]
    valid.sort(key=lambda grant: (grant["expires_at"] or 9999, grant["id"]))
    found = await grants.open_ones(database, 10, 1, NOW)
    assert [(grant.id, grant.left) for grant in found] == [(g["id"], left(g)) for g in valid]


async def test_sums_of_the_ledger(database: Database, tables: Tables) -> None:
    def from_allowance(matches: Callable[[dict[str, Any]], object]) -> int:
        return sum(tables.charged(job) - tables.drawn(job) for job in tables.jobs if matches(job))

    here = from_allowance(lambda job: ours(job) and job["day"] == DAY and not job["forgiven"])
    assert await ledger.used(database, 10, 1, DAY) == here
    elsewhere = from_allowance(
        lambda job: ours(job, guild=11) and job["day"] == DAY and job["everywhere"]
    )
    assert await ledger.used(database, 10, 1, DAY, everywhere=True) == here + elsewhere
    of_server = [job for job in tables.jobs if job["guild_id"] == 10 and job["day"] == DAY]
    assert await ledger.used_by_server(database, 10, DAY) == sum(map(tables.charged, of_server))


async def test_a_reset_is_of_one_day_and_of_no_subscription(
    database: Database, tables: Tables
) -> None:
    async with database.transaction() as tx:
        await ledger.forgiven(tx, 10, 1, DAY)
    after = await Tables.of(database)
    for before, now in zip(tables.jobs, after.jobs, strict=True):
        forgiven = ours(before) and before["day"] == DAY and not before["everywhere"]
        assert now == (before | {"forgiven": 1} if forgiven else before)


async def test_the_newest_entries_of_a_ledger(database: Database, tables: Tables) -> None:
    mine = [job for job in tables.jobs if ours(job)]
    entries = [(job["charged_at"], 0, job["id"], -job["price"]) for job in mine]
    entries += [
        (job["returned_at"], 1, job["id"], job["price"] - tables.charged(job))
        for job in mine
        if job["returned_at"] is not None
    ]
    entries += [
        (grant["created_at"], 2, grant["id"], grant["seconds"])
        for grant in tables.grants
        if ours(grant)
    ]
    entries.sort(reverse=True)
    found = await ledger.last(database, 10, 1)
    expected = [(at, seconds) for at, _, _, seconds in entries[: ledger.ENTRIES_SHOWN]]
    assert [(entry.at.timestamp(), entry.seconds) for entry in found] == expected
