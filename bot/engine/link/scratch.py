"""Folders of engines on their node, of which none outlasts its process for long."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER_PREFIX = "fantasia-engine-"


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for as long as the block, and hold it: `sweep` leaves it alone."""
    with (
        tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, ignore_cleanup_errors=True) as made,
        held(made),
    ):
        yield Path(made)


@contextmanager
def held(path: str | Path) -> Iterator[None]:
    """Hold a folder; raise BlockingIOError if another process does, which ends with it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def sweep() -> None:
    """Remove the folders of processes that were killed: there is music of members in them."""
    for path in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):
            if path.lstat().st_uid == os.getuid():
                with held(path):
                    shutil.rmtree(path, ignore_errors=True)
