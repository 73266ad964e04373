"""The music that is kept: erasing what is no longer wanted, and what is no longer named."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from bot import settlement
from bot.engine.messages import PREVIEW_SECONDS
from bot.errors import StorageError
from bot.retention import copies, disk
from bot.retention.calendar import Calendar
from bot.retention.ownership import Ownership
from bot.rules import erasable
from bot.rules.wording import counted
from bot.tables import (
    audit,
    drafts,
    erasures,
    grants,
    jobs,
    members,
    posts,
    removals,
    servers,
    takes,
    unneeded,
)
from bot.tables.database import Database, Reader, Transaction
from bot.values import Forgotten, Job, Keep, Post, Viewer

log = logging.getLogger(__name__)

FORGOTTEN_AFTER = timedelta(days=30)
"""How long a server's pieces are kept after the bot was removed from it."""

JOBS_PER_TRANSACTION = 10
"""The most rows that one transaction changes, so that others do not wait long for theirs."""

ROWS_PER_TURN = 500
"""How many rows are read, or files removed, before others get their turn."""


class Archive:
    """The files below the data folder and the rows that name them.

    Rows change first: they note which files are no longer needed, and these are removed then, or
    at the next start. A file that no row ever named stays.
    """

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        calendar: Calendar,
    ) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._calendar = calendar
        self._work = work
        self._ownership = Ownership(database, folder)

    async def delete(self, number: int, viewer: Viewer) -> tuple[Job, list[Post]]:
        """Erase a piece's files and return its posts; raise Refusal if the viewer may not."""
        async with self._database.transaction() as tx:
            job = erasable.whole(await jobs.find(tx, number), number, viewer)
            # Rows before files: if the process dies between, `unneeded` still names the files,
            # while files that no row names are left alone for ever.
            await takes.erased(tx, [number])
            await erasures.deleted(tx, number, self._clock())
            await removals.add_repeats(tx, number, self._clock())
            posted = [post for post in await posts.of(tx, number) if post.delivered_at]
        await self._clear()
        log.info("job %d deleted by user %d", number, viewer.user)
        return job, posted

    async def keep_only(self, number: int, take: int, viewer: Viewer) -> Job:
        """Erase the files of a piece's other takes, for nothing; raise Refusal if that cannot be.

        Its messages are brought up to date by the outbox.
        """
        async with self._database.transaction() as tx:
            made = await takes.of(tx, number)
            job, _ = erasable.besides(await jobs.find(tx, number), made, number, take, viewer)
            await takes.erased(tx, [number], but=take)
            await posts.outdate(tx, number)
            await removals.add_repeats(tx, number, self._clock())
        await self._clear()
        log.info("job %d reduced to take %d by user %d", number, take, viewer.user)
        return job

    async def forget(self, user: int, direct: int | None = None) -> Forgotten:
        """Erase a member's words, name and music in all servers; return what there was of them.

        Messages about their pieces are to be deleted; `direct` is the channel of direct ones.
        """
        messages: set[int] = set()

        async def unsay(tx: Transaction, numbers: Sequence[int]) -> None:
            messages.update(await removals.add(tx, numbers, direct, self._clock()))

        pieces = await self._forget(
            lambda tx: erasures.of_member(tx, user, JOBS_PER_TRANSACTION), unsay
        )
        async with self._database.transaction() as tx:
            await audit.forgotten(tx, user)
            await grants.forgotten(tx, user)
            await members.forgotten(tx, user)
            await drafts.forgotten(tx, user)
        after = 0
        # Jobs whose words had aged away before: they are forgotten already, but their messages
        # stand.
        while numbers := await removals.said(self._database, user, after, JOBS_PER_TRANSACTION):
            after = numbers[-1]
            await self._database.transact(unsay, numbers)
        await self._database.purge()
        forgot, left = counted(pieces, "job"), counted(len(messages), "message")
        log.info("forgot %s of user %d, %s to delete", forgot, user, left)
        return Forgotten(pieces=pieces, messages=frozenset(messages))

    async def left(self, guild: int) -> None:
        """Note that the bot was removed from a server."""
        await self._database.transact(self._left, guild)

    async def present(self, guilds: set[int]) -> None:
        """Note that the bot is in these servers, and no longer in any other that it knew."""
        known = await servers.known(self._database)
        # Only those that changed are written: after each connection there are thousands that did
        # not.
        changed = [guild for guild, there in known.items() if there is not (guild in guilds)]
        for start in range(0, len(changed), JOBS_PER_TRANSACTION):
            async with self._database.transaction() as tx:
                for guild in changed[start : start + JOBS_PER_TRANSACTION]:
                    if guild in guilds:
                        await servers.returned(tx, guild)
                    else:
                        await self._left(tx, guild)

    async def _left(self, tx: Transaction, guild: int) -> None:
        await servers.left(tx, guild, self._clock())
        await drafts.left(tx, guild)

    async def forget_the_left(self) -> None:
        """Erase the words and the music of servers that the bot left long enough ago."""
        before = await self._calendar.today() - FORGOTTEN_AFTER
        await self._forget(lambda tx: erasures.of_left_servers(tx, before, JOBS_PER_TRANSACTION))
        async with self._database.transaction() as tx:
            await grants.forgotten_where_left(tx, before)
            await members.forgotten_where_left(tx, before)
        rows = JOBS_PER_TRANSACTION
        if await self._database.bit_by_bit(
            lambda tx: audit.forgotten_where_left(tx, before, rows), rows
        ):
            await self._database.purge()

    async def sweep(self) -> None:
        """Remove what unfinished jobs left behind; leave other files that no row names.

        The files of a bot that was killed have a row: its job has not ended. What has none is of
        another database, or of what was lost of this one; numbers go on above all of it.
        """
        await asyncio.to_thread(disk.without_copies, self._folder / copies.COPIES)
        found = await strays(self._database, self._folder)
        unfinished = await leftovers(self._database, found)
        if await self._ownership.settled(max(disk.by_job(found), default=0)):
            await asyncio.to_thread(disk.unlinked, self._folder, unfinished)
            await self._clear()
        else:
            await self._set_aside(unfinished)
        if left := found.keys() - unfinished:
            size = sum(found[name] for name in left) / 1e6
            log.warning(
                "%s (%.0f MB) not in the database, left alone", counted(len(left), "file"), size
            )
        await self._ownership.mark()

    async def prune(self, keep: Keep) -> int:
        """Remove music that is too old or too much, and return how many jobs'.

        The excess goes oldest first, undelivered before delivered music and starred last; starred
        music is never too old. What is owed stays, and so does what a waiting job extends.
        """
        sizes = disk.by_job(await asyncio.to_thread(disk.music, self._folder))
        too_old = await self._calendar.today() - timedelta(days=keep.days)
        kept = await self._kept()
        old = [each for each in kept if each.ended_at <= too_old and not each.starred]
        # Two rounds over one order, so that age comes before size: what is too old goes in any
        # case.
        order = old + [each for each in kept if each.ended_at > too_old or each.starred]
        left = sum(sizes.get(each.job, 0) for each in kept)
        removed = 0
        for start in range(0, len(order), JOBS_PER_TRANSACTION):
            if start >= len(old) and left <= keep.most:
                break
            gone = []
            async with self._database.transaction() as tx:
                for place, each in enumerate(order[start : start + JOBS_PER_TRANSACTION], start):
                    # Asked again in the transaction: since the page was read a job may have been
                    # posted again, extended, or starred.
                    full = left > keep.most
                    due = full or place < len(old)
                    if due and await takes.dispensable(tx, each.job, starred=full):
                        gone.append(each.job)
                        left -= sizes.get(each.job, 0)
                await takes.erased(tx, gone)
            removed += len(gone)
        await self._clear()
        await self._ownership.mark()
        if removed:
            pieces = counted(removed, "job")
            log.info("removed the music of %s; %.1f GB kept", pieces, left / 1e9)
        return removed

    async def _kept(self) -> list[takes.Kept]:
        """Return the ended jobs whose files are kept, in the order in which they go."""
        found: dict[int, takes.Kept] = {}
        after = 0
        while page := await takes.kept(self._database, after, ROWS_PER_TURN):
            after = page[-1].take
            found |= {each.job: each for each in page}
        return sorted(found.values(), key=lambda each: each.worth)

    async def _clear(self) -> None:
        """Remove the files that no row needs any more, as far as that is possible now."""
        after = ""
        try:
            while names := await unneeded.due(self._database, after, ROWS_PER_TURN):
                after = names[-1]
                gone = await asyncio.to_thread(disk.unlinked, self._folder, names)
                await self._database.transact(unneeded.done, gone)
        except StorageError as error:
            log.warning("unneeded files will be removed later: %s", error)

    async def _set_aside(self, names: Iterable[str]) -> None:
        """Keep what this database, which may be a wrong one, has no music of or would remove."""
        doomed = await unneeded.due(self._database)
        await asyncio.to_thread(disk.set_aside, self._folder, {*names, *doomed})
        await self._database.transact(unneeded.done, doomed)

    async def _forget(
        self,
        find: Callable[[Transaction], Awaitable[list[Job]]],
        also: Callable[[Transaction, Sequence[int]], Awaitable[None]] | None = None,
    ) -> int:
        """Erase what is found, a few at a time, until nothing is; return how many jobs it was."""
        count, left = 0, True
        while left:
            begun = time.monotonic()
            async with self._database.transaction() as tx:
                found = await find(tx)
                await settlement.forgotten(tx, found, PREVIEW_SECONDS, self._clock())
                if also:
                    await also(tx, [job.id for job in found])
            await self._clear()
            count, left = count + len(found), bool(found)
            await asyncio.sleep(2 * (time.monotonic() - begun))  # two thirds of it are others'
        if count:
            await self._database.purge()
            self._work.set()
        return count


async def strays(reader: Reader, folder: Path) -> dict[str, int]:
    """Return the files with music that no row names, by name, and their bytes."""
    found = await asyncio.to_thread(disk.music, folder)
    named = await takes.files(reader) | await jobs.pictures(reader)
    named |= {*await unneeded.due(reader)}
    return {name: size for name, size in found.items() if name not in named}


async def leftovers(reader: Reader, strays: Mapping[str, int]) -> set[str]:
    """Return those of them that unfinished jobs may have left."""
    unmade = await jobs.unmade(reader, disk.by_job(strays))
    return strays.keys() & {name for job in unmade for name in disk.files_of(job)}
