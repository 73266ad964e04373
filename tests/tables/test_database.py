"""Opening, migrating and sharing the one connection."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bot import queue
from bot.errors import OperatorError
from bot.rules.tiers import DEFAULTS
from bot.tables import opening, state
from bot.tables.database import Database
from bot.tables.opening import exclusive, open_database, schema_steps
from bot.values import Status
from tests.support import one_engine
from tests.support.clock import Clock
from tests.support.first_release import first_release
from tests.support.processes import program
from tests.support.studio import rooms


async def test_a_new_database_is_opened_durably_and_reopened(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_database(tmp_path / "test.db") as database:
            for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
                assert (await database.fetch(f"PRAGMA {pragma}"))[0][0] == value


async def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(OperatorError, match="from a newer Fantasia: its schema is 999"):
        async with open_database(path):
            pass
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (999,)
    connection.close()


async def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(b"this was never a database, and it is long enough to be read as one" * 20)
    with pytest.raises(OperatorError, match="cannot be used: file is not a database"):
        async with open_database(path):
            pass


async def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "CREATE TABLE first (x);\nCREATE TABLE second (y;\n"
    monkeypatch.setattr("bot.tables.opening.schema_steps", lambda: [broken])
    with pytest.raises(OperatorError):
        async with open_database(tmp_path / "test.db"):
            pass
    with sqlite3.connect(tmp_path / "test.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


async def put(database: Database, key: str, pause: float = 0) -> None:
    async with database.transaction() as tx:
        await state.note_commands(tx, key, "kept")
        await asyncio.sleep(pause)


async def test_a_cancelled_transaction_leaves_nothing_and_harms_no_other(tmp_path: Path) -> None:
    async with open_database(tmp_path / "test.db") as database:
        for steps in range(30):
            task = asyncio.create_task(put(database, "cancelled", 10))
            for _ in range(steps):
                await asyncio.sleep(0.0005)
            task.cancel()
            await put(database, f"after {steps}")
            assert task.cancelled()
            assert await state.commands(database, "cancelled") is None
            assert await state.commands(database, f"after {steps}") == "kept"


async def test_no_reader_sees_what_may_yet_be_undone(tmp_path: Path) -> None:
    async with open_database(tmp_path / "test.db") as database:
        task = asyncio.create_task(put(database, "half", 10))
        await asyncio.sleep(0.05)
        reading = asyncio.create_task(state.commands(database, "half"))
        await asyncio.sleep(0.05)
        task.cancel()
        assert await reading is None


HOLD = """
import sys
from contextlib import closing
from pathlib import Path
from bot.tables.opening import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    held: list[str | Path] = [sys.executable, "-c", HOLD, tmp_path]
    with program(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(OperatorError, match="Another Fantasia"), exclusive(tmp_path):
            pass
        holder.communicate()
    with exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match="not writable"), exclusive(tmp_path / "file" / "data"):
        pass


async def test_whoever_comes_after_the_end_is_cancelled(tmp_path: Path) -> None:
    async with open_database(tmp_path / "test.db") as database:
        pass
    with pytest.raises(asyncio.CancelledError):
        await database.fetch("SELECT 1")


async def test_a_reason_that_was_written_down_twice_is_kept_once(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "test.db") as connection:
        for step in opening.schema_steps()[:11]:
            connection.executescript(step)
        connection.execute(
            """
            INSERT INTO audit (guild_id, at, actor_id, actor_name, action, subject, before)
            VALUES (10, 0, 1, 'a', 'member unblock', 'b', 'blocked: loud'),
                (10, 0, 1, 'a', 'quota set', 'b', '5 s a day')
            """
        )
        connection.execute("PRAGMA user_version = 11")
    connection.close()
    async with open_database(tmp_path / "test.db") as database:
        rows = await database.fetch("SELECT before FROM audit ORDER BY id")
        assert [row["before"] for row in rows] == ["blocked", "5 s a day"]


async def test_a_database_of_the_first_release_keeps_all_it_holds(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "test.db"
    first_release(path)
    async with open_database(path) as database:
        made = rooms(database, tmp_path, clock, *DEFAULTS).services
        studio = made.studio
        found = [await studio.job(number) for number in range(1, len(Status) + 1)]
        assert [job.status for job in found] == list(Status)
        assert {job.request.model for job in found} == {"small"}
        usage = await made.accounts.usage(10, 1)
        assert (usage.used, usage.waiting, usage.running) == (12, (1,), (2,))
        entries = [entry.seconds for entry in usage.ledger]
        assert sum(entries) == -12
        (owed,) = await made.outbox.owed()
        assert (owed.job.id, owed.takes[0].charged_seconds) == (3, 3)
        async with database.transaction() as tx:
            assert await queue.claim(tx, one_engine.opening(), clock())


async def test_the_slots_and_the_speeds_that_the_one_engine_had_are_the_first_ones_from_then_on(
    tmp_path: Path,
) -> None:
    path, steps = tmp_path / "test.db", schema_steps()
    (at,) = [number for number, step in enumerate(steps) if "ADD COLUMN slots" in step]
    with closing(sqlite3.connect(path)) as connection:
        for step in steps[:at]:
            connection.executescript(step)
        connection.execute("INSERT INTO settings (key, value) VALUES ('slots', '6')")
        connection.execute(
            "INSERT INTO speeds (model, device, precision, pace) VALUES ('small', 'cpu', 'int8', 2)"
        )
        for key, value in (("device", "cpu"), ("precision", "int8"), ("engine", "ready")):
            connection.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (key, value))
        connection.execute(
            "INSERT INTO speeds (model, device, precision, pace) VALUES ('small', 'T4', 'int8', 1)"
        )
        connection.execute(f"PRAGMA user_version = {at}")
        connection.commit()
    async with open_database(path) as database:
        (row,) = await database.fetch("SELECT engine, slots, pace FROM speeds")
        assert tuple(row) == ("cpu-0", 6, 2), "what is known of where the one engine ran last"
        assert not await database.fetch("SELECT * FROM settings WHERE key = 'engine'")
        assert not await database.fetch("SELECT * FROM settings WHERE key = 'slots'")


async def test_an_older_program_refuses_the_newer_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(tmp_path / "test.db"):
        pass
    before = (tmp_path / "test.db").read_bytes()
    steps = opening.schema_steps()
    monkeypatch.setattr("bot.tables.opening.schema_steps", lambda: steps[:1])
    newer = f"from a newer Fantasia: its schema is {len(steps)}, and this one knows 1"
    with pytest.raises(OperatorError, match=newer):
        async with open_database(tmp_path / "test.db"):
            pass
    assert (tmp_path / "test.db").read_bytes() == before
