"""Which database a data folder belongs to, so that another one removes nothing from it."""

import asyncio
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bot.tables import state
from bot.tables.database import Database

log = logging.getLogger(__name__)

MARK = "numbers.json"

UNSEEN_NUMBERS = 1000
"""How many job numbers a lost database may have assigned since the folder was marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a data folder remembers of its database: its id, and the highest number given by it.

    So it recognises another database, an older copy, or one that lost its last writes.
    """

    database: str
    given: int


def read_mark(folder: Path) -> Mark | None:
    """Return a data folder's mark; None if there is no readable one."""
    try:
        return msgspec.json.decode((folder / MARK).read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        log.warning("%s cannot be read: %s", folder / MARK, error)
        return None


def write_mark(folder: Path, mark: Mark) -> None:
    """Write a data folder's mark, whole or not at all; raise OSError where that cannot be done."""
    part = folder / f"{MARK}.part"
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opened, "wb") as file:
        file.write(msgspec.json.encode(mark))
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave the new name with nothing in it
    part.rename(folder / MARK)


class Ownership:
    """Keeps a data folder and its database in step, by a mark in the folder."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._marked: Mark | None = None

    async def settled(self, highest: int) -> bool:
        """Whether the folder last had this database, as it is now; if not, number above all seen.

        `highest` is the highest number that a file has.
        """
        mark = await asyncio.to_thread(read_mark, self._folder)
        async with self._database.transaction() as tx:
            name, given = await state.database_name(tx), await state.highest(tx)
            seen = max(highest, mark.given if mark else 0)
            known = (mark.database if mark else None) == name
            if name is None:
                await state.name_database(tx, secrets.token_hex(8))
            if given < seen or (mark and not known):
                # A number that is assigned twice would give its files to the wrong member.
                await state.numbered_above(tx, seen + UNSEEN_NUMBERS)
                log.warning(
                    "DATA_DIR had another database, or a newer one; numbering continues above #%d",
                    max(given, seen + UNSEEN_NUMBERS),
                )
        return known and given >= seen

    async def mark(self) -> None:
        """Write down in the folder which database it has and what numbers that gave."""
        name = await state.database_name(self._database)
        mark = Mark(database=name or "", given=await state.highest(self._database))
        if mark != self._marked:
            try:
                await asyncio.to_thread(write_mark, self._folder, mark)
                self._marked = mark
            except OSError as error:
                log.error("%s cannot be written: %s", self._folder / MARK, error.strerror)
