"""How Numba compiles the kernels, and where what it compiled is kept for the next start."""

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

ROOMS = ("compiling.py", "cpu_*.py")
"""Files whose code is compiled, each into what calls it as well, or that say how."""

HONEST = {"reassoc", "nsz", "arcp", "contract", "afn"}
"""What the compiler may do for speed: anything but assume that there is no NaN or infinity."""


class Compile(Protocol):
    """Compiles a function once it is called."""

    def __call__(self, function: Function, /) -> Function:
        """Return what is called like it."""


def folder(sources: Path, root: Path) -> Path | None:
    """Return the folder for what is compiled of these sources, None where none can be made.

    Each state of them has its own: Numba itself would notice a change only in a function's own
    file, and go on with what it compiled of others.
    """
    rooms = sorted(room for pattern in ROOMS for room in sources.glob(pattern))
    state = sha256(b"".join(room.read_bytes() for room in rooms)).hexdigest()
    found = root / f"kernels-{state[:16]}"
    try:
        found.mkdir(parents=True, exist_ok=True)
        (found / "writable").touch()  # it may be there, and somebody else's
    except OSError:
        return None
    return found


def _kept() -> bool:
    """Keep what is compiled, beside Python's own or in NUMBA_CACHE_DIR, if possible."""
    here, settings = Path(__file__).parent, cast("Any", numba.config)
    found = folder(here, Path(settings.CACHE_DIR or here / "__pycache__"))
    if found:
        settings.CACHE_DIR = str(found)
    return found is not None


class CompiledElsewhere(FunctionCache):
    """Has another process compile what is not kept yet, and takes it from there.

    Of a loop that runs in parallel, what is kept is optimised once more than what was compiled in
    this process, and may round otherwise: a seed's music would differ between a first start and
    all that follow.
    """

    def load_overload(self, sig: object, target_context: object) -> object:
        """Return the machine code for arguments of these types, None if there is none."""
        found: object = super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]  # Numba
        if found is None and COMPILES not in os.environ:
            function: Any = self._py_func
            order = pickle.dumps((function.__module__, function.__name__, sig))
            command, told = (sys.executable, "-c", COMPILE), {**os.environ, COMPILES: "1"}
            done = subprocess.run(command, input=order, env=told, check=False)  # noqa: S603
            if done.returncode:
                log.warning("%s is compiled here: a first start's music differs", function)
            found = super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]  # Numba
        return found


COMPILES = "FANTASIA_COMPILES"
"""Set in the environment of a process that does nothing but compile."""

COMPILE = """
import pickle, sys
from importlib import import_module
module, name, types = pickle.load(sys.stdin.buffer)
getattr(import_module(module), name).compile(types)
"""


def together(function: Function) -> Function:
    """Compile a function whose `prange` loops run on all threads."""
    compiled: Any = numba.njit(parallel=True, **KEPT)(function)
    if KEPT["cache"]:
        compiled._cache = CompiledElsewhere(function)  # type: ignore[no-untyped-call]  # Numba
    return cast("Function", compiled)


# Of "numpy", that a division by zero is no exception but infinity, as in torch.
OPTIONS: dict[str, Any] = {"fastmath": HONEST, "error_model": "numpy"}
KEPT: dict[str, Any] = {"cache": _kept(), **OPTIONS}
small: Compile = numba.njit(inline="always", **OPTIONS)
alone: Compile = numba.njit(**KEPT)
