"""How much memory there is, of a GPU or of the machine; and how it is taken and given back."""

import ctypes
import math
import mmap
import os
from pathlib import Path
from weakref import WeakKeyDictionary

import torch

from bot.engine.hardware import devices
from bot.engine.host import available

RESERVED_BYTES = 1.5e9
"""Bytes left free: a chunk of the codec, a prefill, and what else the machine does."""


def total(device: torch.device) -> float:
    """Return the bytes that the GPU has, or that this process could have with no other model."""
    if device.type == "cuda":
        return devices.total()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return available() + pages * float(os.sysconf("SC_PAGE_SIZE"))


def free(device: torch.device) -> float:
    """Return the bytes that are promised to nobody, on the GPU or of the machine's memory."""
    if device.type == "cuda":
        return devices.free()
    return available() - untouched()  # what slots have reserved counts as available until used


def zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return zeros that take no memory on a CPU until they are written."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    pages = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    flat = torch.frombuffer(pages, dtype=dtype)
    _promised[pages] = flat.data_ptr()
    return flat.view(shape)


_promised: "WeakKeyDictionary[mmap.mmap, int]" = WeakKeyDictionary()
"""Where what `zeros` maps begins."""


def untouched() -> int:
    """Return the bytes that caches may still take of a CPU's memory: they are not written yet.

    The machine counts them as free.
    """
    return sum(len(pages) - _resident(begin, len(pages)) for pages, begin in _promised.items())


def _resident(begin: int, length: int) -> int:
    """Return how many bytes of a mapping are in memory; see mincore(2)."""
    held = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
    failed = ctypes.CDLL(None).mincore(ctypes.c_void_p(begin), ctypes.c_size_t(length), held)
    # If that fails, all counts as promised: fewer takes are admitted, and none lacks memory.
    return 0 if failed else min(length, mmap.PAGESIZE * bytes(held).count(1))


def give_back() -> None:
    """Return temporary memory to the system; glibc would keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
