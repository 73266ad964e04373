"""The command line, run as a program of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

TOKEN = "MTA5OTk5OTk5OTk5OTk5OTk5OQ.GabcdE." + "x" * 38

PYTHONS = re.compile(
    r"Traceback|Error\b|invalid \w+ value|NoneType|<\w+|\b(?:int|float|str|PosixPath)\b|\b_\w"
)
"""What no sentence for people has."""


def bot(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in an empty folder, with a hub cache that is empty and offline."""
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    empty = {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        cwd=folder,
        env={**keep, **empty, "PYTHONPATH": str(Path.cwd()), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def explained(done: subprocess.CompletedProcess[str]) -> str:
    """What a failure that the person can mend says, in one sentence."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
