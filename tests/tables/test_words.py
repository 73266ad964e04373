"""Of the words in a job's row none is left by anything that erases, whatever columns there are."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from bot.tables import erasures
from bot.tables.database import Database, Transaction
from bot.values import Wish
from tests.support.clock import Clock
from tests.support.studio import GENEROUS, origin, rooms

NO_WORDS = {
    *("status", "shown", "fault", "channel_kind", "source", "tier", "day", "model", "options"),
    "engine",
    "picture",  # the name of a file, by number
}
"""Columns of text that say nothing of who asked and for what in which words."""

Erase = Callable[[Transaction, Clock], Awaitable[object]]


async def forgotten(tx: Transaction, clock: Clock) -> None:
    await erasures.forgotten(tx, [1], clock())


async def aged(tx: Transaction, clock: Clock) -> None:
    await erasures.words_erased(tx, clock() + timedelta(days=1), clock(), 10)


@pytest.mark.parametrize("erase", [forgotten, aged])
async def test_every_column_with_words_is_erased(
    database: Database, clock: Clock, tmp_path_factory: pytest.TempPathFactory, erase: Erase
) -> None:
    folder = tmp_path_factory.mktemp("data")
    services = rooms(database, folder, clock, GENEROUS).services
    await services.studio.submit(origin(), Wish(prompt="play", seconds=8))
    columns = await database.fetch("SELECT name FROM pragma_table_info('jobs') WHERE type = 'TEXT'")
    wordy = [row["name"] for row in columns if row["name"] not in NO_WORDS]
    assert {"prompt", "lyrics", "title", "user_name"} <= {*wordy}
    async with database.transaction() as tx:
        for name in wordy:
            await tx.execute(f"UPDATE jobs SET {name} = 'words of a member'")
        await tx.execute("UPDATE jobs SET status = 'cancelled', ended_at = ?", (0,))
        await erase(tx, clock)
    (row,) = await database.fetch("SELECT * FROM jobs")
    assert {name: row[name] for name in wordy if row[name]} == {}
