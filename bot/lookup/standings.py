"""Where waiting and running jobs stand, and what is in the queue."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bot import queue
from bot.queue import Expected
from bot.tables import engines, jobs, state
from bot.tables.database import Database, Reader
from bot.values import UNRENDERED, Job, Standing

DRAINING = "it is about to restart"


class Standings:
    """Jobs in the order of their start, as far as it can be foreseen."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], drain: asyncio.Event
    ) -> None:
        self._database = database
        self._clock = clock
        self._drain = drain

    async def of_job(self, number: int) -> Standing:
        """Return a job's place and, where speeds are known, its expected end."""
        return (await self.of([number]))[0]

    async def of(self, numbers: Sequence[int]) -> list[Standing]:
        """Return jobs as they are now, and where those stand that wait or run."""
        # Of one moment: a job that starts between two statements would be in no place, or in two.
        async with self._database.snapshot() as tx:
            found = [job for number in numbers if (job := await jobs.find(tx, number))]
            under_way = any(job.status in UNRENDERED for job in found)
            expected = await queue.expected(tx, self._clock()) if under_way else {}
            return await self._standings(tx, found, expected)

    async def page(self, guild: int | None, page: int, size: int) -> tuple[list[Standing], int]:
        """Return a page of a server's jobs, or of all servers', in the order of their start.

        And how many there are in all.
        """
        async with self._database.snapshot() as tx:
            expected = await queue.expected(tx, self._clock())
            order = {number: i for i, number in enumerate(expected)}
            found = await jobs.open_ones(tx, guild)
            found.sort(key=lambda job: (order.get(job.id, len(order)), job.id))
            shown = found[page * size : (page + 1) * size]
            return await self._standings(tx, shown, expected), len(found)

    async def cancellable(self, guild: int, user: int, *, manager: bool) -> list[Job]:
        """Return the running and waiting jobs of a server that a member may cancel."""
        found = await jobs.open_ones(self._database, guild)
        return [job for job in found if manager or job.origin.user_id == user]

    async def _standings(
        self, reader: Reader, found: Sequence[Job], expected: Mapping[int, Expected]
    ) -> list[Standing]:
        engine = await engines.state(reader)
        paused = DRAINING if self._drain.is_set() else await state.paused(reader)
        if paused is None and await engines.all_paused(reader):
            paused = ""
        return [
            Standing(
                job=job,
                place=at.place if (at := expected.get(job.id)) else None,
                engine=engine,
                ends_at=at.ends_at if at and paused is None else None,
                paused=paused,
            )
            for job in found
        ]
