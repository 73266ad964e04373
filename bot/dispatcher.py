"""Claim → engine → record: the loop between the queue and the engine's process."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime, timedelta
from pathlib import Path

from bot import jobs, ledger, orders, posts, settings, speeds, takes, turns
from bot.database import Database, Transaction
from bot.deadlines import ALONE, GRACE, TAKE_BY_TAKE, Deadlines
from bot.engine.messages import (
    Loaded,
    Loading,
    Previewed,
    Progress,
    Ready,
    Render,
    Took,
)
from bot.engine.process import Engine
from bot.errors import EngineError, JobError, OperatorError, StorageError
from bot.logs import change
from bot.models import EngineState, Fault, Job, PostKind, Status

log = logging.getLogger(__name__)

TRIES = 2
"""How often a job may be running when the engine is lost before it is failed."""

MOST_STARTS = 6
"""How often a job may be started in all, whoever died meanwhile."""

LOST = "The engine stopped twice while rendering it."
LATE = "It took several times as long as such a piece usually takes here, twice."
UNMADE = (Status.QUEUED, Status.CANCELLED, Status.FAILED)
"""States in which a job has no music, whatever an engine was writing."""

UNSAVED = (
    "The studio's disk is full or cannot be written, so the music could not be saved. Whoever runs "
    "this bot has to make room."
)

Report = Loading | Loaded | Progress | Previewed | Took
NOTED_EVERY = timedelta(seconds=1)
LONGEST_PAUSE = 60.0


class Dispatcher:
    """Moves jobs from queued to rendered or failed; the only caller of an engine."""

    def __init__(
        self,
        database: Database,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        work: asyncio.Event,
        news: asyncio.Event,
        drain: asyncio.Event,
        start: Callable[[], AbstractAsyncContextManager[Engine]],
        pause: float = 1.0,
        grace: float = GRACE,
    ) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._work = work
        self._news = news
        self._drain = drain
        self._start = start
        self._first_pause = self._pause = pause
        self._ready: Ready | None = None
        self._running: dict[int, Job] = {}
        """What the engine has."""
        self._noted: dict[int, datetime] = {}
        self._stopping: set[int] = set()
        """Jobs that the engine was told to finish."""
        self._yielding: set[int] = set()
        """Jobs that wait again while the engine has yet to let go of them."""
        self._cut_off: dict[int, Job] = {}
        """Jobs that an engine had when it was lost."""
        self._late: set[int] = set()
        """Jobs that the engine was told to cancel because they were not done in time."""
        self._deadlines = Deadlines(clock, grace)
        self._idle = asyncio.Event()
        """Set while no job is rendered."""
        self._idle.set()
        self._models: tuple[str, ...] = ()
        """What the engine has loaded."""

    async def run(self) -> None:
        """Keep an engine running; raise OperatorError if the first one cannot start."""
        try:
            while True:
                await self._serve_once()
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            with contextlib.suppress(StorageError):  # then it is found running at the next start
                await asyncio.shield(self._hand_back())

    async def idle(self) -> None:
        """Wait until no job is rendered."""
        await self._idle.wait()

    async def _serve_once(self) -> None:
        try:
            await self._recover()
            async with self._start() as engine:
                await self._serve(engine)
        except* (EngineError, OperatorError, StorageError) as lost:
            reason = "; ".join(str(error) for error in lost.exceptions)
            if self._ready is None:
                raise OperatorError(f"The engine cannot start: {reason}") from lost
            log.error("The engine is started again: %s", reason)

    async def _serve(self, engine: Engine) -> None:
        ready = await engine.ready()
        await self._loaded(ready)
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.attend())
            while True:
                await self._heed(engine)
                while self._has_room(ready.slots) and (job := await self._claim()):
                    self._running[job.id] = job
                    self._idle.clear()
                    if order := await self._order(engine, job):
                        group.create_task(self._render(engine, job, order))
                await self._make_room(engine)
                await self._work.wait()
                self._work.clear()

    async def _order(self, engine: Engine, job: Job) -> Render | None:
        """Return the order for a job; fail the job and return None if there can be none."""
        alone = job.care == TAKE_BY_TAKE
        try:
            return await orders.write(self._database, self._folder, job, one_by_one=alone)
        except JobError as error:
            await self._refused(job, error)
            self._let_go(engine, job)
            return None

    async def _render(self, engine: Engine, job: Job, order: Render) -> None:
        try:
            self._watch(engine)
            async with aclosing(engine.render(order)) as reports:
                async for said in reports:
                    await self._heard(engine, job, said)
            if job.id in self._late:
                await self._overdue(job)
            else:
                await self._rendered(job)
        except JobError as error:
            await self._refused(job, error)
        except BaseException:
            self._cut_off[job.id] = job
            raise
        finally:
            self._let_go(engine, job)

    def _let_go(self, engine: Engine, job: Job) -> None:
        self._running.pop(job.id, None)
        self._noted.pop(job.id, None)
        for marked in (self._stopping, self._yielding, self._late):
            marked.discard(job.id)
        self._deadlines.forget(job.id)
        self._watch(engine)
        if not self._running:
            self._idle.set()
        self._work.set()

    async def _heard(self, engine: Engine, job: Job, said: Report) -> None:
        if isinstance(said, Loading):
            self._deadlines.suspend(job.id)
        elif isinstance(said, Loaded):
            await self._swapped(said)
            self._deadlines.resume(job.id)
            self._watch(engine)
        elif job.id in self._yielding or job.id in self._late:
            return
        elif isinstance(said, Took):
            await self._took(job, said)
        elif isinstance(said, Progress):
            await self._progressed(job, said)
        elif isinstance(said, Previewed):
            await self._previewed(job)

    def _watch(self, engine: Engine) -> None:
        """Cancel what takes much longer than this machine usually needs for it."""

        def late(number: int) -> None:
            self._late.add(number)
            engine.cancel(number)

        self._deadlines.watch(self._running.values(), self._models, late)

    async def _overdue(self, job: Job) -> None:
        if job.deaths + 1 < TRIES:
            await self._again(job, deaths=1, why="it took too long")
        else:
            await self._failed(job, LATE, Fault.TIME)

    async def _refused(self, job: Job, error: JobError) -> None:
        """Try a job again where the memory was too small, with less beside it; fail others."""
        most = TAKE_BY_TAKE if job.request.takes > 1 else ALONE
        if error.memory and job.care < most:
            await self._again(job, care=job.care + 1, why=str(error))
        elif error.memory:
            await self._too_long(job)
        elif error.disk:
            log.error(
                "job %d: %s Make room in DATA_DIR, or let the bot write there.", job.id, error
            )
            await self._failed(job, UNSAVED, Fault.DISK)
        else:
            fault = Fault.NUMBERS if error.numbers else Fault.REQUEST
            await self._failed(job, str(error), fault)

    async def _again(self, job: Job, why: str, *, deaths: int = 0, care: int = 0) -> None:
        self._yielding.add(job.id)  # it begins again once its files are gone
        async with self._database.transaction() as tx:
            if await turns.wait_again(tx, job.id, self._clock(), deaths=deaths, care=care):
                change(log, job, "queued", logging.WARNING, because=why)
        await self._discard(job)
        self._news.set()

    async def _too_long(self, job: Job) -> None:
        request, now = job.request, self._clock()
        async with self._database.transaction() as tx:
            await speeds.ran_out(tx, self._setup(request.model), request.length, now)
            known = await speeds.here(tx, request.model)
            fits = known.fits if known else 0.0
            reason = (
                f"The memory of this machine is too small for {request.length:g} s with "
                f"{request.model}, even alone and one take at a time. "
            )
            reason += f"It fits {fits:g} s." if fits else "Ask for a shorter piece."
            await self._record_failure(tx, job, reason, Fault.MEMORY)
        await self._discard(job)

    async def _recover(self) -> None:
        async with self._database.transaction() as tx:
            await settings.put(tx, "engine", EngineState.LOADING)
            for job in await jobs.running(tx):
                deaths = 1 if self._ready else 0  # at the start it was the bot that died
                if job.deaths + deaths < TRIES and job.attempts < MOST_STARTS:
                    await turns.wait_again(tx, job.id, self._clock(), deaths=deaths)
                else:
                    await self._record_failure(tx, job, LOST, Fault.CRASH)
                self._cut_off[job.id] = job
            unmade = await self._unmade(tx)
        await self._discard(*unmade)
        self._cut_off.clear()
        self._running.clear()
        self._deadlines.clear()
        self._idle.set()
        self._yielding.clear()
        self._late.clear()
        self._work.set()

    async def _hand_back(self) -> None:
        async with self._database.transaction() as tx:
            for job in await jobs.running(tx):
                await turns.wait_again(tx, job.id, self._clock(), attempts=0)
                self._cut_off[job.id] = job
            unmade = await self._unmade(tx)
        await self._discard(*unmade)

    async def _unmade(self, tx: Transaction) -> list[Job]:
        """Return the jobs without music of those that the engine had when it was lost."""
        now = [await jobs.find(tx, number) for number in {**self._cut_off, **self._running}]
        return [job for job in now if job and job.status in UNMADE]

    async def _loaded(self, ready: Ready) -> None:
        self._ready = ready
        self._models = ready.models[:1]
        self._deadlines.engine(ready.slots, ready.pace)
        self._pause = self._first_pause
        async with self._database.transaction() as tx:
            await settings.put(tx, "engine", EngineState.READY)
            await settings.put(tx, "slots", str(ready.slots))
            await settings.put(tx, "device", ready.device)
            await settings.put(tx, "precision", ready.precision)
            await settings.put(tx, "unfit", " ".join(ready.unfit))
            await speeds.found(tx, self._setup(ready.models[0]), ready.pace)
            for known in await speeds.all_here(tx):
                self._deadlines.pace(known.model, known.pace)
        self._news.set()
        found = ", ".join(ready.models), ready.device, ready.precision, ready.slots
        log.info("engine ready: %s on %s in %s, takes side by side: %d", *found)

    async def _claim(self) -> Job | None:
        async with self._database.transaction() as tx:
            job = await turns.claim(tx, self._models, self._clock())
        if job:
            if job.stopping:  # before the engine was lost: it renders no more than the preview
                self._stopping.add(job.id)
            waited = (self._clock() - job.created_at).total_seconds()
            change(log, job, "running", waited=waited, attempt=str(job.attempts))
            self._news.set()
        return job

    async def _heed(self, engine: Engine) -> None:
        """Tell the engine of jobs that are cancelled or stopped."""
        wanted = {job.id: job for job in await jobs.running(self._database)}
        for number in list(self._running):
            if number not in wanted:
                engine.cancel(number)
            elif wanted[number].stopping and number not in self._stopping:
                self._stopping.add(number)
                engine.finish(number)

    def _has_room(self, slots: int) -> bool:
        if self._drain.is_set():
            return False
        return (
            not self._yielding and sum(job.request.takes for job in self._running.values()) < slots
        )

    async def _make_room(self, engine: Engine) -> None:
        """Let a job that pays take the place of one that does not."""
        async with self._database.transaction() as tx:
            given_way = [job for job in await jobs.running(tx) if job.idle]
            if not given_way or self._yielding or not await jobs.somebody_pays(tx):
                return
            for job in given_way:
                await turns.wait_again(tx, job.id, self._clock(), attempts=0)
        for job in given_way:
            self._yielding.add(job.id)
            engine.cancel(job.id)
            change(log, job, "queued", because="another waits, who pays")
        self._news.set()

    async def _progressed(self, job: Job, said: Progress) -> None:
        now = self._clock()
        if now - self._noted.get(job.id, now - NOTED_EVERY) >= NOTED_EVERY:
            self._noted[job.id] = now
            async with self._database.transaction() as tx:
                await jobs.progressed(tx, job.id, said.done / max(said.done, said.total, 1))

    async def _took(self, job: Job, said: Took) -> None:
        name = orders.file(job, said.number, "wav")
        await asyncio.to_thread(
            orders.verify, self._folder / name, said.seconds, job.request.length
        )
        codes = orders.file(job, said.number, "npy")
        kept = codes if (self._folder / codes).exists() else None
        async with self._database.transaction() as tx:
            await takes.rendered(tx, job.id, said.number, said.seconds, name, kept)

    async def _previewed(self, job: Job) -> None:
        async with self._database.transaction() as tx:
            for number in range(1, job.request.takes + 1):
                name = orders.file(job, number, "preview.wav")
                if not await takes.previewed(tx, job.id, number, name):
                    return
            await posts.add_preview(tx, job.id, self._clock())
        self._news.set()

    async def _swapped(self, said: Loaded) -> None:
        self._models = said.models
        async with self._database.transaction() as tx:
            await speeds.found(tx, self._setup(said.model), said.pace)
            await self._go_by_what_is_known(tx, said.model)
        log.info("engine loaded %s; at hand: %s", said.model, ", ".join(said.models))

    async def _rendered(self, job: Job) -> None:
        async with self._database.transaction() as tx:
            if await jobs.rendered(tx, job.id, self._clock()):
                missing = [take.number for take in await takes.of(tx, job.id) if not take.audio]
                if missing and not (job.id in self._stopping and len(missing) < job.request.takes):
                    raise EngineError(f"called job {job.id} done without take {missing[0]}")
                if (self._folder / orders.picture(job)).exists():
                    await jobs.drawn(tx, job.id, orders.picture(job))
                await self._measured(tx, job)
                await ledger.settled(tx, job.id, self._clock())
                await posts.superfluous(tx, job.id, self._clock())
                await posts.add(tx, job.id, PostKind.RESULT, self._clock())
                assert job.started_at
                spent = (self._clock() - job.started_at).total_seconds()
                change(log, job, "rendered", spent=spent)
                self._news.set()
                return
        await self._discard(job)

    async def _measured(self, tx: Transaction, job: Job) -> None:
        """Learn from a job how fast this machine is, and that its length fits."""
        pace = self._deadlines.measured(job)
        if pace is None or job.stopping or job.id in self._stopping:
            return
        setup = self._setup(job.request.model)
        await speeds.made(tx, setup, pace, job.request.length)
        await self._go_by_what_is_known(tx, job.request.model)

    async def _go_by_what_is_known(self, tx: Transaction, model: str) -> None:
        if known := await speeds.here(tx, model):
            self._deadlines.pace(model, known.pace)

    def _setup(self, model: str) -> speeds.Setup:
        assert self._ready
        return speeds.Setup(model, self._ready.device, self._ready.precision)

    async def _failed(self, job: Job, reason: str, fault: Fault = Fault.REQUEST) -> None:
        async with self._database.transaction() as tx:
            await self._record_failure(tx, job, reason, fault)
        await self._discard(job)

    async def _record_failure(self, tx: Transaction, job: Job, reason: str, fault: Fault) -> None:
        if await jobs.failed(tx, job.id, reason, fault, self._clock()):
            await ledger.returned(tx, job.id, self._clock())
            await posts.superfluous(tx, job.id, self._clock())
            await posts.add(tx, job.id, PostKind.FAILURE, self._clock())
            change(log, job, "failed", logging.WARNING, fault=fault, because=reason)
            self._news.set()

    async def _discard(self, *unmade: Job) -> None:
        await asyncio.to_thread(orders.discard, self._folder, unmade)
