"""How Numba compiles the kernels, and where what it compiled is kept for the next start."""

import fcntl
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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

LOCK_FILE = "lock"
"""The file in the folder by which one process at a time writes there."""


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
        (found / LOCK_FILE).touch()  # it may be there, and somebody else's
    except OSError:
        return None
    return found


NUMBA_SETTINGS = cast("Any", numba.config)
_HERE = Path(__file__).parent
KERNEL_FOLDER = folder(_HERE, Path(NUMBA_SETTINGS.CACHE_DIR or _HERE / "__pycache__"))
"""Where what is compiled is kept, beside Python's own or in NUMBA_CACHE_DIR; None for nowhere."""


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other process writes in a folder, where its disk knows locks."""
    with (folder / LOCK_FILE).open("w") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class KernelCache(FunctionCache):
    """Keeps what was compiled of a function, in the folder of our own alone.

    Numba numbers its files by those that it found: of two processes at once, one would write what
    it compiled for some types into the file that the other has noted for others.
    """

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        """Find the function's files; those of other libraries stay where they are."""
        others, NUMBA_SETTINGS.CACHE_DIR = NUMBA_SETTINGS.CACHE_DIR, str(folder)
        try:
            super().__init__(function)  # type: ignore[no-untyped-call]  # Numba
        finally:
            NUMBA_SETTINGS.CACHE_DIR = others
        self._folder = folder

    def save_overload(self, sig: object, data: object) -> None:
        """Keep the machine code for arguments of these types."""
        if COMPILES in os.environ:  # whoever asked for it has the turn
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]  # Numba
            return
        with turn(self._folder):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]  # Numba


class CompiledElsewhere(KernelCache):
    """Has another process compile what is not kept yet, and takes it from there.

    Of a loop that runs in parallel, what is kept is optimised once more than what was compiled in
    this process, and may round otherwise: a seed's music would differ between a first start and
    all that follow.
    """

    def load_overload(self, sig: object, target_context: object) -> object:
        """Return the machine code for arguments of these types, None if there is none.

        Engines that start at once have it compiled once.
        """
        found = self._load(sig, target_context)
        if found is None and COMPILES not in os.environ:
            with turn(self._folder):
                found = self._load(sig, target_context)
                if found is None:
                    self._compile(sig)
                    found = self._load(sig, target_context)
        return found

    def _load(self, sig: object, target_context: object) -> object:
        return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]  # Numba

    def _compile(self, sig: object) -> None:
        function: Any = self._py_func
        order = pickle.dumps((function.__module__, function.__name__, sig))
        command, told = (sys.executable, "-c", COMPILE), {**os.environ, COMPILES: "1"}
        done = subprocess.run(command, input=order, env=told, check=False)  # noqa: S603
        if done.returncode:
            log.warning("%s is compiled here: a first start's music differs", function)


COMPILES = "FANTASIA_COMPILES"
"""Set in the environment of a process that does nothing but compile."""

COMPILE = """
import pickle, sys
from importlib import import_module
module, name, types = pickle.load(sys.stdin.buffer)
getattr(import_module(module), name).compile(types)
"""


# Of "numpy", that a division by zero is no exception but infinity, as in torch.
OPTIONS: dict[str, Any] = {"fastmath": HONEST, "error_model": "numpy"}
small: Compile = numba.njit(inline="always", **OPTIONS)


def alone(function: Function) -> Function:
    """Compile a function, and keep it if possible."""
    compiled: Function = numba.njit(**OPTIONS)(function)
    return _kept(compiled, KernelCache)


def together(function: Function) -> Function:
    """Compile a function whose `prange` loops run on all threads, and keep it if possible."""
    compiled: Function = numba.njit(parallel=True, **OPTIONS)(function)
    return _kept(compiled, CompiledElsewhere)


def _kept(compiled: Function, cache: type[KernelCache]) -> Function:
    if KERNEL_FOLDER:
        dispatcher = cast("Any", compiled)
        dispatcher._cache = cache(dispatcher.py_func, KERNEL_FOLDER)
    return compiled
