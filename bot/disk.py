"""What the kept music takes on the disk."""

import os
from contextlib import suppress
from pathlib import Path


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each file of a folder, by name; there are none where it is missing."""
    found: dict[str, int] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it was removed meanwhile
                found[entry.name] = entry.stat().st_size
    return found
