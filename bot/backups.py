"""A copy of the database in one file, and putting it back."""

import os
import shutil
from datetime import datetime
from pathlib import Path

from bot.database import check, copy, exclusive
from bot.errors import OperatorError

NAME = "fantasia.db"


async def backup(folder: Path, target: Path) -> None:
    """Write the database of a data folder to a new file; the bot may be running meanwhile.

    Raises OperatorError if there is such a file, or it cannot be written.
    """
    if target.exists():  # noqa: ASYNC240
        raise OperatorError(f"{target} exists and is not overwritten: name another file.")
    part = target.with_name(f"{target.name}.part")
    try:
        await copy(folder / NAME, _private(part))
        _synced(part)
        part.rename(target)
    except OSError as error:
        raise OperatorError(f"The backup {target} cannot be written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)


async def restore(folder: Path, source: Path, now: datetime) -> Path | None:
    """Put a backup in the place of the database, and return where the old one was moved.

    Raises OperatorError if a bot is running on the folder, or the backup is damaged, of a newer
    schema, or no database at all; then nothing was changed.
    """
    if not source.is_file():  # noqa: ASYNC240
        raise OperatorError(f"There is no file {source}.")
    with exclusive(folder):
        await check(source)
        part = folder / f"{NAME}.part"
        try:
            shutil.copyfile(source, _private(part))
            _synced(part)
            old = _moved(folder / NAME, now)
            part.rename(folder / NAME)
        except OSError as error:
            raise OperatorError(f"{source} cannot be restored: {error}.") from error
        finally:
            part.unlink(missing_ok=True)
    return old


def _moved(path: Path, now: datetime) -> Path | None:
    """Move a database away, with the journal that belongs to it."""
    aside = path.with_name(f"{path.name}.before-{now:%Y%m%d-%H%M%S}")
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
