"""The one SQLite connection: opening, migrating, and transactions that never interleave."""

import asyncio
import fcntl
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from importlib import resources
from pathlib import Path

import aiosqlite

from bot.errors import OperatorError, StorageError

Row = sqlite3.Row
Value = str | int | float | None

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA secure_delete = ON",  # what is erased is overwritten
    "PRAGMA cache_size = -65536",  # 64 MiB: the upper pages of every index of a long history
)


def stamp(time: datetime | None) -> float | None:
    """Return a time as the tables hold it: UTC seconds since 1970."""
    return time.timestamp() if time else None


class Transaction:
    """What may be asked while a transaction is open."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """Run one statement and return all its rows, those of RETURNING included."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        async with self._connection.execute(sql, parameters) as cursor:
            return cursor.rowcount

    async def changes(self, sql: str, parameters: Sequence[Value] = ()) -> bool:
        """Run one guarded UPDATE and return whether it found its row."""
        return await self.execute(sql, parameters) == 1


class Database:
    """One connection and one lock: a transaction belongs to a connection, not to a task.

    Whatever is asked of it raises StorageError where the file or its disk does not let it.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit what the block does, or nothing of it."""
        async with self._turn():
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
                yield Transaction(self._connection)
                await self._connection.execute("COMMIT")
            except BaseException:
                await asyncio.shield(self._connection.rollback())
                raise

    async def fetch(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """Run one reading statement outside any transaction and return its rows."""
        async with self._turn():
            return await Transaction(self._connection).fetch(sql, parameters)

    async def purge(self) -> None:
        """Write the journal back into the file, so that it keeps nothing of what was erased."""
        await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)")

    async def copy_to(self, target: aiosqlite.Connection) -> None:
        """Copy everything into another database."""
        async with self._turn():
            await self._connection.backup(target)

    async def close(self) -> None:
        """Let what is under way end, and cancel whoever comes later: the program is ending."""
        async with self._lock:
            self._closed = True

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._lock:
            if self._closed:
                raise asyncio.CancelledError("the database is closed")
            try:
                yield
            except sqlite3.OperationalError as error:
                raise StorageError(f"The database cannot be used: {error}.") from error


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open and migrate the database at `path`; raise OperatorError if it cannot be used.

    A damaged one is found before anything is written to it.
    """
    if path.exists() and path.stat().st_size:  # noqa: ASYNC240
        await check(path)
    path.touch(mode=0o600)  # noqa: ASYNC240
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        connection.row_factory = sqlite3.Row
        try:
            for pragma in PRAGMAS:
                await connection.execute(pragma)
            await _migrate(Database(connection), path)
        except (sqlite3.DatabaseError, StorageError) as error:
            raise OperatorError(f"The database {path} cannot be used: {error}.") from error
        database = Database(connection)
        try:
            yield database
        finally:
            await asyncio.shield(database.close())


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Database]:
    """Open the database at `path` to read alone, while a bot may be running on it.

    Raises OperatorError if there is none or it is of another version.
    """
    if not path.is_file():  # noqa: ASYNC240
        raise OperatorError(f"There is no database {path}: has the bot run with this DATA_DIR?")
    try:
        place = path.absolute().as_uri()  # noqa: ASYNC240
        async with aiosqlite.connect(f"{place}?mode=ro", uri=True) as connection:
            connection.row_factory = sqlite3.Row
            await connection.execute("PRAGMA busy_timeout = 5000")
            database = Database(connection)
            version = (await database.fetch("PRAGMA user_version"))[0][0]
            if version != len(_steps()):
                raise OperatorError(
                    f"The database {path} has the schema {version}, and this Fantasia reads "
                    f"{len(_steps())}: start the bot once, or install the release that wrote it."
                )
            yield database
    except (sqlite3.DatabaseError, StorageError) as error:
        raise OperatorError(f"The database {path} cannot be read: {error}.") from error


async def check(path: Path) -> None:
    """Read the whole database at `path` and change nothing of it.

    Raises OperatorError if it is damaged or of a newer schema.
    """
    place = path.absolute().as_uri()  # noqa: ASYNC240
    try:
        async with aiosqlite.connect(f"{place}?mode=ro", uri=True) as connection:
            connection.row_factory = sqlite3.Row
            database = Database(connection)
            await database.fetch("PRAGMA busy_timeout = 5000")
            (found,) = (await database.fetch("PRAGMA integrity_check(1)"))[0]
            if found != "ok":
                words = found.replace("\n", " ")
                raise sqlite3.DatabaseError(f"it is damaged, {words}")
            _refuse_newer((await database.fetch("PRAGMA user_version"))[0][0], path)
    except (sqlite3.DatabaseError, StorageError) as error:
        raise OperatorError(
            f"The database {path} cannot be used: {error}. It was left as it is. Should it be "
            "beyond repair, `python -m bot restore FILE` puts a backup in its place."
        ) from error


async def copy(source: Path, target: Path) -> None:
    """Copy a database, also while a bot is running on it, into a file of its own.

    Source: SQLite's Online Backup API. Raises OperatorError if the source cannot be read, and
    OSError if the target cannot be written.
    """
    async with reading(source) as database, aiosqlite.connect(target) as into:
        try:
            await database.copy_to(into)
            await into.execute("PRAGMA journal_mode = DELETE")  # one file, no journal beside it
        except (sqlite3.Error, StorageError) as error:
            raise OSError(str(error)) from error


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process, and let nobody else but its owner look into it.

    Raises OperatorError if it is held or unusable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # somebody else's folder, which lets this user write
            folder.chmod(0o700)
        (folder / "lock").touch(mode=0o600)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise OperatorError(f"DATA_DIR {folder} is not writable: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OperatorError(f"Another Fantasia is already using DATA_DIR {folder}.") from error
        yield


async def _migrate(database: Database, path: Path) -> None:
    version = (await database.fetch("PRAGMA user_version"))[0][0]
    steps = _steps()
    _refuse_newer(version, path)
    for number, step in enumerate(steps[version:], start=version + 1):
        async with database.transaction() as transaction:
            for statement in _statements(step):
                await transaction.execute(statement)
            await transaction.execute(f"PRAGMA user_version = {number}")


def _refuse_newer(version: int, path: Path) -> None:
    known = len(_steps())
    if version > known:
        raise OperatorError(
            f"The database {path} is from a newer Fantasia: its schema is {version}, and this one "
            f"knows {known}. Install the newer release, or set DATA_DIR to another folder."
        )


def _steps() -> list[str]:
    folder = resources.files("bot.migrations")
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(folder / name).read_text() for name in files]


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    assert not statement.strip(), f"a migration ends in the middle of: {statement}"
