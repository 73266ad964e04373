"""Claim → engine → record: the loop between the queue and the engine's process."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from bot import queue
from bot.dispatch import render_order
from bot.dispatch.deadlines import ALONE, GRACE, TAKE_BY_TAKE, Deadlines
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
from bot.retention import disk
from bot.tables import backlog, jobs, ledger, posts, speeds, state, takes
from bot.tables.database import Database, Transaction
from bot.values import Fault, Job, PostKind, Status

log = logging.getLogger(__name__)

TRIES = 2
"""How often a job may be running when the engine is lost before it is failed."""

MOST_STARTS = 6
"""How often a job may be started in all, whoever died meanwhile."""

LOST = "The engine stopped twice while rendering this piece."
LATE = "Twice, this piece took several times longer than it should have here."
UNMADE = (Status.QUEUED, Status.CANCELLED, Status.FAILED)
"""States in which a job has no music, whatever an engine was writing."""

UNSAVED = (
    "The studio's disk is full or not writable, so the music could not be saved. Whoever runs this "
    "bot must fix that."
)

Report = Loading | Loaded | Progress | Previewed | Took
NOTED_EVERY = 1.0
"""How often a job's progress is noted at most, in seconds."""

LONGEST_PAUSE = 60.0
"""How long it takes at most until a lost engine is started again, in seconds."""

