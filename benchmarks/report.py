"""Rows of a benchmark: two sides, their ratio, and what it must reach."""

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

VERSIONS = ("audiocraft", "torch", "transformers", "numpy", "aiosqlite")
RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison; `note` tells how far it is from what the machine can do."""

    name: str
    ours: float
    theirs: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours / self.theirs

    @property
    def reached(self) -> bool:
        """Whether the ratio is what it must be."""
        low, high = self.at_least or 0.0, self.at_most or float("inf")
        return low <= self.ratio <= high


def show(rows: Sequence[Row], machine: dict[str, str]) -> str:
    """Return all rows as one table in Markdown."""
    lines = [
        ", ".join(machine.values()),
        "",
        "| what | ours | theirs | unit | ratio | must be | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        wanted = f"≥ {row.at_least:g}" if row.at_least else ""
        wanted = f"≤ {row.at_most:g}" if row.at_most else wanted
        mark = "" if row.reached else " **missed**"
        numbers = f"{_number(row.ours)} | {_number(row.theirs)} | {row.unit} | {row.ratio:.2f}"
        lines.append(f"| {row.name} | {numbers} | {wanted}{mark} | {row.note} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(rows: Sequence[Row], machine: dict[str, str]) -> None:
    """Keep the results in `results.json`."""
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    versions["python"] = platform.python_version()
    told = [{**asdict(row), "ratio": round(row.ratio, 3)} for row in rows]
    found = {"machine": machine, "versions": versions, "rows": told}
    RESULTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def machine() -> tuple[dict[str, str], float]:
    """Return what the numbers come from, and the bytes per second it reads."""
    told = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line
    )
    told = {key.strip(): value.strip() for key, value in told.items()}
    flags = [flag for flag in told["flags"].split() if flag in ("avx512_bf16", "avx512_vnni")]
    flags += [flag for flag in told["flags"].split() if flag.startswith("amx")]
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    rate = bandwidth()
    found = {
        "processor": told["model name"],
        "cores": f"{len(os.sched_getaffinity(0))} cores",
        "instructions": " ".join(flags) or "neither bf16 nor VNNI",
        "memory": f"{pages / 1e9:.0f} GB",
        "bandwidth": f"{rate / 1e9:.1f} GB/s of memory bandwidth, measured",
    }
    return found, rate


def bandwidth() -> float:
    """Return the bytes per second that all cores together read, the best of some tries."""
    import torch

    block = torch.ones(2**28)
    best = 0.0
    for _ in range(5):
        begun = time.perf_counter()
        block.sum()
        best = max(best, block.nbytes / (time.perf_counter() - begun))
    return best
