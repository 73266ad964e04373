"""The data folder: its files by name, their sizes, and their removal."""

import logging
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from bot.engine.files.regular import opened
from bot.engine.files.wav import PARTIAL_SUFFIX
from bot.values import Job

log = logging.getLogger(__name__)

AUDIO = "audio"
ORPHANS = "orphans"
OURS = re.compile(
    r"audio/([0-9]{1,12})-(?:[0-9]+\.(?:wav|npy|preview\.wav)|picture\.png)(?:\.part)?"
)
"""How the files of jobs are named."""


def take_file(job: Job, number: int, kind: str) -> str:
    """Return the name of a take's file within the data folder."""
    return f"{AUDIO}/{job.id}-{number}.{kind}"


def picture(job: Job) -> str:
    """Return the name of a job's picture within the data folder."""
    return f"{AUDIO}/{job.id}-picture.png"


def files_of(job: Job) -> list[str]:
    """Return the names of all files that an engine may leave of a job, within the data folder."""
    takes = range(1, job.request.takes + 1)
    kinds = ("wav", "npy", "preview.wav")
    names = [take_file(job, number, kind) for number in takes for kind in kinds]
    return [f"{name}{half}" for name in (*names, picture(job)) for half in ("", PARTIAL_SUFFIX)]


def read(path: Path) -> bytes:
    """Return what a regular file holds; raise OSError for anything else."""
    with opened(path) as file:
        return file.read()


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each regular file of a folder, by name; none where it cannot be read.

    Folders and links in it are skipped.
    """
    found: dict[str, int] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it was removed meanwhile
                if entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def music(folder: Path) -> dict[str, int]:
    """Return the bytes of all regular files with music, by their names within a data folder."""
    return {f"{AUDIO}/{name}": size for name, size in sizes(folder / AUDIO).items()}


def by_job(music: Mapping[str, int]) -> dict[int, int]:
    """Return the bytes of each job's files, by the number with which their names begin."""
    found: dict[int, int] = {}
    for name, size in music.items():
        if ours := OURS.fullmatch(name):
            found[int(ours[1])] = found.get(int(ours[1]), 0) + size
    return found


def unlinked(folder: Path, names: Iterable[str]) -> list[str]:
    """Remove files of a data folder by name, and return those that are gone."""
    gone = []
    for name in names:
        try:
            # Whatever a row says, nothing but what lies directly in the folder of music is removed.
            if PurePosixPath(name).parent == PurePosixPath(AUDIO):
                (folder / name).unlink(missing_ok=True)
            gone.append(name)
        except OSError as error:
            log.error("%s cannot be removed: %s", folder / name, error.strerror)
    return gone


def free(path: Path) -> Path:
    """Return a free name for a path: itself, or with a number appended."""
    tried, number = path, 1
    while tried.exists() or tried.is_symlink():
        tried, number = path.with_name(f"{path.name}.{number}"), number + 1
    return tried


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Move files of a data folder to its orphans, where they overwrite nothing."""
    orphans = folder / ORPHANS
    for name in names:
        try:
            # Inside the loop: only when there is something to move does the folder come to be.
            orphans.mkdir(mode=0o700, exist_ok=True)
            shutil.move(folder / name, free(orphans / PurePosixPath(name).name))
        except OSError as error:
            log.error("%s cannot be moved to %s: %s", folder / name, orphans, error.strerror)


def without_copies(folder: Path) -> None:
    """Remove the folders in which a bot that was killed made copies; links are not followed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("tmp") and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry, ignore_errors=True)
