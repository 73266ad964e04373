"""What is kept of the music: copies in other formats, and the erasing of what is not wanted."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bot import disk, jobs, posts, servers, settlement, takes
from bot.database import Database, Transaction
from bot.encoder import Encoder
from bot.engine.formats import Format
from bot.engine.messages import PREVIEW
from bot.engine.tags import Tags
from bot.errors import FileError, Refusal
from bot.models import Job, Keep, Post, Status, Take

__all__ = ["Archive", "Format", "Keep"]

log = logging.getLogger(__name__)

FORGOTTEN_AFTER = timedelta(days=30)
"""How long a server's pieces are kept after the bot was removed from it."""


MOST_SAVING = 5
"""Members who may wait at a time for music in another format, which is made one by one."""

LONGEST_SAVING = 840.0
"""Seconds that they wait at most: after 15 minutes Discord takes no answer any more."""

COPIES = "copies"
"""Where music in other formats lies while it is posted."""


class Archive:
    """The files below the data folder and the rows that name them.

    Rows change first: a file that no row names is removed, then or at the next start.
    """

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        encoder: Encoder,
    ) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._work = work
        self._encoder = encoder
        self._saving: set[int] = set()
        """Members who wait for music in another format."""

    @asynccontextmanager
    async def saving(self, member: int) -> AsyncIterator[None]:
        """Let a member have music in another format meanwhile; raise Refusal if it is too much."""
        if member in self._saving:
            raise Refusal("What you asked for last is still being made. Ask again when it is here.")
        if len(self._saving) >= MOST_SAVING:
            raise Refusal("Many are saving music right now. Try again in a minute.")
        self._saving.add(member)
        try:
            async with asyncio.timeout(LONGEST_SAVING):
                yield
        except TimeoutError:
            raise Refusal("The studio was too busy to make that. Try again later.") from None
        finally:
            self._saving.discard(member)

    @asynccontextmanager
    async def copy(
        self, job: Job, take: Take, kind: Format, part: tuple[int, int] = (1, 1)
    ) -> AsyncIterator[Path]:
        """Have a take's music in a format for as long as the block; raise Refusal if it is gone.

        Of a `part`, such as (2, 4), only the second quarter.
        """
        if take.audio is None or not (kept := self._folder / take.audio).exists():
            raise Refusal(f"The music of #{job.id} is not kept any more.")
        if kind is Format.WAV and part == (1, 1):
            yield kept
            return
        tags = Tags(
            title=job.request.prompt,
            model=job.request.model,
            seed=take.seed,
            piece=job.id,
            take=take.number,
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

        Raises Refusal if it is gone, and FileError if it cannot be read or made.
        """
        try:
            async with self.copy(job, take, kind, part) as path:
                return await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise FileError(f"take {take.number} as {kind}: {error}") from error

    async def read(self, name: str) -> bytes | None:
        """Return a kept file, None if it is gone; raise FileError if it cannot be read."""
        try:
            return await asyncio.to_thread((self._folder / name).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileError(f"{name}: {error}") from error

    async def delete(
        self, number: int, *, guild: int, user: int, manager: bool
    ) -> tuple[Job, list[Post]]:
        """Erase a piece's files, and return what was posted of it; raise Refusal if one may not."""
        async with self._database.transaction() as tx:
            job = await jobs.find(tx, number)
            if job is None or job.origin.guild_id != guild:
                raise Refusal(f"There is no piece #{number} here.")
            if job.origin.user_id != user and not manager:
                raise Refusal(
                    f"Only the member who asked for #{number} or a manager may delete it."
                )
            if job.status in (Status.QUEUED, Status.RUNNING, Status.RENDERED):
                raise Refusal(f"#{number} is {job.status}: it can be deleted once it has ended.")
            await takes.erased(tx, number)
            await jobs.deleted(tx, number, self._clock())
            posted = [post for post in await posts.of(tx, number) if post.delivered_at]
        self._remove(job)
        log.info("job %d deleted by user %d", number, user)
        return job, posted

    async def forget(self, user: int) -> int:
        """Erase a member's words, name and music in all servers; return how many pieces it was."""
        async with self._database.transaction() as tx:
            found = await jobs.of_member(tx, user)
            for job in found:
                await self._forgotten(tx, job)
        await self._cleared(found)
        log.info("%d jobs of user %d forgotten", len(found), user)
        return len(found)

    async def left(self, guild: int) -> None:
        """The bot was removed from a server."""
        async with self._database.transaction() as tx:
            await servers.left(tx, guild, self._clock())

    async def present(self, guilds: set[int]) -> None:
        """The bot is in these servers, and was removed from any other that it knew."""
        async with self._database.transaction() as tx:
            for guild in await servers.known(tx):
                await servers.left(tx, guild, None if guild in guilds else self._clock())

    async def forget_the_left(self) -> None:
        """Erase the words and the music of servers that the bot left long enough ago."""
        async with self._database.transaction() as tx:
            guilds = await servers.left_before(tx, self._clock() - FORGOTTEN_AFTER)
            found = [job for guild in guilds for job in await jobs.of_server(tx, guild)]
            for job in found:
                await self._forgotten(tx, job)
        await self._cleared(found)

    async def sweep(self) -> None:
        """Remove the files that no row names, such as those of a bot that was killed."""
        shutil.rmtree(self._folder / COPIES, ignore_errors=True)
        named = await takes.files(self._database) | await jobs.pictures(self._database)
        for file in (self._folder / "audio").glob("*"):
            if f"audio/{file.name}" not in named:
                file.unlink()

    async def prune(self, keep: Keep) -> int:
        """Remove delivered music that is too old or too much, oldest first; return how many jobs'.

        What is not delivered stays, and so does what a waiting job goes on from.
        """
        sizes = await asyncio.to_thread(_sizes, self._folder / "audio")
        left, removed = sum(sizes.values()), 0
        too_old = self._clock() - timedelta(days=keep.days)
        for number, ended_at in await takes.kept(self._database):
            if ended_at > too_old and left <= keep.most:
                break
            async with self._database.transaction() as tx:
                if not await takes.dispensable(tx, number):
                    continue
                await takes.erased(tx, number)
                await jobs.undrawn(tx, number)
            self._remove_of(number)
            left -= sizes.get(number, 0)
            removed += 1
        if removed:
            log.info("the music of %d jobs was removed; %.1f GB are kept", removed, left / 1e9)
        return removed

    async def _forgotten(self, tx: Transaction, job: Job) -> None:
        await settlement.forgotten(tx, job, PREVIEW, self._clock())

    async def _cleared(self, found: list[Job]) -> None:
        for job in found:
            if job.status is not Status.RUNNING:  # the dispatcher's, once the engine lets go of it
                self._remove(job)
        if found:
            await self._database.purge()
            self._work.set()

    def _remove(self, job: Job) -> None:
        self._remove_of(job.id)

    def _remove_of(self, job: int) -> None:
        for file in (self._folder / "audio").glob(f"{job}-*"):
            file.unlink(missing_ok=True)


def _sizes(folder: Path) -> dict[int, int]:
    """Return the bytes that each job's files take."""
    sizes: dict[int, int] = {}
    for name, size in disk.sizes(folder).items():
        number = name.split("-")[0]
        if number.isdecimal():
            sizes[int(number)] = sizes.get(int(number), 0) + size
    return sizes
