"""Claim → engine → record: the loop between the queue and the engine's process."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from pathlib import Path

from bot import queue
from bot.dispatch import render_order, reports
from bot.dispatch.deadlines import GRACE, Deadlines
from bot.dispatch.endings import Endings
from bot.dispatch.machine import Machine
from bot.dispatch.patience import Patience
from bot.dispatch.running_job import Phase, RunningJob
from bot.engine.messages import (
    InterimReport,
    Loaded,
    Loading,
    Previewed,
    Progress,
    Ready,
    Render,
    Took,
)
from bot.engine.process import RunningEngine
from bot.errors import EngineError, JobError, OperatorError, StorageError
from bot.logs import change
from bot.monitoring.metrics import Metrics
from bot.tables import jobs
from bot.tables.database import Database
from bot.values import Job

log = logging.getLogger(__name__)

NOTED_EVERY = 1.0
"""The shortest interval between two notes of a job's progress, in seconds."""

LONGEST_PAUSE = 60.0
"""The longest pause before a lost engine is restarted, in seconds."""


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
        metrics: Metrics,
        start: Callable[[], AbstractAsyncContextManager[RunningEngine]],
        ticks: Callable[[], float] = time.monotonic,
        pause: float = 1.0,
        grace: float = GRACE,
    ) -> None:
        """What is stored uses the `clock`; what is measured uses the `ticks`, in seconds."""
        self._database = database
        self._folder = folder
        self._clock = clock
        self._ticks = ticks
        self._work = work
        self._news = news
        self._drain = drain
        self._metrics = metrics
        self._start = start
        self._first_pause = self._pause = pause
        self._died = False
        """Whether the last engine was lost by a fault of its own."""
        self._running: dict[int, RunningJob] = {}
        """The jobs in the engine, in the order that it took them; those of a lost one."""
        self._deadlines = Deadlines(ticks, grace)
        self._patiently = Patience(self._deadlines, self._running)
        self._machine = Machine(database, self._deadlines)
        self._endings = Endings(
            database, folder=folder, clock=clock, news=news, machine=self._machine
        )
        self._idle = asyncio.Event()
        """Set while no job is rendered."""
        self._idle.set()

    async def run(self) -> None:
        """Keep an engine running; raise OperatorError if the first one cannot start."""
        try:
            while True:
                await self._serve_once()
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            with contextlib.suppress(StorageError):  # the next start then finds them running
                await asyncio.shield(self._endings.hand_back(self._running))

    async def idle(self) -> None:
        """Wait until no job is rendered."""
        await self._idle.wait()

    async def _serve_once(self) -> None:
        try:
            await self._patiently(self._recover)
            async with self._start() as engine:
                await self._serve(engine)
        except* (EngineError, OperatorError) as lost:
            reason = "; ".join(str(error) for error in lost.exceptions)
            self._metrics.engine = None
            if not self._machine.known:
                raise OperatorError(f"The engine cannot start: {reason}") from lost
            self._died = lost.subgroup(EngineError) is not None
            self._metrics.engine_restarts.inc()
            log.error("restarting the engine: %s", reason)

    async def _recover(self) -> None:
        """Settle the jobs of an engine that was lost, in this run of the bot or an earlier one.

        This comes first at each start, so that nothing below has to consider earlier engines.
        """
        await self._endings.recover(self._running, deaths=int(self._died))
        self._died = False
        self._running.clear()
        self._work.set()

    async def _serve(self, engine: RunningEngine) -> None:
        self._metrics.engine = engine.pid
        ready = await engine.ready()
        await self._patiently(self._loaded, ready)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(engine.attend())
                while True:
                    # Cancelled jobs leave before others are claimed, and room is made only
                    # once none is left.
                    await self._patiently(self._heed, engine)
                    await self._begin(engine, group)
                    await self._patiently(self._make_room, engine)
                    await self._work.wait()
                    self._work.clear()
        finally:
            for running in self._running.values():
                # The rows stay as they are: recovery finds them at the next start.
                running.end()
            self._idle.set()

    async def _loaded(self, ready: Ready) -> None:
        await self._machine.loaded(ready)
        self._pause = self._first_pause
        self._news.set()

    async def _heed(self, engine: RunningEngine) -> None:
        """Tell the engine of jobs that are cancelled or stopped."""
        wanted = {job.id: job for job in await jobs.running(self._database)}
        for number, running in self._running.items():
            if number not in wanted:
                self._drop(engine, running, Phase.CANCELLED)
            elif wanted[number].stopping:
                self._finish(engine, running)

    async def _begin(self, engine: RunningEngine, group: asyncio.TaskGroup) -> None:
        """Give the engine as many jobs as its models have room for."""
        while self._has_room() and (job := await self._patiently(self._claim)):
            running = self._running[job.id] = RunningJob(job=job, begun=self._ticks())
            self._idle.clear()
            # In `_running` before the first await: recovery and deadlines must know of it whatever
            # fails.
            if order := await self._patiently(self._order, engine, running):
                running.preview_due = any(part.preview for part in order.parts)
                group.create_task(self._render(engine, running, order))

    async def _make_room(self, engine: RunningEngine) -> None:
        """Let a paying job take the place of one in the idle lane."""
        if not self._may_begin():
            return
        for job in await self._endings.give_way():
            self._drop(engine, self._running[job.id], Phase.REQUEUED)

    async def _claim(self) -> Job | None:
        async with self._database.transaction() as tx:
            job = await queue.claim(tx, self._machine.models, self._clock(), self._full())
        if job:
            waited = max(0.0, (self._clock() - job.created_at).total_seconds())
            change(log, job, "running", waited=waited, attempt=str(job.attempts))
            if job.attempts == 1:
                self._metrics.waits.observe(waited)
            self._news.set()
        return job

    async def _order(self, engine: RunningEngine, running: RunningJob) -> Render | None:
        """Return the order for a job; fail the job and return None if there can be none."""
        try:
            return await render_order.write(self._database, self._folder, running.job)
        except JobError as error:
            await self._endings.refused(running, error)
            self._let_go(engine, running)
            return None

    async def _render(self, engine: RunningEngine, running: RunningJob, order: Render) -> None:
        # If the engine is lost here the job stays where it is: recovery finds it.
        self._watch(engine)
        try:
            async with aclosing(engine.render(order)) as said:
                async for report in said:
                    await self._patiently(self._heard, engine, running, report)
        except JobError as error:
            await self._patiently(self._endings.refused, running, error)
        else:
            late = running.phase is Phase.LATE
            await self._patiently(self._endings.overdue if late else self._rendered, running)
        self._let_go(engine, running)

    async def _heard(self, engine: RunningEngine, running: RunningJob, said: InterimReport) -> None:
        match said:
            case Loading():
                self._deadlines.suspend(self._running.values())
                running.loads = True
            case Loaded():
                await self._machine.swapped(said)
                running.loads = False
                self._watch(engine)
            case _ if running.unwanted:
                return
            case Took():
                await reports.took(self._database, self._folder, running.job, said)
            case Progress():
                await self._progressed(running, said)
            case Previewed():
                await self._previewed(engine, running)

    async def _progressed(self, running: RunningJob, said: Progress) -> None:
        now = self._ticks()
        if now - running.noted >= NOTED_EVERY:
            running.noted = now
            await reports.progressed(self._database, running.job, said)

    async def _previewed(self, engine: RunningEngine, running: RunningJob) -> None:
        running.preview_due = False
        now = await reports.previewed(self._database, self._folder, running.job, self._clock())
        if now and now.stopping:
            self._finish(engine, running)
        elif now:
            self._news.set()

    async def _rendered(self, running: RunningJob) -> None:
        spent, pace = self._ticks() - running.begun, self._deadlines.measured(running)
        await self._endings.rendered(running.job, spent, pace)
        self._metrics.renders.labels(running.job.request.model).observe(spent)

    def _let_go(self, engine: RunningEngine, running: RunningJob) -> None:
        del self._running[running.job.id]
        running.end()
        self._watch(engine)
        if not self._running:
            self._idle.set()
        self._work.set()

    def _watch(self, engine: RunningEngine) -> None:
        """Drop jobs that take much longer than they usually do on this machine."""

        def late(running: RunningJob) -> None:
            self._drop(engine, running, Phase.LATE)

        self._deadlines.watch(self._running.values(), self._machine.models, late)

    def _drop(self, engine: RunningEngine, running: RunningJob, phase: Phase) -> None:
        """Tell the engine to drop a job; one that is back in the queue stays there."""
        told = running.unwanted
        if not told or phase is Phase.REQUEUED:
            running.phase = phase
        if not told:
            engine.cancel(running.job.id)

    def _finish(self, engine: RunningEngine, running: RunningJob) -> None:
        """Stop a job early, but not before the preview that members heard in an earlier attempt.

        One that was stopped while it waited gets no longer than its preview.
        """
        whole = running.phase is Phase.RENDERING and not running.job.stopping
        if whole and not running.preview_due:
            running.phase = Phase.FINISHING
            engine.finish(running.job.id)

    def _has_room(self) -> bool:
        return self._may_begin() and not self._full().issuperset(self._machine.models)

    def _full(self) -> set[str]:
        return self._machine.full(running.job for running in self._running.values())

    def _may_begin(self) -> bool:
        """Whether jobs may start: not while the engine still has one that is back in the queue."""
        # Its number may be claimed again, while the engine knows jobs by their number.
        requeued = any(running.phase is Phase.REQUEUED for running in self._running.values())
        return not requeued and not self._drain.is_set()
