"""What the kept music takes on the disk."""

import os
from contextlib import suppress
from pathlib import Path


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each file of a folder, by name; none where it cannot be read."""
    found: dict[str, int] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it was removed meanwhile
                found[entry.name] = entry.stat().st_size
    return found
