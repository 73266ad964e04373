"""What of this machine a process may use: its cores, and its memory."""

import os
from pathlib import Path

TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"

GROUP = Path("/sys/fs/cgroup")
"""What this control group may have, of which a container is one: less than the machine has."""


def cores() -> int:
    """Return how many cores this process may use: of those it may run on, what its group may have.

    Threads of one core count once, as torch counts them.
    """
    threads = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(_counted())
    return max(1, min(len({_core(thread) for thread in threads}), _allowed()))


def available() -> float:
    """Return the bytes that a process may still take of the machine's memory."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    return min(1024.0 * available, _left())


def _counted() -> int:
    return os.cpu_count() or 1


def _core(thread: int) -> str:
    """Return a name that all threads of a core share."""
    try:
        return Path(TOPOLOGY.format(thread)).read_text()
    except OSError:
        return str(thread)


def _allowed() -> int:
    """Return the cores that this control group may keep busy."""
    try:
        quota, period = (GROUP / "cpu.max").read_text().split()
        return int(quota) // int(period)
    except (OSError, ValueError):  # there is none, or it is "max"
        return _counted()


def _left() -> float:
    """Return the bytes left to this control group."""
    try:
        limit = (GROUP / "memory.max").read_text().strip()
        return float(limit) - float((GROUP / "memory.current").read_text())
    except (OSError, ValueError):  # there is none, or it is "max"
        return float("inf")
