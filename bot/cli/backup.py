"""Copying the database to one file, and restoring it."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.errors import OperatorError
from bot.retention import disk, ownership
from bot.retention.archive import strays
from bot.tables import jobs, takes
from bot.tables.opening import check, copy, exclusive, open_database, reading

DATABASE_NAME = "fantasia.db"


async def backup(folder: Path, target: Path) -> None:
    """Write the database of a data folder to a new file; the bot may be running meanwhile.

    Raises OperatorError if there is such a file, or it cannot be written.
    """
    if target.exists():  # noqa: ASYNC240
        raise OperatorError(f"{target} already exists and is not overwritten: give another name.")
    part = target.with_name(f"{target.name}.part")
    try:
        await copy(folder / DATABASE_NAME, _private(part))
        _synced(part)
        part.rename(target)
    except OSError as error:
        raise OperatorError(f"The backup {target} cannot be written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Where the old database was moved, and what the restored one does not find.

    `lost` are the pieces whose music it names and the folder has no more; `unnamed` is how many
    files the folder has that it does not name.
    """

    old: Path | None
    lost: tuple[int, ...]
    unnamed: int


async def restore(folder: Path, source: Path, now: datetime) -> Restored:
    """Replace the database with a backup.

    Raises OperatorError if a bot is running on the folder, or the backup is damaged, of a newer
    schema, or no database at all; then nothing was changed.
    """
    if not source.is_file():  # noqa: ASYNC240
        raise OperatorError(f"There is no file {source}.")
    with exclusive(folder):
        await check(source)
        part = folder / f"{DATABASE_NAME}.part"
        try:
            shutil.copyfile(source, _private(part))
            lost, unnamed = await _compared(part, folder)
            _synced(part)
            await _keep_numbers(folder)
            old = _moved(folder / DATABASE_NAME, now)
            part.rename(folder / DATABASE_NAME)
        except OSError as error:
            raise OperatorError(f"{source} cannot be restored: {error}.") from error
        finally:
            for end in ("", "-wal", "-shm"):
                part.with_name(part.name + end).unlink(missing_ok=True)
    return Restored(old=old, lost=lost, unnamed=unnamed)


async def _compared(part: Path, folder: Path) -> tuple[tuple[int, ...], int]:
    """Return the pieces without their music, and the number of files that no row names."""
    async with open_database(part) as database:
        named = await takes.files(database)
        unnamed = await strays(database, folder)
    gone = dict.fromkeys(named - disk.music(folder).keys(), 0)
    return tuple(sorted(disk.by_job(gone))), len(unnamed)


async def _keep_numbers(folder: Path) -> None:
    """Note what numbers were given, so that the restored database gives none of them again."""
    mark = ownership.read_mark(folder)
    given = mark.given if mark else 0
    with suppress(OperatorError):  # a damaged one, which is why another takes its place
        async with reading(folder / DATABASE_NAME) as database:
            given = max(given, await jobs.highest(database))
    ownership.write_mark(folder, ownership.Mark(database="", given=given))


def _moved(path: Path, now: datetime) -> Path | None:
    """Move a database away, with the journal that belongs to it."""
    name, again = f"{path.name}.before-{now:%Y%m%d-%H%M%S}", 1
    aside = path.with_name(name)
    while aside.exists():
        aside, again = path.with_name(f"{name}-{again}"), again + 1
    for end in ("-wal", "-shm", ""):
        file = path.with_name(path.name + end)
        if file.exists():
            file.rename(aside.with_name(aside.name + end))
    return aside if aside.exists() else None


def _private(path: Path) -> Path:
    """Make an empty file that only its owner reads."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    return path


def _synced(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
