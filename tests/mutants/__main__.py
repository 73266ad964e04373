"""Mutation testing of the core: `python -m tests.mutants`, or `make mutants`.

Tried mutants are remembered in .mutants/ as long as the module, and for a survivor the tests, stay
what they are: a run that was cut short goes on where it was.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

from tests.mutants import report
from tests.mutants.areas import AREAS
from tests.mutants.sampling import MODULES, Mutant, every, path, sample
from tests.mutants.trials import Baseline, BrokenBaseline, Result, attempt, copy
from tests.support.places import place_of

FOLDER = Path(".mutants")


class Memory:
    """What became of mutants in this run and in earlier ones."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Result] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                key = entry.pop("key")
                self._known[key] = Result(**entry)

    def find(self, mutant: Mutant, source: str) -> Result | None:
        """Return what is known of a mutant: for good of a dead one, else of these tests."""
        keys = _key(mutant, source), _key(mutant, source + _tests(mutant.module))
        return next((self._known[key] for key in keys if key in self._known), None)

    def keep(self, mutant: Mutant, source: str, result: Result) -> None:
        """Write down what became of a mutant."""
        with_tests = source + _tests(mutant.module) if result.survived else source
        key = _key(mutant, with_tests)
        self._known[key] = result
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **asdict(result)}) + "\n")


def _key(mutant: Mutant, text: str) -> str:
    return f"{mutant.module} {mutant.operator} {mutant.occurrence} {_digest(text)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _tests(module: str) -> str:
    files = (place_of(area) for area in AREAS[module])
    return "".join(file.read_text(encoding="utf-8") for file in files)


@contextmanager
def copies(number: int) -> Iterator["Queue[Path]"]:
    """Have so many copies of the project for as long as the block."""
    free: Queue[Path] = Queue()
    with TemporaryDirectory(prefix="mutants-") as folder:
        for at in range(number):
            free.put(copy(Path.cwd(), Path(folder, str(at))))
        yield free


def baseline(modules: list[str], free: "Queue[Path]") -> Baseline:
    """Return the unchanged program's run, of these very sources and tests."""
    texts = [path(module).read_text(encoding="utf-8") + _tests(module) for module in modules]
    folder = FOLDER / f"baseline-{_digest(''.join(texts))}"
    if (folder / "record.json").exists():
        return Baseline(folder)
    print("First the tests without a mutant ...", flush=True)
    project = free.get()
    try:
        return Baseline.of(project, modules, folder)
    finally:
        free.put(project)


def main() -> int:
    """Return 1 where the tests fail by themselves, or the time was over before all were tried."""
    given = arguments()
    modules = [given.module] if given.module else list(MODULES)
    sources = {module: path(module).read_text(encoding="utf-8") for module in modules}
    if given.module:
        chosen = list(every(given.module, sources[given.module]))
    else:
        chosen = sample(sources, given.sample, given.seed)
    FOLDER.mkdir(exist_ok=True)
    memory = Memory(FOLDER / "results.jsonl")
    over = time.monotonic() + 60 * given.minutes
    print(f"{len(chosen)} mutants, seed {given.seed}", flush=True)
    with copies(given.workers) as free:
        try:
            held_by = baseline(modules, free)
        except BrokenBaseline as error:
            print(error)
            return 1

        def tried(mutant: Mutant) -> None:
            if memory.find(mutant, sources[mutant.module]) or time.monotonic() > over:
                return
            project = free.get()
            try:
                result = attempt(mutant, project, held_by)
            finally:
                free.put(project)
            memory.keep(mutant, sources[mutant.module], result)
            print(report.line(mutant, result), flush=True)

        with ThreadPoolExecutor(given.workers) as pool:
            list(pool.map(tried, chosen))
    results = [(mutant, memory.find(mutant, sources[mutant.module])) for mutant in chosen]
    told = report.whole([(mutant, result) for mutant, result in results if result])
    (FOLDER / "report.md").write_text(told, encoding="utf-8")
    print(told)
    left = sum(result is None for _, result in results)
    if left:
        print(f"{left} were not tried in {given.minutes:g} minutes; run it again to go on.")
    return int(left > 0)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--module", choices=MODULES, help="all mutants of one module")
    parser.add_argument("--sample", type=int, default=150, help="how many, over all modules")
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--minutes", type=float, default=90, help="none is begun after that")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
