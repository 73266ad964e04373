"""A plugin of pytest that writes down how long each test took."""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

RECORD = "MUTANTS_RECORD"
"""The variable that names the file."""

_seconds: dict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add what a test's set-up, call or end took."""
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write it down, once for all processes."""
    if not hasattr(session.config, "workerinput"):
        Path(os.environ[RECORD]).write_text(json.dumps(_seconds), encoding="utf-8")
