"""How a job leaves the engine: as music, as a failure, or back to the queue."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from bot import queue
from bot.dispatch import render_order, reports
from bot.dispatch.deadlines import ALONE, TAKE_BY_TAKE
from bot.dispatch.running_job import Phase, RunningJob
from bot.errors import EngineError, JobError
from bot.logs import change
from bot.tables import backlog, engines, jobs, ledger, posts, speeds, state, takes
from bot.tables.database import Database, Transaction
from bot.values import EngineState, EngineStatus, Fault, Job, PostKind, Status

log = logging.getLogger(__name__)

TRIES = 2
"""How often the engine may die while a job is running before the job fails."""

MOST_STARTS = 6
"""How often a job may be started in all."""

SENTENCES = {
    Fault.TIME: "Twice, this piece took several times longer than it should have here.",
    Fault.CRASH: "The engine stopped twice while rendering this piece.",
    Fault.DISK: "The studio's disk is full or not writable, so the music could not be saved. "
    "Whoever runs this bot must fix that.",
}
"""What members are told about a fault; for the others the engine's own words are better."""


class Endings:
    """Takes jobs out of the engine's hands, each in one transaction.

    It rings `work` when a job waits again, and `news` when there is something to tell the members.
    """

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        news: asyncio.Event,
    ) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._work = work
        self._news = news

    async def rendered(self, job: Job, spent: float = 0.0, pace: float | None = None) -> None:
        """The engine has finished a job: owe its music, if it is still wanted.

        It took `spent` seconds; a second of music took `pace`, unless something held it up.
        """
        look = render_order.verify_picture
        picture = await reports.seen(self._database, job, look, self._folder, job)
        async with self._done_with({job.id}) as tx:
            # The guard comes first: a job that was cancelled meanwhile is charged and owed nothing.
            if not await jobs.rendered(tx, job.id, self._clock(), spent):
                return
            now = await jobs.find(tx, job.id)
            stopped = now is not None and now.stopping
            await self._check_takes(tx, job, stopped=stopped)
            if picture:
                await jobs.drawn(tx, job.id, picture)
            if job.engine and pace is not None and not stopped:
                model = job.request.model
                await speeds.made(tx, job.engine, model, pace, job.request.length)
            # After the takes were checked: it charges those that exist.
            await ledger.settled(tx, job.id, self._clock())
            await posts.superfluous(tx, job.id, self._clock())
            await posts.add(tx, job.id, PostKind.RESULT, self._clock())
            change(log, job, "rendered", spent=spent)
            self._news.set()

    async def overdue(self, running: RunningJob) -> None:
        """A job was not done in time: requeue it, or fail it the second time."""
        if running.job.deaths + 1 < TRIES:
            await self._requeue(running, deaths=1, because="it took too long")
        else:
            await self.failed(running.job, Fault.TIME)

    async def refused(self, running: RunningJob, error: JobError) -> None:
        """Requeue a job that ran out of memory, with less beside it; fail others."""
        job = running.job
        most = TAKE_BY_TAKE if job.request.takes > 1 else ALONE
        if error.fault is Fault.MEMORY and job.care < most:
            await self._requeue(running, care=job.care + 1, because=str(error))
        elif error.fault is Fault.MEMORY:
            await self._too_long(running)
        else:
            if error.fault is Fault.DISK:
                remedy = "Free some space in DATA_DIR, or make it writable."
                log.error("job %d: %s %s", job.id, error, remedy)
            await self.failed(job, error.fault, str(error))

    async def failed(self, job: Job, fault: Fault, said: str = "") -> None:
        """There will be no music; `said` is the engine's reason."""
        async with self._done_with({job.id}) as tx:
            await self._fail(tx, job, fault, SENTENCES.get(fault, said))

    async def give_way(self, engine: str, other_than: Collection[str] = ()) -> list[Job]:
        """Requeue an engine's idle-lane jobs if a paying one waits for another model than these.

        The engine still has the returned jobs: their files go once it drops them.
        """
        async with self._database.transaction() as tx:
            given_way = [job for job in await jobs.running(tx, engine) if job.idle]
            paused = await state.paused(tx) is not None or await engines.paused(tx, engine)
            if not given_way or paused or not await backlog.somebody_pays(tx, engine, other_than):
                return []
            # attempts=0: it gave way, and nothing speaks against rendering it beside others.
            for job in given_way:
                await queue.wait_again(tx, job.id, self._clock(), attempts=0)
        for job in given_way:
            change(log, job, "queued", because="a paying request is waiting")
        self._ring()
        return given_way

    async def recover(
        self,
        engine: str | None = None,
        had: Collection[int] = (),
        *,
        deaths: int = 1,
        trouble: str = "",
    ) -> None:
        """Requeue what an engine rendered that was lost, or any engine, and clean up what it `had`.

        A job fails once it has seen too many deaths.
        """
        ended = set(had)
        async with self._done_with(ended) as tx:
            # In the same transaction: whoever reads that the engine is lost also reads its jobs as
            # queued.
            if engine is not None:
                await engines.lost(tx, engine, trouble)
            await backlog.awaits_no_more(tx, engine)
            for job in await jobs.running(tx, engine):
                ended.add(job.id)
                if job.deaths + deaths < TRIES and job.attempts < MOST_STARTS:
                    await queue.wait_again(tx, job.id, self._clock(), deaths=deaths)
                else:
                    await self._fail(tx, job, Fault.CRASH, SENTENCES[Fault.CRASH])
        self._ring()

    async def hand_back(self, engine: str, had: Collection[int] = ()) -> None:
        """The bot is ending: requeue an engine's jobs as if they had never started."""
        ended = set(had)
        async with self._done_with(ended) as tx:
            for job in await jobs.running(tx, engine):
                ended.add(job.id)
                await queue.wait_again(tx, job.id, self._clock(), attempts=0)

    def _ring(self) -> None:
        self._work.set()
        self._news.set()

    @asynccontextmanager
    async def _done_with(self, ended: Collection[int]) -> AsyncIterator[Transaction]:
        """Run a transaction after which no engine has these jobs.

        The files of those without music go once that is recorded: if the program dies
        in between, its next start sweeps them. Then those that wait may start on any engine, which
        would write the same files.
        """
        async with self._database.transaction() as tx:
            yield tx
            unmade = await jobs.unmade(tx, ended)
        if unmade:
            await asyncio.to_thread(render_order.discard, self._folder, unmade)
        if waiting := [job.id for job in unmade if job.status is Status.QUEUED]:
            await self._database.transact(backlog.let_go, waiting)
            self._work.set()

    async def _check_takes(self, tx: Transaction, job: Job, *, stopped: bool) -> None:
        """Raise EngineError if takes are missing; a stopped job may lack some."""
        missing = [take.number for take in await takes.of(tx, job.id) if not take.audio]
        some = stopped and len(missing) < job.request.takes
        if missing and not some:
            raise EngineError(f"reported job {job.id} done without take {missing[0]}")

    async def _too_long(self, running: RunningJob) -> None:
        """A job ran out of memory, even alone and take by take: requeue it for a larger engine."""
        job = running.job
        request = job.request
        async with self._done_with({job.id}) as tx:
            fits = await self._ran_out(tx, job)
            if await self._another_holds(tx, job):
                running.phase = Phase.REQUEUED
                if await queue.wait_again(tx, job.id, self._clock()):
                    change(log, job, "queued", logging.WARNING, because="another engine is larger")
                self._ring()
                return
            reason = (
                f"This machine has too little memory for {request.length:g} s with "
                f"{request.model}, even with nothing beside it and one take at a time. "
            )
            reason += f"Up to {fits:g} s fits." if fits else "Request a shorter piece."
            await self._fail(tx, job, Fault.MEMORY, reason)

    async def _requeue(
        self, running: RunningJob, because: str, *, deaths: int = 0, care: int = 0
    ) -> None:
        job, running.phase = running.job, Phase.REQUEUED  # it starts again once its files are gone
        async with self._done_with({job.id}) as tx:
            if await queue.wait_again(tx, job.id, self._clock(), deaths=deaths, care=care):
                change(log, job, "queued", logging.WARNING, because=because)
        self._ring()

    async def _another_holds(self, tx: Transaction, job: Job) -> bool:
        """Whether an engine that is there may have the memory that a job's own lacks."""
        model, length = job.request.model, job.request.length

        def holds(engine: EngineStatus) -> bool:
            known = engine.speeds.get(model)
            limit = math.inf if known is None or known.too_long is None else known.too_long
            return model in engine.able and limit > length

        others = [each for each in await engines.every(tx) if each.name != job.engine]
        return any(holds(each) for each in others if each.state is not EngineState.LOST)

    async def _ran_out(self, tx: Transaction, job: Job) -> float:
        """Note that a job ran out of memory; return the seconds that fit, or 0."""
        if job.engine is None:
            return 0.0
        model = job.request.model
        await speeds.ran_out(tx, job.engine, model, job.request.length, self._clock())
        known = (await speeds.of(tx, job.engine)).get(model)
        return known.fits if known else 0.0

    async def _fail(self, tx: Transaction, job: Job, fault: Fault, reason: str) -> None:
        if await jobs.failed(tx, job.id, reason, fault, self._clock()):
            await ledger.returned(tx, job.id, self._clock())
            await posts.superfluous(tx, job.id, self._clock())
            await takes.erased(tx, [job.id])
            await posts.add_another(tx, job.id, PostKind.FAILURE, self._clock())
            change(log, job, "failed", logging.WARNING, fault=fault, because=reason)
            self._news.set()
