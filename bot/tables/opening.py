"""Opening the database: its folder locked, its file checked and migrated, or read beside a bot."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from importlib import resources
from pathlib import Path

import aiosqlite

from bot.errors import OperatorError, StorageError
from bot.tables.database import BUSY_TIMEOUT, Database

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # overwrite what is erased
    "PRAGMA cache_size = -65536",  # 64 MiB: the upper pages of every index of a long history
)

BEYOND_REPAIR = (
    "Nothing was changed. If it cannot be repaired, `python -m bot restore FILE` replaces it with "
    "a backup."
)


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open and migrate the database at `path`; raise OperatorError if it cannot be used.

    A damaged one is found before anything is written to it.
    """
    _require(path, os.R_OK | os.W_OK)
    if path.exists() and path.stat().st_size:  # noqa: ASYNC240
        # Before anything is written: a migration on a damaged file would make it worse.
        await check(path)
    try:
        # Created by us, since SQLite would create it readable for all, and its -wal and -shm with
        # the same permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        opening = await _connection(path)
    except (OSError, sqlite3.DatabaseError) as error:
        raise OperatorError(f"The database {path} cannot be used: {error}.") from error
    async with opening as connection:
        # SQLite's own lower() knows ASCII alone.
        await connection.create_function("casefold", 1, str.casefold, deterministic=True)
        database = Database(connection)
        try:
            for pragma in PRAGMAS:
                await database.fetch(pragma)
            await _migrate(database, path)
        except StorageError as error:
            raise OperatorError(f"The database {path} cannot be used: {_reason(error)}.") from error
        try:
            yield database
        finally:
            # Waits for the call that is running: closing the connection under it would raise in its
            # task.
            await asyncio.shield(database.close())


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Database]:
    """Open the database at `path` read-only, while a bot may be running on it.

    Raises OperatorError if there is none or it is of another version.
    """
    if not path.is_file():  # noqa: ASYNC240
        raise OperatorError(f"There is no database {path}: has the bot run with this DATA_DIR?")
    try:
        async with _unchanged(path) as database:
            version = await database.value("PRAGMA user_version")
            if version != len(schema_steps()):
                raise OperatorError(
                    f"The database {path} has the schema {version}, and this Fantasia reads "
                    f"{len(schema_steps())}: start the bot once, or install the release that wrote "
                    "it."
                )
            yield database
    except (sqlite3.DatabaseError, StorageError) as error:
        raise OperatorError(f"The database {path} cannot be read: {_reason(error)}.") from error


async def check(path: Path) -> None:
    """Read the whole database at `path` and change nothing of it.

    Raises OperatorError if it is damaged or of a newer schema.
    """
    try:
        async with _unchanged(path) as database:
            found = str(await database.value("PRAGMA integrity_check(1)"))
            if found != "ok":
                words = found.replace("\n", " ")
                raise StorageError(f"it is damaged, {words}", damaged=True)
            await _version(database, path)
    except (sqlite3.DatabaseError, StorageError) as error:
        damaged = isinstance(error, StorageError) and error.damaged
        raise OperatorError(
            f"The database {path} cannot be used: {_reason(error)}."
            + (f" {BEYOND_REPAIR}" if damaged else "")
        ) from error


async def copy(source: Path, target: Path) -> None:
    """Copy a database to another file, even while a bot is running on it.

    Source: SQLite's Online Backup API. Raises OperatorError if the source cannot be read, and
    OSError if the target cannot be written.
    """
    try:
        opening = await _connection(target)
    except sqlite3.Error as error:
        raise OSError(str(error)) from error
    async with reading(source) as database, opening as into:
        try:
            await database.copy_to(into)
            await into.execute("PRAGMA journal_mode = DELETE")  # one file, no journal beside it
        except (sqlite3.Error, StorageError) as error:
            raise OSError(str(error)) from error


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock the data folder for this process, and make it private to its owner.

    Raises OperatorError if it is held or unusable.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # somebody else's folder, but writable for this user
            folder.chmod(0o700)
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        place = error.filename or folder
        raise OperatorError(
            f"DATA_DIR {folder} is not writable: {place}: {error.strerror}.{_owner(path)}"
        ) from error
    with os.fdopen(opened):
        lock(opened, folder)
        yield


def lock(descriptor: int, folder: Path) -> None:
    """Lock an open file of a folder; raise OperatorError if it is locked, or cannot be."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OperatorError(f"Another Fantasia is already using DATA_DIR {folder}.") from error
    except OSError as error:  # such as a network disk without locks
        raise OperatorError(
            f"DATA_DIR {folder} cannot be locked: {error.strerror}. Use a local disk."
        ) from error


def is_held(path: Path) -> bool:
    """Whether another program keeps the database at `path` locked for all of `BUSY_TIMEOUT`."""
    place = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(place, uri=True, timeout=BUSY_TIMEOUT / 1000)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")  # which closing rolls back
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return False


async def _migrate(database: Database, path: Path) -> None:
    version, steps = await _version(database, path), schema_steps()
    for number, step in enumerate(steps[version:], start=version + 1):
        # A step and its number are one transaction: a crash leaves the schema at a whole step.
        async with database.transaction() as transaction:
            for statement in _statements(step):
                await transaction.execute(statement)
            await transaction.execute(f"PRAGMA user_version = {number}")


@asynccontextmanager
async def _unchanged(path: Path) -> AsyncIterator[Database]:
    """Open the database at `path` read-only."""
    _require(path, os.R_OK)
    async with await _connection(f"{path.absolute().as_uri()}?mode=ro", uri=True) as connection:  # noqa: ASYNC240
        database = Database(connection)
        await database.fetch(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        yield database


async def _connection(place: Path | str, *, uri: bool = False) -> aiosqlite.Connection:
    """Return a connection to enter; raise sqlite3.OperationalError if it cannot be opened.

    That is tried first: if aiosqlite cannot open a file, its thread outlives the loop.
    """
    await asyncio.to_thread(lambda: sqlite3.connect(place, uri=uri).close())
    return aiosqlite.connect(place, uri=uri, isolation_level=None)


def _require(path: Path, mode: int) -> None:
    """Raise OperatorError if this user may not read or write the database and what is beside it."""
    for file in (path.with_name(path.name + end) for end in ("", "-wal", "-shm")):
        if file.exists() and not os.access(file, mode):
            words = "written" if os.access(file, os.R_OK) else "read"
            raise OperatorError(f"The database {file} cannot be {words}.{_owner(file)}")


def _owner(path: Path) -> str:
    """Return what to do if a file belongs to somebody else, such as after sudo."""
    if not path.exists() or (user := path.stat().st_uid) == os.geteuid():
        return ""
    try:
        name = path.owner()
    except KeyError:
        name = f"the user {user}"
    return f" It belongs to {name}: give it to the user that runs the bot (`chown`)."


def _reason(error: BaseException) -> str:
    """Return what SQLite said."""
    cause = error.__cause__ if isinstance(error, StorageError) else None
    return str(cause or error).removesuffix(".")


async def _version(database: Database, path: Path) -> int:
    """Return the number of the schema; raise OperatorError if a newer Fantasia wrote it."""
    version, known = await database.value("PRAGMA user_version") or 0, len(schema_steps())
    if version > known:
        raise OperatorError(
            f"The database {path} is from a newer Fantasia: its schema is {version}, and this one "
            f"knows {known}. Install the newer release, or set DATA_DIR to another folder."
        )
    return version


def schema_steps() -> list[str]:
    """Return the SQL of the schema's numbered steps, in their order."""
    folder = resources.files("bot.tables.migrations")
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
