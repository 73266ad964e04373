"""Rows of a benchmark: two sides, their ratio, and what it must reach."""

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

VERSIONS = ("audiocraft", "torch", "transformers", "triton", "numpy", "aiosqlite")
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
        low = 0.0 if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
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
        wanted = "" if row.at_least is None else f"≥ {row.at_least:g}"
        wanted = wanted if row.at_most is None else f"≤ {row.at_most:g}"
        mark = "" if row.reached else " **missed**"
        ratio = f"{row.ratio:.2f}" if row.ratio == 0 or row.ratio >= 0.01 else f"{row.ratio:.1e}"
        numbers = f"{_number(row.ours)} | {_number(row.theirs)} | {row.unit} | {ratio}"
        lines.append(f"| {row.name} | {numbers} | {wanted}{mark} | {row.note} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(
    rows: Sequence[Row],
    machine: dict[str, str],
    file: Path = RESULTS,
    sections: Sequence[dict[str, Any]] = (),
) -> None:
    """Keep the results in a file, with what else is told of the sections that gave them."""
    told = [{**asdict(row), "ratio": round(row.ratio, 6)} for row in rows]
    found = {"machine": machine, "versions": _versions(), "rows": told}
    found |= {"sections": sections} if sections else {}
    file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _versions() -> dict[str, str]:
    """Return those of what is installed; a machine that only renders lacks some."""
    versions = {"python": platform.python_version()}
    for name in VERSIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


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
