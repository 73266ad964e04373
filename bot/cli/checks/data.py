"""Whether DATA_DIR can be used, and whether what is in it is whole."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bot.cli.backup import DATABASE_NAME
from bot.cli.checks.check import Check, bad, good, note
from bot.config import Config
from bot.errors import OperatorError
from bot.retention import archive, disk
from bot.rules.wording import counted
from bot.tables import opening, state, takes, tallies

FREE_GIGABYTES = 2.0
"""Disk space that should be free for audio and the database, in GB."""

OTHERS_PERMISSIONS = 0o077
"""Permissions of everyone but a file's owner."""


def secret(file: Path) -> Iterator[Check]:
    """Warn if others can read a file that holds the token."""
    with suppress(OSError):
        if file.stat().st_mode & OTHERS_PERMISSIONS:
            found = f"others on this machine can read {file.absolute()}, and the token in it"
            yield note("Secrets", found, f"`chmod 600 {file}`")


def folder(config: Config) -> Iterator[Check]:
    """Check that the folder, or the nearest one above it that exists, takes files and locks."""
    wanted = config.data_dir.absolute()
    existing = next(path for path in (wanted, *wanted.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            opening.lock(file.fileno(), existing)
        yield good("Data folder", f"{wanted} is writable")
    except OSError as error:
        found = f"{existing} is not writable: {error.strerror}"
        yield bad("Data folder", found, "set DATA_DIR to a writable folder")
    except OperatorError as error:
        yield bad("Data folder", str(error), "set DATA_DIR to a folder on a local disk")
    free = shutil.disk_usage(existing).free / 1e9
    if free >= FREE_GIGABYTES:
        yield good("Free disk", f"{free:.1f} GB")
    else:
        yield note("Free disk", f"{free:.1f} GB", f"free up {FREE_GIGABYTES:g} GB for audio")


def rows(config: Config) -> Check:
    """Check that the database is whole, private and free."""
    path = config.data_dir / DATABASE_NAME
    if not path.is_file():
        return good("Database", "none yet; `run` creates it")
    try:
        found = asyncio.run(_state(path))
    except OperatorError as error:
        damaged = getattr(error.__cause__, "damaged", False)
        remedy = "`python -m bot restore FILE`" if damaged else "give the bot access to it"
        return bad("Database", str(error), remedy)
    if path.stat().st_mode & OTHERS_PERMISSIONS:
        return note("Database", found, f"`chmod 600 {path}`: others on this machine can read it")
    if opening.is_held(path):
        found = f"{found}; another program has been holding it for seconds"
        remedy = "close whatever has it open, such as a database browser"
        return note("Database", found, remedy)
    return good("Database", found)


async def _state(path: Path) -> str:
    await opening.check(path)
    async with opening.reading(path) as opened:
        counts = await tallies.counts(opened)
        paused = await state.paused(opened)
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no pieces yet"
    why = "" if paused is None else f"; paused: {paused or 'no reason given'}"
    return f"intact; {told}{why}"


def music(config: Config) -> Iterator[Check]:
    """Check how much music is kept, and that files and rows know of each other."""
    audio = config.data_dir / disk.AUDIO
    if audio.exists() and not os.access(audio, os.R_OK | os.W_OK | os.X_OK):
        remedy = "give it to the user that runs the bot (`chown -R`)"
        yield bad("Kept music", f"{audio} is not readable and writable", remedy)
        return
    files = disk.music(config.data_dir)
    kept = sum(files.values()) / 1e9
    found = (
        f"{kept:.1f} GB in {counted(len(files), 'file')}; at most {config.keep_gb} GB and "
        f"{counted(config.keep_days, 'day')}"
    )
    if kept <= config.keep_gb:
        yield good("Kept music", found)
    else:
        remedy = "the running bot removes what has been delivered; the rest waits for Discord"
        yield note("Kept music", found, remedy)
    with suppress(OperatorError):  # what is wrong with the database is told by its own line
        yield from asyncio.run(_compared(config.data_dir))


async def _compared(data: Path) -> list[Check]:
    """Report music that the database does not mention, and music that is missing."""
    path = data / DATABASE_NAME
    if not path.is_file():
        return []
    async with opening.reading(path) as opened:
        unnamed = await archive.strays(opened, data)
        for name in await archive.leftovers(opened, unnamed):
            del unnamed[name]
        gone = dict.fromkeys(await takes.files(opened) - disk.music(data).keys(), 0)
    return [*_unnamed(data, unnamed), *_gone(sorted(disk.by_job(gone)))]


def _unnamed(data: Path, unnamed: Mapping[str, int]) -> Iterator[Check]:
    aside = disk.sizes(data / disk.ORPHANS)
    if unnamed or aside:
        size = (sum(unnamed.values()) + sum(aside.values())) / 1e9
        files = counted(len(unnamed), "file")
        found = f"{files} in {disk.AUDIO}, {len(aside)} in {disk.ORPHANS}, {size:.1f} GB"
        remedy = "from another or an older database; the bot leaves them alone: delete or keep them"
        yield note("Unknown music", found, remedy)


def _gone(numbers: Sequence[int]) -> Iterator[Check]:
    if numbers:
        some = ", ".join(f"#{number}" for number in numbers[:10])
        found = f"files of {counted(len(numbers), 'piece')} are gone: {some}"
        yield note(
            "Lost music", found, "restore them from a copy of DATA_DIR/audio, if you have one"
        )
