"""Kept music as files to post: in any format, whole or in parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from bot.engine.files.encoder import Encoder
from bot.engine.files.formats import Format
from bot.engine.files.tags import Tags
from bot.errors import FileError, Refusal
from bot.retention import disk
from bot.values import Job, Take

__all__ = ["Copies", "Format"]

MOST_SAVING = 5
"""Members who may wait at a time for music in another format, which is made one by one."""

LONGEST_SAVING = 840.0
"""The longest that they wait, in seconds: after 15 minutes Discord accepts no answer."""

COPIES = "copies"
"""The folder for music in other formats while it is being posted."""


class Copies:
    """Makes files to post of the kept music."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self._folder = folder
        self._encoder = encoder
        self._saving: set[int] = set()
        """Members who wait for music in another format."""

    @asynccontextmanager
    async def saving(self, member: int) -> AsyncIterator[None]:
        """Admit a member who wants music in another format; raise Refusal if too many do."""
        if member in self._saving:
            raise Refusal("Your last file is still being made. Try again when it has arrived.")
        if len(self._saving) >= MOST_SAVING:
            raise Refusal("Too many members are saving music right now. Try again in a minute.")
        self._saving.add(member)
        try:
            async with asyncio.timeout(LONGEST_SAVING):
                yield
        except TimeoutError:
            raise Refusal("The studio is too busy to make that file. Try again later.") from None
        finally:
            self._saving.discard(member)

    @asynccontextmanager
    async def copy(
        self, job: Job, take: Take, kind: Format, part: tuple[int, int] = (1, 1)
    ) -> AsyncIterator[Path]:
        """Yield a take's music in a format, for as long as the block; raise Refusal if it is gone.

        Of a `part`, such as (2, 4), only the second quarter.
        """
        kept = self._folder / take.audio if take.audio else None
        if kept is None or not kept.is_file() or kept.is_symlink():
            raise Refusal(f"The music of #{job.id} is no longer kept.")
        if kind is Format.WAV and part == (1, 1):
            yield kept
            return
        tags = Tags(
            title=job.request.prompt,
            model=job.request.model,
            seed=take.seed,
            piece=job.id,
            take=take.number,
            lyrics=job.request.lyrics,
        )
        copies = self._folder / COPIES
        copies.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=copies) as folder:
            made = Path(folder) / f"copy.{kind}"
            await self._encoder.encode(kept, made, kind, tags, part)
            yield made

    async def music(
        self, job: Job, take: Take, kind: Format, part: tuple[int, int] = (1, 1)
    ) -> bytes:
        """Return a take's music as a file of this format, or a part of it.

        Raises Refusal if it is gone, and FileError if it cannot be read or written.
        """
        try:
            async with self.copy(job, take, kind, part) as path:
                return await asyncio.to_thread(disk.read, path)
        except OSError as error:
            raise FileError(f"take {take.number} as {kind}: {error}") from error

    async def size(self, take: Take) -> int | None:
        """Return the bytes of a take's WAV, None if it is gone."""
        with suppress(OSError):
            if take.audio:
                return (await asyncio.to_thread((self._folder / take.audio).stat)).st_size
        return None

    async def read(self, name: str) -> bytes | None:
        """Return a kept file, None if it is gone; raise FileError if it cannot be read."""
        try:
            return await asyncio.to_thread(disk.read, self._folder / name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileError(f"{name}: {error}") from error
