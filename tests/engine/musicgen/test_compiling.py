"""What Numba compiled is kept for the next start, and forgotten as soon as its sources change."""

import os
import subprocess
import sys
from pathlib import Path

from bot.engine.musicgen import compiling

ATTENDING = """
import numpy as np
from bot.engine.musicgen.cpu_kernels import words
query, lengths, scores = (np.ones(shape, np.float32) for shape in ((1, 64), (1,), (1, 8)))
cache, found = np.ones((2, 1, 1, 8, 64), np.uint16), np.ones((1, 1, 64), np.float32)
rows = np.zeros(1, np.int64)
words(query, cache, rows, lengths.astype(np.int64), scores, found)
print(sum(words.stats.cache_hits.values()), sum(words.stats.cache_misses.values()))
"""


def attend(root: Path) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(root)}
    command = (sys.executable, "-c", ATTENDING)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    assert attend(tmp_path) == "0 1"
    assert attend(tmp_path) == "1 0"


def test_a_start_that_can_keep_nothing_compiles_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert attend(tmp_path / "file") == "0 1"


def test_a_change_in_any_of_the_sources_is_another_state(tmp_path: Path) -> None:
    for room in compiling.ROOMS:
        (tmp_path / room).write_text("a")
    states = {compiling.folder(tmp_path, tmp_path)}
    for room in compiling.ROOMS:
        (tmp_path / room).write_text("b")
        states.add(compiling.folder(tmp_path, tmp_path))
    assert len(states - {None}) == 1 + len(compiling.ROOMS)


def test_all_that_is_compiled_counts_as_a_source() -> None:
    rooms = Path(compiling.__file__).parent
    decorated = {
        room.name
        for room in rooms.glob("*.py")
        if any(f"\n@{how}\n" in room.read_text() for how in ("small", "alone", "together"))
    }
    assert decorated | {"compiling.py"} == {*compiling.ROOMS}
