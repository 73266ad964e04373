"""A plugin of pytest that writes down how long each test took, or holds each to its limit."""

import json
import os
import sys
from collections import defaultdict
from functools import _lru_cache_wrapper
from pathlib import Path

import pytest

RECORD = "MUTANTS_RECORD"
"""The variable that names the file."""

PATIENT = "MUTANTS_LIMITS"
"""The variable that names the file with the seconds that each test has."""

STATUS = pytest.StashKey[int]()

_seconds: dict[str, float] = defaultdict(float)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test that hangs fail soon."""
    if PATIENT in os.environ:
        limits = json.loads(Path(os.environ[PATIENT]).read_text(encoding="utf-8"))
        for item in items:
            item.add_marker(pytest.mark.timeout(limits[item.nodeid]))


def pytest_runtest_setup() -> None:
    """Let each test run what it asks for: what an earlier one had cached would count as its own."""
    if RECORD in os.environ:
        forget_cached()


def forget_cached() -> None:
    """Empty the caches of the program's functions."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("bot", "cogs"):
            for each in vars(module).values():
                if isinstance(each, _lru_cache_wrapper):
                    each.cache_clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add what a test's set-up, call or end took."""
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write it down, once for all processes."""
    session.config.stash[STATUS] = int(exitstatus)
    if RECORD in os.environ and not hasattr(session.config, "workerinput"):
        Path(os.environ[RECORD]).write_text(json.dumps(_seconds), encoding="utf-8")


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End at once: what a mutant left open, such as a database's thread, would not let it end."""
    if PATIENT in os.environ:
        sys.stdout.flush()
        os._exit(config.stash.get(STATUS, pytest.ExitCode.INTERNAL_ERROR))
