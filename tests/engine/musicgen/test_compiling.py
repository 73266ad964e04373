"""What Numba compiled is kept for the next start, and forgotten as soon as its sources change."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bot.engine.musicgen import compiling

ATTENDING = """
import hashlib
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


def attend(root: Path) -> tuple[str, str]:
    """Return what was compiled before and what was not, and the digest of what was found."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(root)}
    command = (sys.executable, "-c", ATTENDING)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    compiled, found = done.stdout.splitlines()
    return compiled, found


def test_a_first_start_computes_to_the_last_bit_what_all_that_follow_do(tmp_path: Path) -> None:
    first, found = attend(tmp_path)
    assert first == "1 0", "compiled by a process of its own"
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert kept
    assert attend(tmp_path) == ("1 0", found)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == kept


def test_a_start_that_can_keep_nothing_compiles_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    compiled, found = attend(tmp_path / "file")
    assert compiled == "0 1"
    assert attend(tmp_path / "file") == (compiled, found)


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
