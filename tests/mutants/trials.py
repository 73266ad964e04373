"""Trying mutants, each in a copy of the project, by the tests that should fail."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import coverage
from cosmic_ray.testing import run_tests
from cosmic_ray.work_item import TestOutcome

from tests.mutants.areas import AREAS
from tests.mutants.recording import PATIENT, RECORD
from tests.mutants.sampling import Mutant
from tests.support.places import place_of

PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")

QUIET = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}

CLOSING = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - |$)", re.MULTILINE)
"""pytest's line for a test that failed."""

OVERDUE = "Failed: Timeout (>"
"""What pytest-timeout says of a test that it ended, which a busy machine may have caused."""

LEAST_PATIENCE, PATIENCE = 30.0, 5.0
"""Seconds, and times what the longest of a test's file takes, until it counts as failed.

Whichever is the first of a file pays for the fixtures that they share.
"""

LISTED, LIMITS = "mutants-tests.txt", "mutants-limits.json"
"""The files of a copy in which the tests stand that are asked, and the seconds that each has."""


class BrokenBaseline(Exception):
    """The tests fail without any change."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant: the test that failed, or None."""

    killer: str | None
    tests: int
    diff: str

    @property
    def survived(self) -> bool:
        """Whether nothing noticed."""
        return self.killer is None


def copy(project: Path, to: Path) -> Path:
    """Copy what git knows or would add, and return where it lies."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (project / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, to / name)
    return to


class Baseline:
    """The unchanged program's run: how long each test takes, and which lines it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        record = (folder / "record.json").read_text(encoding="utf-8")
        self._seconds: dict[str, float] = json.loads(record)
        self._lines = coverage.CoverageData(str(folder / "coverage"))
        self._lines.read()

    @classmethod
    def of(cls, project: Path, modules: Iterable[str], folder: Path) -> "Baseline":
        """Run the areas' tests in a copy of the project; raise BrokenBaseline where one fails."""
        areas = sorted({name for module in modules for name in AREAS[module]})
        folder.mkdir(parents=True, exist_ok=True)
        record = (folder / "record.json").resolve()
        record.unlink(missing_ok=True)
        command = (
            *(*PYTEST, "-n2", "--dist", "loadfile", "-p", "tests.mutants.recording"),
            *("--cov=bot", "--cov=cogs", "--cov-context=test", "--cov-report="),
            *(str(place_of(area)) for area in areas),
        )
        more = {RECORD: str(record), "COVERAGE_FILE": str((folder / "coverage").resolve())}
        ended = subprocess.run(command, cwd=project, env=QUIET | more, check=False)
        if ended.returncode:
            record.unlink(missing_ok=True)
            raise BrokenBaseline("A test fails without any mutant: that has to be mended first.")
        return cls(folder)

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests of a mutant's area that run its function, the quickest first."""
        files = {str(place_of(area)) for area in AREAS[mutant.module]}
        first, last = mutant.function
        contexts = self._contexts(mutant.path)
        found = {
            context.partition("|")[0]
            for line in range(first, last + 1)
            for context in contexts.get(line, ())
        }
        known = found & set(self._seconds)
        return sorted(
            (test for test in known if test.partition("::")[0] in files), key=self.seconds
        )

    def _contexts(self, path: Path) -> dict[int, list[str]]:
        """Return which tests run each line of a file, wherever its copy lay."""
        (measured,) = (name for name in self._lines.measured_files() if name.endswith(f"/{path}"))
        return self._lines.contexts_by_lineno(measured)

    def seconds(self, test: str) -> float:
        """Return how long a test takes."""
        return self._seconds[test]

    def patience(self, test: str) -> float:
        """Return the seconds that a test has."""
        file, _, _ = test.partition("::")
        longest = max(
            seconds for other, seconds in self._seconds.items() if other.startswith(f"{file}::")
        )
        return LEAST_PATIENCE + PATIENCE * longest


def attempt(mutant: Mutant, project: Path, baseline: Baseline) -> Result:
    """Try a mutant in a copy of the project, which is put back as it was."""
    file = project / mutant.path
    source = file.read_text(encoding="utf-8")
    changed = mutant.code(source)
    before, after = (code.splitlines(keepends=True) for code in (source, changed))
    diff = "".join(unified_diff(before, after, str(mutant.path), str(mutant.path), n=2))
    tests = {test: baseline.patience(test) for test in baseline.tests(mutant)}
    file.write_text(changed, encoding="utf-8")
    try:
        killer = _fails(project, tests) if tests else None
    finally:
        file.write_text(source, encoding="utf-8")
    return Result(killer=killer, tests=len(tests), diff=diff)


def _fails(project: Path, limits: Mapping[str, float]) -> str | None:
    """Return the first of these tests that fails within its limit, if one does."""
    (project / LISTED).write_text("\n".join(limits), encoding="utf-8")
    (project / LIMITS).write_text(json.dumps(limits), encoding="utf-8")
    command = (
        *("env", "-C", project, "OMP_NUM_THREADS=1", f"{PATIENT}={LIMITS}"),
        *(*PYTEST, "-n0", "-p", "tests.mutants.recording", f"@{LISTED}"),
    )
    outcome, output = run_tests(shlex.join(map(str, command)), sum(limits.values()))
    return None if outcome is TestOutcome.SURVIVED else _killer(output)


def _killer(output: str) -> str:
    if output == "timeout":
        return "nothing ended in time"
    if not output.strip():  # pytest says on stderr that it could not import the program
        return "nothing can be imported"
    found = CLOSING.search(output)
    if found is None and OVERDUE in output:  # while pytest wrote down what became of a test
        return "nothing ended in time"
    if found is None:
        raise RuntimeError(f"pytest ended without a test that failed:\n{output[-2000:]}")
    return f"{found[1]} (not ended in time)" if OVERDUE in output else found[1]
