"""What a checkpoint's file holds besides its weights, with nothing in it that could act."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PICKLE = "data.pkl"
MOST_BYTES = 16 << 20
"""Of a checkpoint without its weights; those of the largest released model are 0.3 MB."""

LFS = b"version https://git-lfs"
LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""What a file begins with that torch before 1.6 saved."""

CODE = "holds code besides weights and settings, and is not opened"


class UnusableFile(Exception):
    """A file is unusable; the text continues after its name, and says what to do."""


class Placeholder:
    """Stands where a pickle names anything; keeps the state that it is given."""

    state: Any = None

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        self.state = state

    def __call__(self, *_: object) -> "Placeholder":
        return self

    # What a pickle calls to fill a list, a set or a mapping; what it would put in is not kept.
    __setitem__ = append = extend = add = __call__


class TensorPlaceholder(Placeholder):
    """Stands for one."""


class PlaceholderDict(dict[Any, Any]):
    """An OrderedDict, whose other state does not count: it could hide the methods of a dict."""

    def __setstate__(self, state: object) -> None:
        pass


class InertUnpickler(pickle.Unpickler):
    """Makes nothing but plain values and what stands for others."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Return what stands for a class or a function."""
        if (module, name) == ("collections", "OrderedDict"):
            return PlaceholderDict
        if module == "torch._utils" and name.startswith("_rebuild_"):
            return TensorPlaceholder
        return Placeholder

    def persistent_load(self, _: Any) -> Placeholder:  # noqa: ANN401
        """Return what stands for the numbers of a tensor."""
        return Placeholder()


def unpack(file: Path) -> Mapping[Any, Any]:
    """Return a checkpoint without its weights; raise UnusableFile or BadZipFile."""
    with file.open("rb") as opened:
        begin = opened.read(64)
    if begin.startswith(LFS):
        raise UnusableFile("is a Git LFS pointer: run `git lfs pull` in its folder")
    if begin.startswith(LEGACY):
        raise UnusableFile(
            "is in torch's old format: load it with torch.load, and torch.save it again"
        )
    with zipfile.ZipFile(file) as archive:
        entry = next((each for each in archive.infolist() if each.filename.endswith(PICKLE)), None)
        if entry is None:
            raise zipfile.BadZipFile
        if entry.file_size > MOST_BYTES:
            raise UnusableFile("holds more besides its weights than any checkpoint needs")
        with archive.open(entry) as opened:
            pickled = opened.read(MOST_BYTES)  # whatever size the archive claims that it has
    if pickled[:1] == pickle.PROTO and pickled[1] != 2:
        raise UnusableFile(
            f"was saved with pickle protocol {pickled[1]}, which torch does not open safely: save "
            "it again with torch.save's default, 2"
        )
    return _unpickled(pickled)


def _unpickled(pickled: bytes) -> Mapping[Any, Any]:
    try:
        package = InertUnpickler(io.BytesIO(pickled)).load()
    except MemoryError:  # it ends this process, which says what was the matter
        raise
    except Exception as error:  # a pickle may make its reader raise anything
        raise UnusableFile("is not a torch checkpoint, or is damaged") from error
    if not isinstance(package, dict):
        raise UnusableFile(
            CODE if isinstance(package, Placeholder) else "is not an audiocraft checkpoint"
        )
    return package
