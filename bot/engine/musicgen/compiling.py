"""How Numba compiles the kernels, and where what it compiled is kept for the next start."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numba

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


# Of "numpy", that a division by zero is no exception but infinity, as in torch.
OPTIONS: dict[str, Any] = {"fastmath": HONEST, "error_model": "numpy"}
KEPT: dict[str, Any] = {"cache": _kept(), **OPTIONS}
small: Compile = numba.njit(inline="always", **OPTIONS)
alone: Compile = numba.njit(**KEPT)
together: Compile = numba.njit(parallel=True, **KEPT)
