"""What Numba compiled is kept for the next start, and forgotten as soon as its sources change."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.engine.musicgen import compiling

ATTENDING = """
import hashlib, sys
sys.executable = sys.argv[1]
import numpy as np
from bot.engine.musicgen.cpu_kernels import Past, music
some, rows = np.random.default_rng(0), np.arange(3)
halves = some.standard_normal((2, 3, 2, 2, 120, 64), np.float32).view(np.uint32) >> 16
past = Past(halves.astype(np.uint16), np.ones((2, 1, 1, 8, 64), np.uint16), rows)
parts, found = some.standard_normal((2, 3, 3, 2, 64), np.float32), np.empty((2, 3, 2, 64), "f4")
music(past, rows, rows + 100, parts, found, np.empty((2, 120), np.float32))
stats = music.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
print(hashlib.sha256(found).hexdigest())
"""


COUNTING = f"""#!/bin/sh
echo once >> "$(dirname "$0")/compiled"
exec "{sys.executable}" "$@"
"""
"""Stands for the Python that compiles, and counts how often it does."""


def attend(root: Path, *, starts: int = 1) -> list[list[str]]:
    """Start so many at once; return of each what was compiled before, and the digest it found."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(root)}
    command = (sys.executable, "-c", ATTENDING, root.parent / "python")
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": environment}
    begun = [subprocess.Popen(command, **pipe) for _ in range(starts)]
    return [each.communicate()[0].splitlines() for each in begun]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """Where it is kept, and what two engines found that started at once for the first time."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "python").write_text(COUNTING)
    (folder / "python").chmod(0o755)
    return folder / "kept", attend(folder / "kept", starts=2)


def test_a_first_start_computes_to_the_last_bit_what_all_that_follow_do(
    first: tuple[Path, list[list[str]]],
) -> None:
    root, found = first
    assert found[0] == found[1]
    assert found[0][0] == "1 0", "compiled by a process of its own"
    kept = {path: path.stat().st_mtime_ns for path in root.rglob("*.nbc")}
    assert kept
    assert attend(root) == found[:1]
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.nbc")} == kept


def test_engines_that_start_at_once_have_a_kernel_compiled_once(
    first: tuple[Path, list[list[str]]],
) -> None:
    root, _ = first
    assert len((root.parent / "compiled").read_text().splitlines()) == 1


def test_a_start_that_can_keep_nothing_compiles_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = attend(tmp_path / "file", starts=2)
    assert found[0] == found[1]
    assert found[0][0] == "0 1"


def test_what_other_libraries_keep_stays_where_they_keep_it() -> None:
    """Else a change of ours would have all of theirs compiled again."""
    assert os.environ.get("NUMBA_CACHE_DIR", "") == compiling.NUMBA_SETTINGS.CACHE_DIR


COMPILED = sorted(
    room.name
    for room in Path(compiling.__file__).parent.glob("*.py")
    if re.search(r"^(import|from) numba", room.read_text(), re.MULTILINE)
)


def test_a_change_in_anything_that_numba_compiles_is_another_state(tmp_path: Path) -> None:
    assert len(COMPILED) > 5
    for room in COMPILED:
        (tmp_path / room).write_text("a")
    states = {compiling.folder(tmp_path, tmp_path)}
    for room in COMPILED:
        (tmp_path / room).write_text("b")
        states.add(compiling.folder(tmp_path, tmp_path))
    assert len(states - {None}) == 1 + len(COMPILED)
