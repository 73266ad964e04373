"""Crashes of the bot, enumerated: cut before and after every commit and every call of Discord.

At the cut the data folder is copied as a crash would leave it. From then on the old bot reaches
neither a database nor Discord: what its tasks do as they are dropped has no effect. Another bot
starts on the copy, in the same simulated Discord.
"""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from simcord.http.client import FakeHTTPClient, FakeWebhookAdapter

from bot import app
from bot.app import Plan
from bot.engine.placement import Placement
from bot.retention.ownership import MARK
from bot.tables.database import Database
from bot.tables.opening import open_database
from bot.values import Status
from tests.support import inside
from tests.support.clock import until
from tests.support.presses import choose
from tests.support.processes import alive, children
from tests.support.world import OPEN, World, world


class Cut:
    """Counts the instants of a life at which it could end, and ends it at one of them."""

    def __init__(self, folder: Path, copy: Path, at: int) -> None:
        self.folder = folder
        self.copy = copy
        self.left = at
        self.where = ""
        self.armed = False
        self.died = asyncio.Event()

    def reach(self, where: str) -> None:
        """Raise CancelledError if this life has ended, or ends here."""
        if not self.died.is_set():
            if not self.armed:
                return
            if self.left:
                self.left -= 1
                return
            self.where = where
            self.died.set()
            self._keep()
        raise asyncio.CancelledError(where)

    def _keep(self) -> None:
        """Copy what is on the disk, of the database what is committed; the engine dies as well."""
        for engine in children(os.getpid()):
            os.kill(engine, signal.SIGKILL)
            while alive(engine):
                time.sleep(0.001)
        self.copy.mkdir()
        if (self.folder / "audio").exists():
            shutil.copytree(self.folder / "audio", self.copy / "audio")
        shutil.copy(self.folder / MARK, self.copy / MARK)
        with (
            sqlite3.connect(self.folder / "fantasia.db") as source,
            sqlite3.connect(self.copy / "fantasia.db") as target,
        ):
            source.backup(target)


class CutConnection:
    """A connection whose commits are instants at which the bot may die."""

    def __init__(self, connection: aiosqlite.Connection, cut: Cut) -> None:
        self._connection = connection
        self._cut = cut
        self._last = ""

    def __getattr__(self, name: str) -> Any:
        if self._cut.died.is_set():
            raise asyncio.CancelledError(name)
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> Any:
        if sql == "COMMIT":
            return self._commit()
        self._last = " ".join(sql.split())[:60]
        return self.__getattr__("execute")(sql, *parameters)

    async def rollback(self) -> None:
        await self._connection.rollback()

    async def _commit(self) -> None:
        self._cut.reach(f"before the commit of {self._last}")
        await self._connection.execute("COMMIT")
        self._cut.reach(f"after the commit of {self._last}")


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch) -> list[Cut]:
    """What the first life goes through is counted by the one cut in this list."""
    present: list[Cut] = []

    @asynccontextmanager
    async def opened(path: Path) -> AsyncIterator[Database]:
        async with open_database(path) as database:
            if present:
                connection: Any = CutConnection(inside.connection(database), present[-1])
                inside.reconnect(database, connection)
            yield database

    def cut(kind: type[Any]) -> None:
        request = kind.request

        async def cut_request(self: Any, route: Any, *arguments: Any, **more: Any) -> Any:
            where = f"{route.method} {re.sub(r'.*/api/v[0-9]+', '', route.url)}"
            if present:
                present[-1].reach(f"before {where}")
            answer = await request(self, route, *arguments, **more)
            if present:
                present[-1].reach(f"after {where}")
            return answer

        monkeypatch.setattr(kind, "request", cut_request)

    monkeypatch.setattr(app, "open_database", opened)
    for kind in (FakeHTTPClient, FakeWebhookAdapter):
        cut(kind)
    return present


