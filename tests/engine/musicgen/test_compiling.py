"""What Numba compiled is kept for the next start, and forgotten as soon as its sources change."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bot.engine.musicgen import compiling

ATTENDING = """
import numpy as np
from bot.engine.musicgen.cpu_kernels import Past, words
rows, cache = np.zeros(1, np.int64), np.ones((2, 1, 1, 8, 64), np.uint16)
query, said = np.ones((2, 1, 1, 64), np.float32)
past = Past(cache[:, :, None], cache, rows + 1)
words(past, rows, query, said, np.ones((1, 8), np.float32))
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
