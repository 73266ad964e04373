"""No statement on the way of a request or of a look reads a table that grows from end to end."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bot import jobs, turns
from bot.admission import Admission
from bot.database import Database, Row, Transaction, open_database
from bot.models import Actor, Limits, Status
from bot.office import Office
from bot.outbox import Outbox
from bot.studio import Studio
from tests.conftest import GENEROUS, Clock, origin

SMALL_INDEXES = {
    # Partial: they hold what is under way, not the history.
    "jobs_by_queue",
    "jobs_waiting",
    "jobs_running",
    "jobs_by_start",  # the last hour
    "jobs_to_show",
    "posts_undelivered",
    "posts_to_replace",
}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> dict[str, Sequence[Any]]:
    """All statements that ran, each with the parameters of its last run."""
    seen: dict[str, Sequence[Any]] = {}
    real_fetch, real_execute = Transaction.fetch, Transaction.execute

    async def fetch(self: Transaction, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        seen[sql] = parameters
        return await real_fetch(self, sql, parameters)

    async def execute(self: Transaction, sql: str, parameters: Sequence[Any] = ()) -> int:
        seen[sql] = parameters
        return await real_execute(self, sql, parameters)

    monkeypatch.setattr(Transaction, "fetch", fetch)
    monkeypatch.setattr(Transaction, "execute", execute)
    return seen


async def live(database: Database, folder: Path, clock: Clock) -> None:
    """Go the way of requests, from asking to delivery, and look as often as one looks."""
    admission = Admission(
        defaults=(GENEROUS,), limits=Limits(server_seconds_per_day=10**6), skus={1: "free"}
    )
    studio = Studio(
        database,
        folder=folder,
        clock=clock,
        work=asyncio.Event(),
        news=asyncio.Event(),
        drain=asyncio.Event(),
        models=("small",),
        max_seconds=120,
        admission=admission,
    )
    office = Office(database, admission=admission, clock=clock)
    someone = Actor(id=1, name="someone")
    await office.grant(10, someone, someone, 10, "a gift", 3)
    await office.reset(10, someone, someone)
    await office.log(10, None, 0)
    await office.log(10, 1, 0)
    for _ in range(3):
        job = await studio.submit(origin(), prompt="play", seconds=8)
    await studio.status_message(job, 7, Status.QUEUED)
    await studio.standing(job)
    await studio.usage(10, 1)
    await studio.to_show()
    outbox = Outbox(studio._database, clock=studio.now, news=asyncio.Event())
    await outbox.owed()
    await outbox.previews_to_replace()
    async with database.transaction() as tx:
        assert await turns.claim(tx, ("small",), clock())
        assert await turns.claim(tx, ("other",), clock())
    await jobs.running(database)
    await studio.cancel(job.id, guild=10, user=1, manager=False)


async def scans(database: Database, statements: dict[str, Sequence[Any]]) -> dict[str, str]:
    """Return the statements that read something from end to end, and what."""
    tables = "jobs|takes|posts|draws|grants|members|audit"
    found = {}
    for sql, parameters in list(statements.items()):
        for step in await database.fetch(f"EXPLAIN QUERY PLAN {sql}", parameters):
            told = step["detail"]
            index = re.search(r"INDEX (\w+)", told)
            small = index is not None and index[1] in SMALL_INDEXES
            if re.match(rf"SCAN ({tables})\b", told) and not small:
                found[" ".join(sql.split())] = told
    return found


async def test_nothing_is_read_from_end_to_end(
    tmp_path: Path, clock: Clock, statements: dict[str, Sequence[Any]]
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        statements.clear()
        await live(database, tmp_path, clock)
        assert len(statements) > 30
        assert await scans(database, statements) == {}


@pytest.mark.parametrize("index", ["draws_by_job", "draws_by_grant", "grants_by_member"])
async def test_without_an_index_it_is_noticed(
    tmp_path: Path, clock: Clock, statements: dict[str, Sequence[Any]], index: str
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        statements.clear()
        await live(database, tmp_path, clock)
        recorded = dict(statements)
        async with database.transaction() as tx:
            await tx.execute(f"DROP INDEX {index}")
        assert await scans(database, recorded)
