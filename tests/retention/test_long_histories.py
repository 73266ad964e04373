"""What is forgotten by the thousand goes a few at a time, and others have their turn meanwhile."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.app import Plan, compose
from bot.retention.archive import JOBS_PER_TRANSACTION
from bot.tables.database import Database
from bot.tables.opening import open_database
from tests.support import inside
from tests.support.clock import Clock
from tests.support.studio import rooms

MANY = 6 * JOBS_PER_TRANSACTION

PIECES = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO jobs (
    status, guild_id, channel_id, user_id, user_name, application_id, token, prompt, seconds, takes,
    work, model, seed, tier, allowance_seconds, day, created_at,
    charged_at, started_at, rendered_at, ended_at, picture
)
SELECT 'delivered', 10, 100, 1, 'someone', 5, '', 'a secret', 8, 1, 8, 'small', i,
    'Free', 8, '2026-11-23', i, i, i, i, i, 'audio/' || i || '-picture.png'
FROM n
"""
TAKES = """
INSERT INTO takes (job_id, number, seed, state, charged_seconds, seconds, audio, codes)
SELECT id, 1, seed, 'rendered', 8, 8, 'audio/' || id || '-1.wav', 'audio/' || id || '-1.npy'
FROM jobs
"""


async def lived(database: Database, folder: Path) -> None:
    """Write rows and files of many pieces."""
    async with database.transaction() as tx:
        await tx.execute(PIECES, (MANY,))
        await tx.execute(TAKES)
    (folder / "audio").mkdir()
    for number in range(1, MANY + 1):
        for end in ("1.wav", "1.npy", "picture.png"):
            (folder / "audio" / f"{number}-{end}").touch()


@pytest.mark.parametrize("way", ["a member", "a server that removed the bot"])
async def test_others_have_their_turn_while_many_pieces_are_forgotten(
    plan: Plan, clock: Clock, way: str
) -> None:
    async with compose(replace(plan, clock=clock)) as client:
        database, archive = inside.database(client.services.studio), client.services.archive
        await lived(database, plan.folder)
        if way == "a member":
            forgetting: asyncio.Task[Any] = asyncio.create_task(archive.forget(1))
        else:
            await archive.left(10)
            clock.turn(days=31)
            forgetting = asyncio.create_task(archive.forget_the_left())
        seen = set()
        while not forgetting.done():
            async with database.transaction() as tx:
                rows = await tx.fetch("SELECT COUNT(*) FROM jobs WHERE forgotten_at IS NOT NULL")
            seen.add(rows[0][0])
        assert {number % JOBS_PER_TRANSACTION for number in seen} == {0}
        assert len(seen) > MANY / JOBS_PER_TRANSACTION - 2
        assert [*(plan.folder / "audio").iterdir()] == []
        assert await database.fetch("SELECT * FROM unneeded") == []
        assert await database.fetch("SELECT 1 FROM jobs WHERE prompt <> ''") == []
    assert b"a secret" not in (plan.folder / "fantasia.db").read_bytes()


async def test_servers_that_did_not_change_are_not_written(tmp_path: Path, clock: Clock) -> None:
    async with open_database(tmp_path / "test.db") as database:
        archive = rooms(database, tmp_path, clock).services.archive
        async with database.transaction() as tx:
            await tx.execute(PIECES, (MANY,))
            await tx.execute("INSERT INTO servers (guild_id) VALUES (11), (12)")

        async def changes() -> int:
            return int((await database.fetch("SELECT total_changes()"))[0][0])

        before = await changes()
        await archive.present({10, 11, 12})
        assert await changes() == before
        await archive.present({10, 11})
        await archive.present({10, 11})
        assert await changes() == before + 1
        await archive.present({10, 11, 12, 13})
        assert await changes() == before + 2