FIRST_WAIT, LONGEST_WAIT = 0.25, 10.0
"""Pauses until a database is asked again that is locked or full, in seconds; they double."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True, kw_only=True, eq=False)
class Rendering:
    """A job that the engine has."""

    job: Job
    begun: float
    noted: float = -math.inf
    """When its progress was last noted, by the monotonic clock as `begun` is."""
    preview_due: bool = False
    """Whether its beginning is still to come."""
    finishing: bool = False
    """Whether the engine was told to end it early."""
    unwanted: bool = False
    """Whether the engine was told to cancel it, so that nothing it says of it counts."""
    waits_again: bool = False
    """Whether it is back in the queue, but the engine or its files are still in the way."""
    late: bool = False
    """Whether it was not done in time."""


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
        ticks: Callable[[], float] = time.monotonic,
        pause: float = 1.0,
        grace: float = GRACE,
    ) -> None:
        """What is written down goes by the `clock`, what is measured by the `ticks` in seconds."""
        self._database = database
        self._folder = folder
        self._clock = clock
        self._ticks = ticks
        self._work = work
        self._news = news
        self._drain = drain
        self._start = start
        self._first_pause = self._pause = pause
        self._ready: Ready | None = None
        self._died = False
        """Whether the last engine was lost by a fault of its own."""
        self._renderings: dict[int, Rendering] = {}
        """What the engine has, in the order that it was given."""
        self._cut_off: dict[int, Job] = {}
        """Jobs that an engine had when it was lost."""
        self._deadlines = Deadlines(ticks, grace)
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
            await self._patiently(self._recover, deaths=int(self._died))
            self._died = False
            async with self._start() as engine:
                await self._serve(engine)
        except* (EngineError, OperatorError) as lost:
            reason = "; ".join(str(error) for error in lost.exceptions)
            if self._ready is None:
                raise OperatorError(f"The engine cannot start: {reason}") from lost
            self._died = lost.subgroup(EngineError) is not None
            log.error("restarting the engine: %s", reason)

    async def _serve(self, engine: Engine) -> None:
        ready = await engine.ready()
        await self._patiently(self._loaded, ready)
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.attend())
            while True:
                await self._patiently(self._heed, engine)
                while self._has_room(ready.slots) and (job := await self._patiently(self._claim)):
                    rendering = Rendering(job=job, begun=self._ticks())
                    self._renderings[job.id] = rendering
                    self._idle.clear()
                    if order := await self._patiently(self._order, engine, job):
                        rendering.preview_due = any(part.preview for part in order.parts)
                        group.create_task(self._render(engine, rendering, order))
                await self._patiently(self._make_room, engine)
                await self._work.wait()
                self._work.clear()

    async def _patiently(
        self, step: Callable[P, Awaitable[T]], *arguments: P.args, **more: P.kwargs
    ) -> T:
        """Take a step as often as it needs until the database lets it; the engine goes on."""
        wait = FIRST_WAIT
        while True:
            try:
                done = await step(*arguments, **more)
            except StorageError as error:
                log.warning("waiting %g s for the database: %s", wait, error)
                self._deadlines.stop()
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                if wait > FIRST_WAIT:
                    self._deadlines.go_on()
                return done

    async def _order(self, engine: Engine, job: Job) -> Render | None:
        """Return the order for a job; fail the job and return None if there can be none."""
        alone = job.care == TAKE_BY_TAKE
        try:
            return await render_order.write(self._database, self._folder, job, one_by_one=alone)
        except JobError as error:
            await self._refused(job, error)
            self._let_go(engine, job)
            return None

    async def _render(self, engine: Engine, rendering: Rendering, order: Render) -> None:
        job = rendering.job
        try:
            try:
                self._watch(engine)
                async with aclosing(engine.render(order)) as reports:
                    async for said in reports:
                        await self._patiently(self._heard, engine, rendering, said)
            except JobError as error:
                await self._patiently(self._refused, job, error)
            else:
                await self._patiently(self._overdue if rendering.late else self._rendered, job)
        except BaseException:
            self._cut_off[job.id] = job
            raise
        finally:
            self._let_go(engine, job)

    def _let_go(self, engine: Engine, job: Job) -> None:
        self._renderings.pop(job.id, None)
        self._deadlines.forget(job.id)
        self._watch(engine)
        if not self._renderings:
            self._idle.set()
        self._work.set()

    async def _heard(self, engine: Engine, rendering: Rendering, said: Report) -> None:
        job = rendering.job
        if isinstance(said, Loading):
            self._deadlines.suspend(job.id)
        elif isinstance(said, Loaded):
            await self._swapped(said)
            self._deadlines.resume(job.id)
            self._watch(engine)
        elif rendering.unwanted:
            return
        elif isinstance(said, Took):
            await self._took(job, said)
        elif isinstance(said, Progress):
            await self._progressed(rendering, said)
        elif isinstance(said, Previewed):
            await self._previewed(engine, rendering)

    def _watch(self, engine: Engine) -> None:
        """Cancel what takes much longer than this machine usually needs for it."""

        def late(number: int) -> None:
            self._renderings[number].late = True
            self._cancel(engine, number)

        running = [rendering.job for rendering in self._renderings.values()]
        self._deadlines.watch(running, self._models, late)

    def _cancel(self, engine: Engine, number: int) -> None:
        rendering = self._renderings[number]
        if not rendering.unwanted:
            rendering.unwanted = True
            engine.cancel(number)

    async def _overdue(self, job: Job) -> None:
        if job.deaths + 1 < TRIES:
            await self._again(job, deaths=1, why="it took too long")
        else:
            await self._failed(job, LATE, Fault.TIME)

    async def _refused(self, job: Job, error: JobError) -> None:
        """Try a job again where the memory was too small, with less beside it; fail others."""
        most = TAKE_BY_TAKE if job.request.takes > 1 else ALONE
        if error.fault is Fault.MEMORY and job.care < most:
            await self._again(job, care=job.care + 1, why=str(error))
        elif error.fault is Fault.MEMORY:
            await self._too_long(job)
        elif error.fault is Fault.DISK:
            log.error("job %d: %s Free some space in DATA_DIR, or make it writable.", job.id, error)
            await self._failed(job, UNSAVED, Fault.DISK)
        else:
            await self._failed(job, str(error), error.fault)

    async def _again(self, job: Job, why: str, *, deaths: int = 0, care: int = 0) -> None:
        self._renderings[job.id].waits_again = True  # it begins again once its files are gone
        async with self._database.transaction() as tx:
            if await queue.wait_again(tx, job.id, self._clock(), deaths=deaths, care=care):
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
                f"This machine has too little memory for {request.length:g} s with "
                f"{request.model}, even with nothing beside it and one take at a time. "
            )
            reason += f"Up to {fits:g} s fits." if fits else "Request a shorter piece."
            await self._record_failure(tx, job, reason, Fault.MEMORY)
        await self._discard(job)

    async def _recover(self, deaths: int = 1) -> None:
        """Let what ran wait again, or fail it where so many deaths more are too many."""
        async with self._database.transaction() as tx:
            await state.engine_loads(tx)
            for job in await jobs.running(tx):
                if job.deaths + deaths < TRIES and job.attempts < MOST_STARTS:
                    await queue.wait_again(tx, job.id, self._clock(), deaths=deaths)
                else:
                    await self._record_failure(tx, job, LOST, Fault.CRASH)
                self._cut_off[job.id] = job
            unmade = await self._unmade(tx)
        await self._discard(*unmade)
        self._cut_off.clear()
        self._renderings.clear()
        self._deadlines.clear()
        self._idle.set()
        self._work.set()

    async def _hand_back(self) -> None:
        async with self._database.transaction() as tx:
            for job in await jobs.running(tx):
                await queue.wait_again(tx, job.id, self._clock(), attempts=0)
                self._cut_off[job.id] = job
            unmade = await self._unmade(tx)
        await self._discard(*unmade)

    async def _unmade(self, tx: Transaction) -> list[Job]:
        """Return the jobs without music of those that the engine had when it was lost."""
        now = [await jobs.find(tx, number) for number in {*self._cut_off, *self._renderings}]
        return [job for job in now if job and job.status in UNMADE]

    async def _loaded(self, ready: Ready) -> None:
        self._ready = ready
        self._models = ready.models[:1]
        self._deadlines.engine(ready.slots, ready.pace)
        self._pause = self._first_pause
        async with self._database.transaction() as tx:
            await state.engine_runs(
                tx,
                device=ready.device,
                precision=ready.precision,
                slots=ready.slots,
                unfit=ready.unfit,
            )
            await speeds.found(tx, self._setup(ready.models[0]), ready.pace)
            for known in await speeds.all_here(tx):
                self._deadlines.pace(known.model, known.pace)
        self._news.set()
        found = ", ".join(ready.models), ready.device, ready.precision, ready.slots
        log.info("engine ready: %s on %s in %s, takes side by side: %d", *found)

    async def _claim(self) -> Job | None:
        async with self._database.transaction() as tx:
            job = await queue.claim(tx, self._models, self._clock())
        if job:
            waited = max(0.0, (self._clock() - job.created_at).total_seconds())
            change(log, job, "running", waited=waited, attempt=str(job.attempts))
            self._news.set()
        return job

    async def _heed(self, engine: Engine) -> None:
        """Tell the engine of jobs that are cancelled or stopped."""
        wanted = {job.id: job for job in await jobs.running(self._database)}
        for number, rendering in list(self._renderings.items()):
            if number not in wanted:
                self._cancel(engine, number)
            elif wanted[number].stopping:
                self._finish(engine, rendering)

    def _finish(self, engine: Engine, rendering: Rendering) -> None:
        """End a job early, but not before its beginning, which was heard in an earlier attempt.

        One that was stopped while it waited is made no longer than that.
        """
        ends_early = rendering.preview_due or rendering.finishing or rendering.job.stopping
        if not ends_early:
            rendering.finishing = True
            engine.finish(rendering.job.id)

    def _has_room(self, slots: int) -> bool:
        if self._drain.is_set():
            return False
        renderings = self._renderings.values()
        taken = sum(rendering.job.request.takes for rendering in renderings)
        return taken < slots and not any(rendering.waits_again for rendering in renderings)

    async def _make_room(self, engine: Engine) -> None:
        """Let a job that pays take the place of one that does not."""
        if self._drain.is_set() or any(each.waits_again for each in self._renderings.values()):
            return
        async with self._database.transaction() as tx:
            given_way = [job for job in await jobs.running(tx) if job.idle]
            paused = await state.paused(tx) is not None
            if not given_way or paused or not await backlog.somebody_pays(tx):
                return
            for job in given_way:
                await queue.wait_again(tx, job.id, self._clock(), attempts=0)
        for job in given_way:
            self._renderings[job.id].waits_again = True
            self._cancel(engine, job.id)
            change(log, job, "queued", because="a paying request is waiting")
        self._news.set()

    async def _progressed(self, rendering: Rendering, said: Progress) -> None:
        now = self._ticks()
        if now - rendering.noted < NOTED_EVERY:
            return
        rendering.noted = now
        with contextlib.suppress(StorageError):  # the next will tell more
            async with self._database.transaction() as tx:
                done = said.done / max(said.done, said.total, 1)
                await jobs.progressed(tx, rendering.job.id, done)

    async def _took(self, job: Job, said: Took) -> None:
        seen = await self._seen(
            job, render_order.verify, self._folder, job, said.number, said.seconds
        )
        name = disk.take_file(job, said.number, "wav")
        async with self._database.transaction() as tx:
            await takes.rendered(tx, job.id, said.number, said.seconds, name, seen)

    async def _seen(
        self, job: Job, look: Callable[P, T], *at: P.args, **more: P.kwargs
    ) -> T | None:
        """Look at the files of a running job; those of one that was forgotten may be gone."""
        try:
            return await asyncio.to_thread(look, *at, **more)
        except EngineError:
            now = await jobs.find(self._database, job.id)
            if now and now.status is Status.RUNNING:
                raise
            return None

    async def _previewed(self, engine: Engine, rendering: Rendering) -> None:
        rendering.preview_due = False
        job = rendering.job
        await self._seen(job, render_order.verify_previews, self._folder, job)
        async with self._database.transaction() as tx:
            for number in range(1, job.request.takes + 1):
                name = disk.take_file(job, number, "preview.wav")
                if not await takes.previewed(tx, job.id, number, name):
                    return
            now = await jobs.find(tx, job.id)
            stopping = now is not None and now.stopping
            if not stopping:
                await posts.add_another(tx, job.id, PostKind.PREVIEW, self._clock())
        if stopping:
            self._finish(engine, rendering)
        else:
            self._news.set()

    async def _swapped(self, said: Loaded) -> None:
        self._models = said.models
        async with self._database.transaction() as tx:
            await speeds.found(tx, self._setup(said.model), said.pace)
            await self._go_by_what_is_known(tx, said.model)
        log.info("engine loaded %s; in memory: %s", said.model, ", ".join(said.models))

    async def _rendered(self, job: Job) -> None:
        picture = await self._seen(job, render_order.verify_picture, self._folder, job)
        async with self._database.transaction() as tx:
            if await jobs.rendered(tx, job.id, self._clock(), self._spent(job)):
                await self._check_takes(tx, job)
                if picture:
                    await jobs.drawn(tx, job.id, picture)
                await self._measured(tx, job)
                await ledger.settled(tx, job.id, self._clock())
                await posts.superfluous(tx, job.id, self._clock())
                await posts.add(tx, job.id, PostKind.RESULT, self._clock())
                change(log, job, "rendered", spent=self._spent(job))
                self._news.set()
                return
        await self._discard(job)

    def _spent(self, job: Job) -> float:
        """Return for how many seconds the engine has had a job."""
        rendering = self._renderings.get(job.id)
        return self._ticks() - rendering.begun if rendering else 0.0

    async def _check_takes(self, tx: Transaction, job: Job) -> None:
        """Raise EngineError if takes are missing, save that one which is stopped may lack some."""
        now = await jobs.find(tx, job.id)
        missing = [take.number for take in await takes.of(tx, job.id) if not take.audio]
        some = now is not None and now.stopping and len(missing) < job.request.takes
        if missing and not some:
            raise EngineError(f"reported job {job.id} done without take {missing[0]}")

    async def _measured(self, tx: Transaction, job: Job) -> None:
        """Learn from a job how fast this machine is, and that its length fits."""
        pace, now = self._deadlines.measured(job), await jobs.find(tx, job.id)
        if pace is None or now is None or now.stopping:
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
            await takes.erased(tx, [job.id])
            await posts.add_another(tx, job.id, PostKind.FAILURE, self._clock())
            change(log, job, "failed", logging.WARNING, fault=fault, because=reason)
            self._news.set()

    async def _discard(self, *unmade: Job) -> None:
        await asyncio.to_thread(render_order.discard, self._folder, unmade)
