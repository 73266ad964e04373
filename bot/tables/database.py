"""The one SQLite connection, and transactions that never interleave."""

import asyncio
import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite
import msgspec

from bot.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

Row = sqlite3.Row
Value = str | int | float | None
Parameters = Sequence[Value] | Mapping[str, Value]
"""The values for a statement's `?` in order, or for its `:names`."""

BUSY_TIMEOUT = 2000
"""Milliseconds for which another program may hold the database: Discord waits 3 s for a reply."""

BUSY_TIMEOUT_WHILE_HELD = 100
"""The same for the next callers while it is still held."""


def stamp(time: datetime | None) -> float | None:
    """Return a time as the tables hold it: UTC seconds since 1970."""
    return time.timestamp() if time else None


def moment(seconds: float) -> datetime:
    """Return the time that a table holds."""
    return datetime.fromtimestamp(seconds, UTC)


def read(kind: type[T], row: Row, **more: object) -> T:
    """Return a row as a value: each field by the column of its name, or as given here.

    Numbers become times and truths, and words the members of enums, as the fields have them.
    """
    # msgspec, and not a constructor by hand: it refuses a word that no enum has, and what a column
    # lacks, by the field's name.
    return msgspec.convert({**dict(row), **more}, kind, strict=False)


def listed(values: Iterable[int | str]) -> str:
    """Return values as the parameter of `IN (SELECT value FROM json_each(?))`."""
    return json.dumps([*values])


class Reader(ABC):
    """What answers reading statements: the database itself, or a transaction that is open."""

    @abstractmethod
    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement and return its rows."""

    async def column(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Return the first column of what a statement finds."""
        return [row[0] for row in await self.fetch(sql, parameters)]

    async def value(self, sql: str, parameters: Parameters = ()) -> Any | None:  # noqa: ANN401
        """Return the first column of the first row that a statement finds; None without a row."""
        return next(iter(await self.column(sql, parameters)), None)


class Transaction(Reader):
    """What may be asked while a transaction is open."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement and return all its rows, those of RETURNING included."""
        # All rows at once: COMMIT fails while a RETURNING has rows that nobody fetched.
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement and return how many rows it changed."""
        async with self._connection.execute(sql, parameters) as cursor:
            return cursor.rowcount

    async def changes(self, sql: str, parameters: Parameters = ()) -> bool:
        """Run one guarded UPDATE and return whether it found its row."""
        return await self.execute(sql, parameters) == 1

    async def insert(self, table: str, **columns: Value) -> Row:
        """Add a row and return it with all its columns."""
        (row,) = await self.fetch(f"{_insert(table, columns)} RETURNING *", columns)
        return row

    async def upsert(self, table: str, **columns: Value) -> None:
        """Add a row or, where there is one of its key, set these of its columns."""
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
        await self.execute(
            f"{_insert(table, columns)} ON CONFLICT DO UPDATE SET {changes}", columns
        )


class Database(Reader):
    """One connection and one lock: a transaction belongs to a connection, not to a task.

    Every call raises StorageError if the file or its disk fails.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        connection.row_factory = Row
        self._connection = connection
        self._lock = asyncio.Lock()
        self._closed = False
        self._patience = 0
        self._since = time.monotonic()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit everything that the block does, or nothing."""
        # BEGIN is inside the try: cancelled while it runs, it may have begun all the same.
        async with self._turn():
            try:
                await self._begin()
                yield Transaction(self._connection)
                await self._connection.execute("COMMIT")
            except BaseException:
                # Shielded: a second cancellation must not leave the connection inside a
                # transaction, which would be the next caller's. After a COMMIT this does nothing.
                await asyncio.shield(self._connection.rollback())
                raise

    async def transact(
        self,
        step: Callable[Concatenate[Transaction, P], Awaitable[T]],
        *arguments: P.args,
        **more: P.kwargs,
    ) -> T:
        """Return what a step does in a transaction of its own."""
        async with self.transaction() as tx:
            return await step(tx, *arguments, **more)

    async def bit_by_bit(self, step: Callable[[Transaction], Awaitable[int]], most: int) -> int:
        """Repeat a step until it changes fewer rows than it may; return how many it did in all.

        Others get their turn after each.
        """
        every = 0
        while (changed := await self.transact(step)) == most:
            every += changed
        return every + changed

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Transaction]:
        """Read one state of the database for as long as the block, even while others write."""
        async with self._turn():
            try:
                await self._connection.execute("BEGIN")
                yield Transaction(self._connection)
            finally:
                await asyncio.shield(self._connection.rollback())

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one reading statement outside any transaction and return its rows."""
        async with self._turn():
            return await Transaction(self._connection).fetch(sql, parameters)

    async def purge(self) -> None:
        """Write the journal back into the file, so that no erased data stays in it."""
        await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)")

    async def copy_to(self, target: aiosqlite.Connection) -> None:
        """Copy everything into another database."""
        async with self._turn():
            await self._connection.backup(target)

    async def close(self) -> None:
        """Let the current call end and cancel later ones: the program is ending."""
        async with self._lock:
            self._closed = True

    def held_for(self) -> float:
        """Return how long the current turn has lasted, in seconds; 0 if there is none."""
        return time.monotonic() - self._since if self._lock.locked() else 0.0

    async def _begin(self) -> None:
        """Begin a write; after one caller has waited in vain, the next do not wait as long."""
        try:
            await self._wait_for(self._patience or BUSY_TIMEOUT)
            await self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            await self._wait_for(BUSY_TIMEOUT_WHILE_HELD)
            raise
        await self._wait_for(BUSY_TIMEOUT)

    async def _wait_for(self, patience: int) -> None:
        if patience != self._patience:
            # A PRAGMA takes no parameter; the number is ours.
            await self._connection.execute(f"PRAGMA busy_timeout = {patience}")
            self._patience = patience

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._lock:
            # Cancelled, not refused: whoever comes after the end is a task that is ending too, and
            # has nobody left to tell.
            if self._closed:
                raise asyncio.CancelledError("the database is closed")
            self._since = time.monotonic()
            try:
                yield
            except sqlite3.DatabaseError as error:
                # Of these types exactly: IntegrityError and ProgrammingError are subclasses, and
                # bugs of ours.
                if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
                    raise _explained(error) from error
                raise


def _insert(table: str, columns: Iterable[str]) -> str:
    # No name comes from outside: tables and columns are as their modules write them.
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES (:{', :'.join(columns)})"  # noqa: S608


def _explained(error: sqlite3.DatabaseError) -> StorageError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError("Another program is holding the database.", busy=True)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        told = f"The database is damaged: {error}. Stop the bot and run `python -m bot doctor`."
        return StorageError(told, damaged=True)
    return StorageError(f"The database cannot be used: {error}.")
