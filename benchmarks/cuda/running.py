"""The program: one section after another, each in its time, and none that fails hides another."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from benchmarks.cuda import (
    acestep,
    admission,
    attention,
    captures,
    child,
    codec,
    crowded,
    faithful,
    graphs,
    kernels,
    limits,
    speed,
    spills,
    tokens,
)
from benchmarks.cuda.card import GIB, card
from benchmarks.cuda.stage import FULL, TINY, Stage
from benchmarks.report import RESULTS, Row, show, write
from bot.engine.hardware import devices

OUT = RESULTS.with_name("results-cuda.json")

Section = Callable[[Stage], Iterator[Row]]

SECTIONS: dict[str, tuple[Section, float]] = {
    "limits": (limits.rows, 20),
    "tokens": (tokens.rows, 60),
    "graphs": (graphs.rows, 45),
    "spills": (spills.rows, 60),
    "small": (speed.small, 60),
    "crowded": (crowded.rows, 110),
    "child": (child.rows, 110),
    "large": (speed.large, 60),
    "kernels": (kernels.rows, 40),
    "attention": (attention.rows, 40),
    "faithful": (faithful.rows, 45),
    "captures": (captures.rows, 45),
    "codec": (codec.rows, 45),
    "admission": (admission.rows, 60),
    "acestep": (acestep.rows, 100),
}
"""The most telling first, as time may run out, with the seconds that each may take."""


SHORTEST = 2.0
"""Seconds that no section is begun for."""


class TooLong(BaseException):
    """Raised in a section whose time is over; no handler of errors keeps it."""


@dataclass(kw_only=True)
class Outcome:
    """What became of a section."""

    name: str
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    cut: bool = False
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing failed or missed what it must reach; what was cut is not shown."""
        return not self.problem and all(row.reached for row in self.rows)


def main(arguments: Sequence[str]) -> int:
    """Return 1 where a section fails or misses what must be reached, 2 for what cannot begin."""
    options = _parser().parse_args(arguments)
    if problem := _refused(options):
        print(problem, file=sys.stderr)
        return 2
    until = time.monotonic() + options.budget
    outcomes, lost = _played(options, until)
    if lost:  # for this process alone
        again = ["--resume", "--budget", str(until - time.monotonic())]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "cuda", *arguments, *again]
        os.execv(sys.executable, command)
    return int(not all(outcome.good for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks cuda", description=__doc__)
    names = ", ".join(SECTIONS)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="little of everything, as a trial")
    parser.add_argument("--out", type=Path, default=OUT, help="the file for the results")
    parser.add_argument("--budget", type=float, default=480, help="seconds for everything")
    parser.add_argument("--only", type=_names, default=[*SECTIONS], help=f"some of {names}")
    parser.add_argument("--skip", type=_names, default=[], help="sections to leave out")
    parser.add_argument(
        "--resume", action="store_true", help="keep what the file has, and do what it lacks"
    )
    return parser


def _names(words: str) -> list[str]:
    names = words.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        raise argparse.ArgumentTypeError(f"no section is called {unknown[0]!r}")
    return names


def _refused(options: argparse.Namespace) -> str | None:
    """Return why this machine cannot do it, in a sentence."""
    if options.device == "cpu":
        return None if options.tiny else "A processor is only for a trial: add --tiny."
    if not torch.cuda.is_available():
        return "torch finds no CUDA GPU here: `--tiny --device cpu` tries the program without one."
    problem = devices.unfit()
    return problem and f"This GPU cannot be measured: {problem}."


def _played(options: argparse.Namespace, until: float) -> tuple[list[Outcome], bool]:
    """Go through the sections; return what became of them, and whether the GPU was lost."""
    place = card(options.device)
    devices.device(options.device)  # sets torch as the engine wants it
    bandwidth = place.bandwidth(2**22 if options.tiny else 2 * GIB)
    machine = {**place.told(), "bandwidth": f"{bandwidth / 1e12:.3f} TB/s copied, measured"}
    outcomes = _resumed(options.out) if options.resume else []
    done = {outcome.name for outcome in outcomes} | set(options.skip)
    with tempfile.TemporaryDirectory() as folder:
        scale = TINY if options.tiny else FULL
        stage = Stage(card=place, scale=scale, bandwidth=bandwidth, folder=Path(folder))
        for name in options.only:
            if name not in done:
                outcomes.append(_section(name, stage, until - time.monotonic()))
                _keep(outcomes, machine, options.out)
                if not place.works():
                    return outcomes, True
    print(f"\n{_told(outcomes, machine)}")
    return outcomes, False


def _section(name: str, stage: Stage, left: float) -> Outcome:
    """Go through a section; what it yielded before it failed is kept."""
    rows, most = SECTIONS[name]
    outcome, begun = Outcome(name=name), time.monotonic()
    if left < SHORTEST:
        outcome.cut = True
        return outcome
    try:
        with _within(min(most, left)):
            for row in rows(stage):
                outcome.rows.append(row)
                print(f"{name}: {row.name}: {row.ratio:.3g}", flush=True)
    except TooLong:
        outcome.cut = True
    except Exception as error:
        traceback.print_exc()
        traceback.clear_frames(error.__traceback__)  # they hold what fills the memory
        outcome.problem = f"{type(error).__name__}: {error}".partition("\n")[0]
    outcome.seconds = time.monotonic() - begun
    with suppress(RuntimeError):  # of a GPU that is lost
        stage.card.clear()
    return outcome


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TooLong after so many seconds."""

    def over(*_: object) -> None:
        raise TooLong

    left, _ = signal.getitimer(signal.ITIMER_REAL)
    begun, handler = time.monotonic(), signal.signal(signal.SIGALRM, over)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:  # another's alarm goes on
        rest = max(1e-3, left - (time.monotonic() - begun)) if left else 0
        signal.setitimer(signal.ITIMER_REAL, rest)
        signal.signal(signal.SIGALRM, handler)


def _keep(outcomes: Sequence[Outcome], machine: dict[str, str], file: Path) -> None:
    sections = [asdict(outcome) | {"rows": len(outcome.rows)} for outcome in outcomes]
    write([row for outcome in outcomes for row in outcome.rows], machine, file, sections)


def _resumed(file: Path) -> list[Outcome]:
    """Return what a file has of sections that were not cut."""
    found = json.loads(file.read_text())
    rows = iter(found["rows"])
    outcomes = []
    for section in found["sections"]:
        own = [next(rows) for _ in range(section["rows"])]
        made = [Row(**{name: row[name] for name in Row.__slots__}) for row in own]
        outcomes.append(Outcome(**section | {"rows": made}))
    return [outcome for outcome in outcomes if not outcome.cut]


def _told(outcomes: Sequence[Outcome], machine: dict[str, str]) -> str:
    """Return everything in Markdown."""
    lines = [show([row for outcome in outcomes for row in outcome.rows], machine), ""]
    lines += [f"- {each.name} **failed**: {each.problem}" for each in outcomes if each.problem]
    lines += [f"- {each.name} was cut for lack of time" for each in outcomes if each.cut]
    return "\n".join(lines)
