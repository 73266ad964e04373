"""What keeps a request out: one limit after the other, in the order that admission states."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot import admission
from bot.errors import Refusal
from bot.studio import Studio
from bot.tables import members, servers
from bot.tables.database import Database, Transaction
from bot.tables.opening import open_database
from bot.values import Job, Limits, Status, Wish
from tests.support.clock import Clock
from tests.support.one_engine import runs
from tests.support.rows import put
from tests.support.studio import GENEROUS, origin, rooms

IN_ORDER = {
    "disk": "disk is nearly full",
    "memory": "needs more memory",
    "allowed": "operator's list",
    "length": "allows this server up to 4 s",
    "block": "has blocked you",
    "channel": "request music in <#55>",
    "words": "a word that this server blocks",
    "longest": "tier allows up to 5 s",
    "takes": "asked for 2 takes",
    "model": "does not include the model",
    "waiting": "You already have #1",
    "studio": "queue is full",
    "waiting here": "This server already has",
    "unposted": "could not be posted today",
    "day of the server": "this server has",
    "day": "you have 0 s",
}
"""Limits, and what is said by the one that a request hits."""

WISH = Wish(prompt="play", seconds=6, takes=2)


async def asked(folder: Path, clock: Clock, wrong: set[str]) -> Job:
    """Ask for a piece where so many limits are in its way."""
    async with open_database(folder / "test.db") as database:
        async with database.transaction() as tx:
            await ruled(tx, clock, wrong)
        return await a_studio(database, folder, clock, wrong).submit(origin(), WISH)


def a_studio(database: Database, folder: Path, clock: Clock, wrong: set[str]) -> Studio:
    tier = replace(
        GENEROUS,
        longest=5 if "longest" in wrong else 120,
        takes=1 if "takes" in wrong else 5,
        models=frozenset({"large" if "model" in wrong else "*"}),
        waiting=1 if "waiting" in wrong else 10,
        per_day=0 if "day" in wrong else 100,
    )
    limits = Limits(
        servers=frozenset() if "allowed" in wrong else None,
        waiting=1 if "studio" in wrong else 10,
        waiting_per_server=1 if "waiting here" in wrong else 10,
        server_seconds_per_day=1 if "day of the server" in wrong else None,
    )
    return rooms(database, folder, clock, tier, limits=limits).services.studio


async def ruled(tx: Transaction, clock: Clock, wrong: set[str]) -> None:
    """Write down what stands in the way of member 1 in server 10."""
    unfit = ["small"] if "memory" in wrong else []
    await runs(tx, unfit=unfit)
    await put(tx, "jobs", status=Status.QUEUED)
    if "length" in wrong:
        limits = {"max_seconds": 4, "waiting": None, "seconds_per_day": None}
        await servers.limited(tx, 10, limits)
    if "block" in wrong:
        await members.blocked(tx, 10, 1, "loud nights", clock(), None)
    if "channel" in wrong:
        await servers.channel_allowed(tx, 10, 55)
    if "words" in wrong:
        await servers.word_added(tx, 10, "play")
    for _ in range(2 if "unposted" in wrong else 0):
        await put(tx, "jobs", status=Status.UNDELIVERABLE, ended_at=clock().timestamp())


@pytest.mark.parametrize("limit", IN_ORDER)
async def test_of_several_limits_the_first_is_told(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    limits = list(IN_ORDER)
    wrong = set(limits[limits.index(limit) :])
    if "disk" in wrong:
        monkeypatch.setattr(admission, "LEAST_FREE_BYTES", 10**18)
    with pytest.raises(Refusal, match=IN_ORDER[limit]):
        await asked(tmp_path, clock, wrong)


async def test_with_no_limit_in_its_way_a_request_is_queued(tmp_path: Path, clock: Clock) -> None:
    job = await asked(tmp_path, clock, set())
    assert (job.status, job.request.seconds, job.request.takes) == (Status.QUEUED, 6, 2)
