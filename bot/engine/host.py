"""What of this machine its processes may use."""

import os
from pathlib import Path

TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
GROUP = "/sys/fs/cgroup/cpu.max"


def cores() -> int:
    """Return how many cores this process may use: of those it may run on, what its group may have.

    Threads of one core count once, as torch counts them.
    """
    threads = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(_counted())
    return max(1, min(len({_core(thread) for thread in threads}), _group()))


def _counted() -> int:
    return os.cpu_count() or 1


def _core(thread: int) -> str:
    """Return a name that all threads of a core share."""
    try:
        return Path(TOPOLOGY.format(thread)).read_text()
    except OSError:
        return str(thread)


def _group() -> int:
    """Return the cores that this control group, of which a container is one, may keep busy."""
    try:
        quota, period = Path(GROUP).read_text().split()
        return int(quota) // int(period)
    except (OSError, ValueError):  # there is none, or it is "max"
        return _counted()
