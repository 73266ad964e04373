"""Where a file of tests lies, by its name alone: each stands once below `tests`."""

from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def place_of(name: str) -> Path:
    """Return the path, from the project's root, of `test_NAME.py`."""
    (found,) = ROOT.glob(f"tests/**/test_{name}.py")
    return found.relative_to(ROOT)
