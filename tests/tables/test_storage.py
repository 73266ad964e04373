"""A database that is held, damaged, somebody else's or on a disk without locks: a sentence."""

import asyncio
import errno
import fcntl
import os
import sqlite3
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bot import app
from bot.__main__ import main
from bot.app import Plan, compose
from bot.errors import OperatorError, Refusal, StorageError
from bot.tables import database
from bot.tables.opening import check, exclusive, open_database
from bot.values import Job, Status, Wish
from tests.support import inside
from tests.support.clock import until
from tests.support.shown import told
from tests.support.stand_in import TOKEN
from tests.support.studio import origin
from tests.support.world import world


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[None]:
    """Hold a database as a browser with unsaved edits does, once nobody else is writing."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)

    async def begun() -> bool:
        with suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
        return connection.in_transaction

    await until(begun)
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def spoil(path: Path) -> None:
    """Overwrite all of a database but its first page."""
    with path.open("r+b") as file:
        pages = path.stat().st_size // 4096
        file.seek(4096)
        file.write(b"\x55" * 4096 * (pages - 1))


async def test_a_database_that_is_held_is_called_busy_and_nobody_waits_long(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, StorageError, sqlite3.DatabaseError)

        async def patience() -> int:
            (row,) = await w.database.fetch("PRAGMA busy_timeout")
            return int(row[0])

        async with held(plan.folder / "fantasia.db"):
            for member in (w.alice, w.bob):
                shown = await w.generate("play", by=member)
                assert told(shown).startswith("The studio is busy, so")
                assert await patience() == database.BUSY_TIMEOUT_WHILE_HELD, "one waited in vain"
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        assert await patience() == database.BUSY_TIMEOUT


async def test_a_database_that_is_held_as_the_bot_starts_is_waited_for(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 50)
    monkeypatch.setattr(app, "HELD_DATABASE_PAUSE", 0.05)

    async def started() -> Job:
        async with compose(plan) as client:
            return await client.services.studio.submit(origin(), Wish(prompt="play", seconds=2))

    await started()
    async with held(plan.folder / "fantasia.db"):
        again = asyncio.create_task(started())
        await until(lambda: asyncio.sleep(0, "Another program is holding" in caplog.text))
        assert not again.done()
    assert (await again).id == 2


def test_what_the_database_does_not_let_a_command_do_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def compose(_: Plan) -> None:
        raise StorageError("The database cannot be used: disk I/O error.")

    monkeypatch.setattr(app, "compose", compose)
    settings = {"DISCORD_TOKEN": TOKEN, "ENGINE": "sketch", "DATA_DIR": str(tmp_path)}
    for key, value in {**settings, "DEBUGGABLE": "on"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 1
    assert capsys.readouterr().err == "The database cannot be used: disk I/O error.\n"


async def test_a_database_that_is_damaged_while_the_bot_runs_is_told_in_sentences(
    plan: Plan, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FLUSH_SECONDS", 0.5)
    async with world(plan) as w:
        w.tolerated = (Refusal, StorageError, sqlite3.DatabaseError)
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        await w.database.purge()
        spoil(plan.folder / "fantasia.db")
        await w.database.fetch("PRAGMA shrink_memory")
        assert "database is damaged" in told(await w.generate("play"))
        await w.look()
        assert not w.bot.is_closed()
        w.bot.services.operations.drain()
        await until(lambda: asyncio.sleep(0, w.bot.is_closed()))
    assert "The database is damaged: database disk image is malformed" in caplog.text
    assert "python -m bot doctor" in caplog.text
    assert "Traceback" not in caplog.text
    with pytest.raises(OperatorError, match=r"cannot be used: .* bot restore FILE"):
        await check(plan.folder / "fantasia.db")


async def test_a_fault_of_our_own_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    async with open_database(tmp_path / "test.db") as database:
        with pytest.raises(sqlite3.IntegrityError):
            async with database.transaction() as tx:
                await tx.execute("INSERT INTO settings (key, value) VALUES (NULL, NULL)")


@pytest.mark.parametrize(
    ("error", "busy", "damaged"),
    [("SQLITE_BUSY", True, False), ("SQLITE_CORRUPT", False, True), ("SQLITE_FULL", False, False)],
)
async def test_who_asks_learns_which_trouble_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, *, busy: bool, damaged: bool
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        said = sqlite3.OperationalError("so")
        said.sqlite_errorcode = getattr(sqlite3, error)

        async def fails(*_: object) -> None:
            raise said

        monkeypatch.setattr(inside.connection(database), "execute_fetchall", fails)
        with pytest.raises(StorageError) as raised:
            await database.fetch("SELECT 1")
        assert (raised.value.busy, raised.value.damaged) == (busy, damaged)


def test_a_disk_without_locks_is_not_another_fantasia(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    told = "cannot be locked: No locks available. Use a local disk."
    with pytest.raises(OperatorError, match=told), exclusive(tmp_path):
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(OperatorError, match="lock: Too many levels"), exclusive(tmp_path):
        pass
    assert victim.read_text() == "precious"


AS_ANOTHER = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from bot.tables import opening
from bot.tables.opening import check, open_database
from bot.errors import OperatorError
opening.schema_steps()
os.setgid(65534)
os.setuid(65534)
async def main(path):
    for use in (lambda: opened(path), lambda: check(path)):
        try:
            await use()
            print("can be used")
        except OperatorError as error:
            print(error)
async def opened(path):
    async with open_database(path):
        pass
asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("mode", "can_open", "can_check"),
    [(0o600, "cannot be read", "cannot be read"), (0o644, "cannot be written", "can be used")],
)
async def test_a_database_of_another_user_is_explained(
    mode: int, can_open: str, can_check: str
) -> None:
    with TemporaryDirectory(dir="/tmp") as made:  # pytest's own folders are for one user alone
        folder = Path(made)
        folder.chmod(0o777)
        path = folder / "fantasia.db"
        async with open_database(path):
            pass
        path.chmod(mode)
        command = [sys.executable, "-c", AS_ANOTHER, str(path)]
        asking = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        said, wrong = await asking.communicate()
        assert wrong == b""
        first, second = said.decode().splitlines()
        assert can_open in first
        assert "It belongs to root: give it to the user that runs the bot" in first
        assert can_check in second


@pytest.mark.parametrize("way", ["open_database", "check", "reading"])
def test_what_cannot_be_opened_leaves_no_thread_that_complains(tmp_path: Path, way: str) -> None:
    (tmp_path / "test.db").mkdir()
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        f"from bot.tables.opening import {way} as way\n"
        "from bot.errors import OperatorError\n"
        "async def main():\n"
        "    opening = way(Path(sys.argv[1]))\n"
        "    await (opening.__aenter__() if hasattr(opening, '__aenter__') else opening)\n"
        "try:\n    asyncio.run(main())\n"
        "except OperatorError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "test.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.count("database") == 1 + done.stdout.count("unable to open database file")
    assert ".." not in done.stdout
