"""Where the engines of a machine run: how many they are, and what of it each sees."""

import itertools
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec

from bot.engine import host
from bot.errors import OperatorError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"

FEWEST_CORES = 2
"""Cores that an engine on a CPU should have for itself."""

LIST_TIMEOUT = 10.0
"""Seconds that nvidia-smi may take, which a broken driver lets hang for ever."""

TORCH_TIMEOUT = 60.0
"""Seconds that torch may take, most of them to be imported on a busy machine."""

TORCH_PROBE = """
import ctypes
try:
    ctypes.CDLL("libcuda.so.1")
except OSError:  # without the driver torch finds none, and importing it takes seconds
    raise SystemExit
import json, torch
from bot.engine.hardware.devices import unfit
ids = [torch.cuda.get_device_properties(n).uuid for n in range(torch.cuda.device_count())]
print(json.dumps([[f"GPU-{uuid}", unfit(n)] for n, uuid in enumerate(ids)]))
"""

LISTED_GPU = re.compile(r"\s*(?:GPU \d+|MIG .*):.*\(UUID: ((?:GPU|MIG)-[^)\s]+)\)\s*")
"""A line of `nvidia-smi -L`: a GPU, or below it a part of one."""


@dataclass(frozen=True, slots=True)
class Placement:
    """An engine's name, and what is laid over the environment of its process."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)


def local(
    engines: int | None, device: str, environment: Mapping[str, str]
) -> tuple[Placement, ...]:
    """Return the engines of this machine: so many, or one per visible GPU, or one on its CPU.

    `device` is "auto", "cuda" or "cpu"; `environment` is what processes of engines inherit. Raises
    OperatorError for more engines than visible GPUs.
    """
    seen = () if device == "cpu" else visible(environment)
    gpus = _fit(seen, environment) if device == "auto" and len(seen) > 1 else seen
    kind = "gpu" if gpus or device == "cuda" else "cpu"
    count = engines or len(gpus) or 1
    if kind == "gpu" and count > max(1, len(gpus)):  # without a GPU, the one engine says so itself
        raise OperatorError(
            f"ENGINES is {count}, but the number of GPUs that there are for it is {len(gpus)}: set "
            "ENGINES=auto for one engine on each."
        )
    shares = _shares(count, environment)
    own = [{VISIBLE: gpu} for gpu in gpus] if gpus and len(seen) > 1 else [{}] * count
    return tuple(
        Placement(f"{kind}-{number}", {**own[number], **shares[number]}) for number in range(count)
    )


def unwise(placements: Sequence[Placement], weights: float = 0.0) -> str | None:
    """Return a sentence on why these engines are too many for one CPU, None if they are not.

    Each loads `weights` of so many bytes at least.
    """
    count, cores, free = len(placements), host.cores(), host.available()
    if count == 1 or not placements[0].name.startswith("cpu-"):
        return None
    if cores < FEWEST_CORES * count:
        return (
            f"{count} engines share what there is of CPU cores ({cores}), fewer than "
            f"{FEWEST_CORES} each: a piece takes longer on each of them, and one engine alone may "
            "make as much"
        )
    if count * weights > free:
        return (
            f"{count} engines load the same weights {count} times: that takes at least "
            f"{count * weights / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are left"
        )
    return None


def _shares(count: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Divide the cores among engines, unless it is set what each takes."""
    if count == 1 or environment.get(THREADS):
        return [{}] * count
    each, more = divmod(host.cores(), count)
    return [{THREADS: str(max(1, each + (number < more)))} for number in range(count)]


def visible(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what CUDA_VISIBLE_DEVICES must say for each GPU that an environment shows.

    What it says already is kept, entry by entry. Source: "CUDA C++ Programming Guide", environment
    variables.
    """
    said = environment.get(VISIBLE)
    entries = None if said is None else [entry.strip() for entry in said.split(",")]
    # Nothing is shown where the first is no device or one is there twice.
    if entries and (entries[0] in ("", "-1") or len(set(entries)) < len(entries)):
        return ()
    if not (listed := _listed(environment)):
        count = len(_asked(environment))
        return tuple(map(str, range(count))) if entries is None else tuple(entries[:count])
    if entries is None:
        return _whole_or_parts(listed)
    # What follows one that is not there is not shown either.
    return tuple(itertools.takewhile(partial(_known, listed), entries))


def _fit(gpus: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Leave out GPUs that torch has no code for: what runs there would run on the CPU instead."""
    found = _asked(environment)
    # torch counts in an order of its own, which is that of the entries where there are some.
    names = gpus if VISIBLE in environment or gpus[0] == "0" else [uuid for uuid, _ in found]
    problems = {name: problem for name, (_, problem) in zip(names, found, strict=False) if problem}
    for name, problem in problems.items():
        log.warning("GPU %s gets no engine: %s", name, problem)
    return tuple(gpu for gpu in gpus if gpu not in problems)


def _known(listed: Sequence[str], entry: str) -> bool:
    """Whether an index, a UUID or the beginning of one is that of a GPU listed."""
    if re.fullmatch("[0-9]+", entry):
        return int(entry) < sum(uuid.startswith("GPU-") for uuid in listed)
    entry = re.sub(r"MIG-(GPU-.+)/\d+/\d+", r"\1", entry)  # as parts were called before R470
    return entry.startswith(("GPU-", "MIG-")) and any(uuid.startswith(entry) for uuid in listed)


def _whole_or_parts(listed: Sequence[str]) -> tuple[str, ...]:
    """Return the GPUs listed, and in place of one that is divided its parts, which follow it."""
    return tuple(
        uuid
        for uuid, following in itertools.pairwise([*listed, ""])
        if uuid.startswith("MIG-") or not following.startswith("MIG-")
    )


def _listed(environment: Mapping[str, str]) -> list[str]:
    """Return the UUIDs that nvidia-smi lists, in its order."""
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    said = _said([program, "-L"], environment, LIST_TIMEOUT) if program else ""
    return [found[1] for line in said.splitlines() if (found := LISTED_GPU.fullmatch(line))]


def _asked(environment: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """Return the GPUs that torch sees: the UUID of each, and what keeps torch from using it.

    That takes a process of its own: the bot never imports torch.
    """
    said = _said([sys.executable, "-c", TORCH_PROBE], environment, TORCH_TIMEOUT)
    try:
        return msgspec.json.decode(said.splitlines()[-1], type=list[tuple[str, str | None]])
    except (IndexError, msgspec.DecodeError):  # it failed, or there is no driver
        return []


def _said(command: Sequence[str], environment: Mapping[str, str], timeout: float) -> str:
    """Return what a program prints, nothing if it fails or takes longer than `timeout` seconds."""
    try:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            errors="replace",
            env=dict(environment),
        )
    except OSError as error:
        log.warning("%s cannot be run: %s", command[0], error.strerror)
        return ""
    assert process.stdout
    with process.stdout:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            log.warning("%s said nothing for %g s", command[0], timeout)
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # a hanging driver lets nobody be killed
                process.wait(1)
            return ""
    return said if process.returncode == 0 else ""
