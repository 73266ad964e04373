"""All tables with rows at random, for what is read of them to be said again in Python."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.tables.database import Database, Transaction
from bot.values import Status
from tests.support.rows import put

NOW = datetime.fromtimestamp(1000, UTC)
DAY = "2026-11-23"

Rows = list[dict[str, Any]]


class Tables:
    """All rows, as dictionaries."""

    def __init__(self) -> None:
        self.jobs: Rows = []
        self.takes: Rows = []
        self.posts: Rows = []
        self.draws: Rows = []
        self.grants: Rows = []

    @classmethod
    async def of(cls, database: Database) -> "Tables":
        tables = cls()
        for name in vars(tables):
            rows = await database.fetch(f"SELECT * FROM {name} ORDER BY id")
            setattr(tables, name, [dict(row) for row in rows])
        return tables

    def job(self, number: int) -> dict[str, Any]:
        return next(job for job in self.jobs if job["id"] == number)

    def takes_of(self, job: dict[str, Any]) -> Rows:
        return [take for take in self.takes if take["job_id"] == job["id"]]

    def charged(self, job: dict[str, Any]) -> int:
        return sum(take["charged_seconds"] for take in self.takes_of(job))

    def drawn(self, job: dict[str, Any]) -> int:
        return sum(draw["seconds"] for draw in self.draws if draw["job_id"] == job["id"])


@pytest.fixture(params=range(3))
async def tables(database: Database, request: pytest.FixtureRequest) -> Tables:
    """Rows at random, of few servers and members, so that many have all but one thing in common."""
    dice = random.Random(request.param)
    async with database.transaction() as tx:
        for guild in (10, 11):
            await tx.execute(
                "INSERT INTO servers (guild_id, left_at) VALUES (?, ?)", (guild, guild * 80.0)
            )
        for user in (1, 1, 1, 2, 2):
            await put(
                tx,
                "grants",
                user_id=user,
                guild_id=dice.choice((10, 10, 11)),
                seconds=dice.randint(6, 30),
                expires_at=dice.choice((None, 999.0, 1000.0, 1001.0, 2000.0)),
                created_at=float(dice.randint(1, 50)),
            )
        for _ in range(80):
            await _job(tx, dice)
        for child in dice.sample(range(1, 81), 20):
            parent = dice.randint(1, 160)
            await tx.execute("UPDATE jobs SET parent_take = ? WHERE id = ?", (parent, child))
    return await Tables.of(database)


async def _job(tx: Transaction, dice: random.Random) -> None:
    def perhaps(*values: Any) -> Any:
        return dice.choice((None, *values))

    job = await put(
        tx,
        "jobs",
        status=dice.choice((*Status, Status.QUEUED, Status.RUNNING)),
        guild_id=dice.choice((10, 11)),
        user_id=dice.choice((1, 2)),
        day=dice.choice((DAY, DAY, "2026-11-22")),
        seconds=dice.randint(1, 9),
        takes=2,
        weight=dice.choice((1, 3)),
        server_weight=dice.choice((1, 2)),
        model=dice.choice(("small", "large")),
        priority=dice.choice((0, 0, -1)),
        attempts=dice.randint(0, 2),
        passed=dice.randint(0, 3),
        progress=dice.random(),
        everywhere=dice.choice((0, 1)),
        forgiven=dice.choice((0, 1)),
        price=dice.randint(0, 30),
        work=dice.randint(1, 40),
        created_at=float(dice.randint(1, 20)),
        charged_at=float(dice.randint(1, 9)),
        returned_at=perhaps(float(dice.randint(1, 9))),
        started_at=perhaps(999.0, 1000.0, 1001.0),
        rendered_at=perhaps(30.0),
        ended_at=perhaps(999.0, 1000.0, 1001.0),
        deleted_at=dice.choice((None, None, 50.0)),
        forgotten_at=dice.choice((None, None, 50.0)),
        status_message_id=perhaps(5, 6),
        shown=perhaps("queued", "delivered"),
        reason=perhaps("ours"),
        fault=perhaps("time", "crash"),
        picture=perhaps(f"picture {dice.random()}"),
        starred=dice.choice((0, 0, 1)),
        prompt=dice.choice(("Polka", "a slow polka", "waltz")),
        title=perhaps("Slow dance"),
    )
    for number in (1, 2):
        files = {name: perhaps(f"{name} {job} {number}") for name in ("audio", "codes", "preview")}
        await put(
            tx, "takes", job_id=job, number=number, charged_seconds=dice.randint(0, 9), **files
        )
    for grant in dice.sample(range(1, 6), dice.choice((0, 0, 1, 2))):
        await put(tx, "draws", job_id=job, grant_id=grant, seconds=dice.randint(0, 4))
    for part, kind in enumerate(dice.sample(("result", "preview", "preview", "failure"), 3)):
        await put(
            tx,
            "posts",
            job_id=job,
            part=part,
            kind=kind,
            place=dice.choice((100, 200, 300)),
            due_at=dice.choice((999.0, 1000.0, 1001.0)),
            holds=dice.choice((0, 0, 0, 1)),
            delivered_at=perhaps(60.0),
            refused_at=dice.choice((None, None, 70.0)),
            replaced_at=perhaps(80.0),
        )


def ours(job: dict[str, Any], guild: int = 10, user: int = 1) -> bool:
    return (job["guild_id"], job["user_id"]) == (guild, user)
