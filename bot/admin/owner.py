"""The operator's controls: pause, resume, drain, and how the studio is doing."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from bot.errors import Refusal
from bot.retention import disk
from bot.rules.markup import LISTED, clean, escape, some
from bot.tables import backlog, engines, posts, state, tallies
from bot.tables.database import Database, Reader
from bot.values import EngineStatus, Stats

log = logging.getLogger(__name__)

DAY = timedelta(days=1)


class Operations:
    """What the bot's owner can do with the whole studio, and see of it."""

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        news: asyncio.Event,
        drain: asyncio.Event,
    ) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._work = work
        self._news = news
        self._drain = drain

    async def pause(self, reason: str) -> None:
        """Start no more jobs until `resume`, even after a restart; members read the reason."""
        reason = clean(reason)
        await self._database.transact(state.pause, reason)
        log.warning("paused: %s", reason or "no reason given")
        self._news.set()

    async def resume(self) -> None:
        """Start jobs again; raise Refusal if the studio is not paused."""
        async with self._database.transaction() as tx:
            if await state.paused(tx) is None:
                raise Refusal("The studio is not paused.")
            await state.resume(tx)
        log.warning("resumed")
        self._look()

    async def engines(self) -> list[EngineStatus]:
        """Return all engines, with what each was last seen doing."""
        return await engines.every(self._database)

    async def pause_engine(self, name: str) -> None:
        """Take an engine out until it is resumed, even after a restart: it ends what it renders.

        Raises Refusal if there is no such engine, or if it is paused already.
        """
        async with self._database.transaction() as tx:
            await _require_engine(tx, name)
            if not await engines.pause(tx, name):
                raise Refusal(f"{escape(name)} is paused already.")
            await backlog.awaits_no_more(tx, name)
        log.warning("engine %s paused", name)
        self._look()

    async def resume_engine(self, name: str) -> None:
        """Let an engine start pieces again; raise Refusal if there is none, or it is not paused."""
        async with self._database.transaction() as tx:
            await _require_engine(tx, name)
            if not await engines.resume(tx, name):
                raise Refusal(f"{escape(name)} is not paused.")
        log.warning("engine %s resumed", name)
        self._look()

    def _look(self) -> None:
        self._work.set()
        self._news.set()

    def drain(self) -> None:
        """Start no more jobs, finish and post the current ones, and shut down."""
        self._drain.set()
        self._news.set()

    async def stats(self) -> Stats:
        """Return how the studio is doing."""
        source, now = self._database, self._clock()
        oldest = await backlog.oldest(source)
        # A stat for each of thousands of files: they must not hold up everybody's replies.
        music = await asyncio.to_thread(disk.sizes, self._folder / "audio")
        return Stats(
            engines=tuple(await engines.every(source)),
            paused=await state.paused(source),
            draining=self._drain.is_set(),
            jobs=await tallies.counts(source),
            faults=await tallies.faults(source),
            waited=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
            owed=await posts.count_owed(source),
            rendered=await tallies.rendered_since(source, now - DAY),
            files=len(music),
            kept_bytes=sum(music.values()),
            free_bytes=shutil.disk_usage(self._folder).free,
        )


async def _require_engine(reader: Reader, name: str) -> None:
    """Raise Refusal, with the names that there are, unless there is an engine of this name."""
    names = [engine.name for engine in await engines.every(reader)]
    if name not in names:
        known = some([escape(each) for each in names], LISTED) or "none yet"
        raise Refusal(f"There is no engine {escape(name)}. Engines: {known}.")
