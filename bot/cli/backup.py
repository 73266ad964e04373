"""Copying the database to one file, or to a folder with its music, and restoring it."""

import asyncio
import errno
import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.engine.files.regular import opened
from bot.engine.files.wav import PARTIAL_SUFFIX
from bot.errors import OperatorError
from bot.retention import disk, ownership
from bot.retention.archive import strays
from bot.tables import jobs, state, takes
from bot.tables.database import Reader
from bot.tables.opening import check, copy, exclusive, open_database, reading

DATABASE_NAME = "fantasia.db"


async def backup(folder: Path, target: Path) -> None:
    """Write the database of a data folder to a new file; the bot may be running meanwhile.

    Raises OperatorError if there is such a file, or it cannot be written.
    """
    with _appearing(target) as part:
        await copy(folder / DATABASE_NAME, _private(part))
        _synced(part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """How many files of music a backup holds, and the pieces that it names and has none of."""

    files: int
    lost: tuple[int, ...]


async def backup_with_music(folder: Path, target: Path) -> Saved:
    """Write the database and the music that it names to a new folder, also while the bot runs.

    A file is not written again once it is named, so that a second name for it, on the same disk,
    is as good as a copy. Raises OperatorError if there is such a folder, or it cannot be written.
    """
    with _appearing(target) as part:
        part.mkdir(mode=0o700)
        await copy(folder / DATABASE_NAME, _private(part / DATABASE_NAME))
        _synced(part / DATABASE_NAME)
        async with reading(part / DATABASE_NAME) as database:
            named, music = await _named(database), await takes.files(database)
        saved = await asyncio.to_thread(_all_copied, folder, part, named)
    return Saved(files=len(saved), lost=_pieces(music - saved))


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Where the old database was moved, and what the restored one finds.

    `lost` are the pieces whose music it names and the folder has no more; `unnamed` is how many
    files the folder has that it does not name, and `returned` how many the backup has of it.
    """

    old: Path | None
    lost: tuple[int, ...]
    unnamed: int
    returned: int = 0


async def restore(folder: Path, source: Path, now: datetime) -> Restored:
    """Replace the database with a backup, a file or a folder, and bring back that one's music.

    Other music under the same names is set aside. Raises OperatorError if a bot is running on the
    folder, or the backup is damaged, of a newer schema, or no database at all; then nothing was
    changed.
    """
    file = source / DATABASE_NAME if source.is_dir() else source  # noqa: ASYNC240
    if not file.is_file():
        raise OperatorError(f"There is no file {file}.")
    with exclusive(folder):
        await check(file)
        part = folder / f"{DATABASE_NAME}.part"
        try:
            shutil.copyfile(file, _private(part))
            async with open_database(part) as database:
                named = await _named(database) if file != source else set()
                returned = await asyncio.to_thread(_all_copied, file.parent, folder, named)
                unnamed = await strays(database, folder)
                lost = _pieces(await takes.files(database) - disk.music(folder).keys())
            _synced(part)
            await _keep_numbers(folder)
            old = _moved(folder / DATABASE_NAME, now)
            part.rename(folder / DATABASE_NAME)
        except OSError as error:
            raise OperatorError(f"{source} cannot be restored: {error}.") from error
        finally:
            for end in ("", "-wal", "-shm"):
                part.with_name(part.name + end).unlink(missing_ok=True)
    return Restored(old=old, lost=lost, unnamed=len(unnamed), returned=len(returned))


async def _named(reader: Reader) -> set[str]:
    """Return the names of all files of pieces, within the data folder."""
    named = await takes.files(reader) | await jobs.pictures(reader)
    return {name for name in named if disk.OURS.fullmatch(name)}


def _pieces(names: Iterable[str]) -> tuple[int, ...]:
    return tuple(sorted(disk.by_job(dict.fromkeys(names, 0))))


def _all_copied(source: Path, target: Path, names: set[str]) -> set[str]:
    """Give a folder the files of another by name, and return those that this one has.

    Whatever else has such a name in the target is set aside; what is a link is no file.
    """
    found = names & disk.music(source).keys()
    if found:
        (target / disk.AUDIO).mkdir(mode=0o700, exist_ok=True)
    for name in sorted(found):
        try:
            _copied(source / name, target, name)
        except FileNotFoundError:  # it was removed meanwhile
            found.remove(name)
    return found


def _copied(source: Path, folder: Path, name: str) -> None:
    target = folder / name
    if os.path.lexists(target):
        if not target.is_symlink() and filecmp.cmp(source, target, shallow=False):
            return
        disk.set_aside(folder, [name])
        if os.path.lexists(target):
            raise OSError(errno.EEXIST, "It could not be set aside", str(target))
    part = folder / f"{name}{PARTIAL_SUFFIX}"
    part.unlink(missing_ok=True)
    try:
        os.link(source, part, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without links
        with opened(source) as file, _private(part).open("wb") as copied:
            shutil.copyfileobj(file, copied)
            copied.flush()
            os.fsync(copied.fileno())
    part.rename(target)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Yield a place for what the target is to be: it is there once all is written, or not at all.

    Raises OperatorError if there is such a target, or it cannot be written.
    """
    if target.exists():
        raise OperatorError(f"{target} already exists and is not overwritten: give another name.")
    part = target.with_name(f"{target.name}.part")
    try:
        _remove(part)
        yield part
        part.rename(target)
    except OSError as error:
        raise OperatorError(f"The backup {target} cannot be written: {error}.") from error
    finally:
        with suppress(OSError):
            _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


async def _keep_numbers(folder: Path) -> None:
    """Note what numbers were given, so that the restored database gives none of them again."""
    mark = ownership.read_mark(folder)
    given = mark.given if mark else 0
    with suppress(OperatorError):  # a damaged one, which is why another takes its place
        async with reading(folder / DATABASE_NAME) as database:
            given = max(given, await state.highest(database))
    ownership.write_mark(folder, ownership.Mark(database="", given=given))


def _moved(path: Path, now: datetime) -> Path | None:
    """Move a database away, with the journal that belongs to it."""
    aside = disk.free(path.with_name(f"{path.name}.before-{now:%Y%m%d-%H%M%S}"))
    # A journal that stayed behind would be played into the database that takes this one's place.
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