async def scenario(w: World) -> None:
    """Ask for two takes, and go on from the second."""
    shown = await w.alice.slash(w.music, "generate", prompt="play", duration=2, takes=2)
    await w.gone(shown)
    shown = await w.alice.click(await w.result(), label="Extend")
    await choose(w.alice, shown, "Take 2: 5 s more")
    await w.ended(2, Status.DELIVERED)
    await w.result(2)


async def everything_ended(w: World) -> None:
    """Wait until no job is open and nothing is owed."""

    async def look() -> bool:
        rows = await w.database.fetch("SELECT status FROM jobs")
        owed = await w.database.fetch(
            "SELECT id FROM posts WHERE delivered_at IS NULL AND refused_at IS NULL"
        )
        return not owed and not any(row[0] in OPEN for row in rows)

    await until(look)


def sound(w: World, folder: Path) -> None:
    """Every job ended once, the sums agree, one message per post, and no file is left over."""
    with sqlite3.connect(folder / "fantasia.db") as database:
        found = database.execute("SELECT id, status, seconds * takes FROM jobs").fetchall()
        charged = dict(
            database.execute("SELECT job_id, SUM(charged_seconds) FROM takes GROUP BY 1")
        )
        posted = database.execute("SELECT job_id, message_id FROM posts WHERE kind = 'result'")
        by_job = dict(posted)
        assert len(by_job) == len(found), "one result for each"
        named = {
            name
            for row in database.execute("SELECT audio, codes FROM takes")
            for name in row
            if name
        } | {name for (name,) in database.execute("SELECT picture FROM jobs WHERE picture != ''")}
    assert {status for _, status, _ in found} <= {"delivered"}
    assert charged == {job: cost for job, _, cost in found}
    assert sorted(message.id for message in w.results()) == sorted(by_job.values())
    audio = {f"audio/{file.name}" for file in folder.glob("audio/*")}
    assert audio == named
    assert {file.name for file in folder.iterdir()} <= {
        "audio", "lock", "numbers.json", "fantasia.db", "fantasia.db-wal", "fantasia.db-shm",
    }  # fmt: skip


async def life_and_afterlife(
    plan: Plan, lives: list[Cut], at: int, folder: Path, broken: list[str]
) -> str:
    """Live the scenario up to a cut; return where it was, or nothing if the end came first."""
    if at // 2 % 2:  # before and after an instant, as one engine and as two live through it
        plan = replace(plan, placements=(Placement("cpu-0"), Placement("cpu-1")))
    first = replace(plan, folder=folder / "first")
    cut = Cut(first.folder, folder / "second", at)
    lives.append(cut)
    async with world(first) as w:
        cut.armed = True
        lived = asyncio.create_task(scenario(w))
        died = asyncio.create_task(cut.died.wait())
        await asyncio.wait({lived, died}, return_when=asyncio.FIRST_COMPLETED)
        if not cut.died.is_set():
            await lived
            cut.armed = False
            await everything_ended(w)
            lives.clear()
            sound(w, first.folder)
            return ""
        lived.cancel()
        await asyncio.wait({lived})
        await w.stack.aclose()
        assert not any(map(alive, children(os.getpid())))
        lives.clear()
        await w.restart(replace(plan, folder=cut.copy))
        await everything_ended(w)
        try:
            sound(w, cut.copy)
        except AssertionError as error:
            broken.append(f"{at}, {cut.where}: {error}")
        return cut.where


PARTS = 9
"""How many tests share the instants, so that none takes long; odd: before and after alternate."""


@pytest.mark.parametrize("first", range(PARTS))
async def test_no_instant_to_die_at_loses_or_doubles_anything(
    plan: Plan, lives: list[Cut], tmp_path: Path, first: int
) -> None:
    met: Counter[str] = Counter()
    broken: list[str] = []
    at = first
    while where := await life_and_afterlife(plan, lives, at, tmp_path / str(at), broken):
        met[where.split()[0]] += 1
        at += PARTS
    print(dict(met))
    assert broken == []
    assert met.keys() == {"before", "after"}
    assert met.total() > 40 // PARTS, met
