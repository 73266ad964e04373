"""Fixtures for all tests, and the order in which files of them are run."""

import fcntl
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bot.app import Plan
from bot.tables.database import Database
from bot.tables.opening import open_database
from tests.support.clock import Clock
from tests.support.engines import ace, files, folders, home, mono, other, stereo  # noqa: F401  # fixtures
from tests.support.hub import hub_cache  # noqa: F401  # of all files
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS


def pytest_configure() -> None:
    """Set what this process and its children have in common."""
    # Several threads of torch's wait for each other, busily: what the machine does besides would
    # slow them down many times over.
    os.environ["OMP_NUM_THREADS"] = "1"
    # A shell lets what it starts in the background ignore Ctrl-C, and programs that tests start
    # would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Hypothesis would fail what takes more than 0.2 s once, as all may on a busy machine.
    untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("untimed", untimed)
    settings.load_profile("untimed")
    if "PYTEST_XDIST_WORKER" in os.environ:
        compile_once()


def compile_once() -> None:
    """Have Numba compile what it compiles as librosa is imported, as audiocraft does.

    It takes a third of a minute and is kept: the other processes that run tests, and all that they
    start, find it.
    """
    with Path(__file__).open() as lock, suppress(ImportError):
        fcntl.flock(lock, fcntl.LOCK_EX)
        import_module("librosa.util.utils")


LONGEST = (
    *("pieces", "model", "cuda_benchmark", "precisions", "checkpoint_file", "spills", "decoder"),
    *("crashes", "command_line", "side_by_side", "kills", "numbers", "encoder", "ledger", "soak"),
    *("gpu_kernels", "checkpoints", "compiling", "repertoire", "forged", "hostile_child"),
    *("contract", "losses"),
    *("dispatcher", "online", "start", "demo", "faults", "limits", "storage"),
)
"""Files of tests that take longest: they begin first, so that none is left over at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin; `--no-loadscope-reorder` has xdist keep to this order."""
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A new database by itself."""
    async with open_database(tmp_path / "test.db") as database:
        yield database


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A bot over the scripted child."""
    return Plan(
        folder=tmp_path / "data",
        command=SCRIPTED,
        models=("scripted",),
        defaults=(GENEROUS,),
        silence=60.0,
        pause=0.01,
    )
