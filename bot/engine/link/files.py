"""The files of an order on their way: by names that mean the same here and on a node.

A node never sees the bot's paths, and what it sends is taken for nothing but what was asked for.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from bot.engine.files.regular import opened
from bot.engine.link.messages import Chunk
from bot.engine.messages import Done, Previewed, Render, RenderReport, Took

CHUNK = 2**20
"""Bytes of a file that travel at a time."""

PREFIX_FILE, PICTURE_FILE = "prefix.npy", "picture.png"


def travelling(order: Render) -> tuple[Render, dict[str, Path]]:
    """Return an order with names for paths, and the paths of those that will come back."""
    paths: dict[str, Path] = {}

    def named(path: str, name: str) -> str:
        paths[name] = Path(path)
        return name

    parts = tuple(
        replace(
            part,
            audio=named(part.audio, f"{part.number}.wav"),
            codes=named(part.codes, f"{part.number}.npy"),
            preview=named(part.preview, f"{part.number}.preview.wav") if part.preview else None,
        )
        for part in order.parts
    )
    picture = named(order.picture, PICTURE_FILE) if order.picture else None
    prefix = PREFIX_FILE if order.prefix else None
    return replace(order, parts=parts, picture=picture, prefix=prefix), paths


def arrived(order: Render, folder: Path) -> Render:
    """Return an order that travelled, with the paths that its names have in a folder."""

    def path(name: str | None) -> str | None:
        return str(folder / name) if name else None

    parts = tuple(
        replace(
            part,
            audio=str(folder / part.audio),
            codes=str(folder / part.codes),
            preview=path(part.preview),
        )
        for part in order.parts
    )
    return replace(order, parts=parts, picture=path(order.picture), prefix=path(order.prefix))


def announced(order: Render, said: RenderReport) -> list[Path]:
    """Return the files that a report on an order says are in place, if they are."""
    match said:
        case Took(number=number):
            # The music comes last: where that is, the codes to go on from it are, too.
            mine = [part for part in order.parts if part.number == number]
            return [Path(path) for part in mine for path in (part.codes, part.audio)]
        case Previewed():
            return [Path(part.preview) for part in order.parts if part.preview]
        case Done() if order.picture:
            return [Path(order.picture)]
    return []


def chunks(job: int, path: Path) -> Iterator[Chunk]:
    """Yield what a file holds; nothing of one that is not there, or is no regular one."""
    try:
        file = opened(path)
    except OSError:
        return
    with file:
        data = file.read(CHUNK)
        while data:
            data, here = file.read(CHUNK), data
            yield Chunk(job=job, name=path.name, data=here, last=not data)
