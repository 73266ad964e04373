"""Claim → engine → record: the loop between the queue and one engine."""

import asyncio
import logging
from contextlib import AsyncExitStack, aclosing, suppress

from bot import queue
from bot.dispatch import render_order, reports
from bot.dispatch.deadlines import Deadlines
from bot.dispatch.machine import Machine
from bot.dispatch.openings import EngineSlots, begun_elsewhere, opening
from bot.dispatch.patience import Patience
from bot.dispatch.running_job import Phase, RunningJob
from bot.dispatch.surroundings import Surroundings
from bot.engine.children import EngineStart
from bot.engine.conversation import Conversation
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
from bot.errors import EngineError, JobError, OperatorError, StorageError
from bot.logs import change
from bot.tables import engines, jobs
from bot.values import Job

log = logging.getLogger(__name__)

NOTED_EVERY = 1.0
"""The shortest interval between two notes of a job's progress, in seconds."""

LONGEST_PAUSE = 60.0
"""The longest pause before a lost engine is restarted, in seconds."""


class Dispatcher:
    """Moves jobs from queued to rendered or failed; the only caller of an engine."""

    def __init__(self, name: str, start: EngineStart, around: Surroundings) -> None:
        self._name = name
        self._start = start
        self._around = around
        self._database, self._folder = around.database, around.folder
        self._clock, self._ticks = around.clock, around.ticks
        self._news, self._drain = around.news, around.drain
        self._metrics, self._endings = around.metrics, around.endings
        self._pause = around.pause
        self._died = False
        """Whether the last engine was lost by a fault of its own."""
        self._lost = False
        """Whether its loss is still to be recorded."""
        self._trouble = ""
        self.slots = EngineSlots(name)
        self._running = self.slots.running
        self._deadlines = Deadlines(around.ticks, around.grace)
        self._patiently = Patience(self._deadlines, self._running)
        self._machine = Machine(self._database, self.slots, self._deadlines)
        self._idle = asyncio.Event()
        """Set while no job is rendered."""
        self._idle.set()

    async def run(self) -> None:
        """Keep an engine running."""
        self._around.engines[self._name] = self.slots
        try:
            while True:
                await self._serve_once()
                if (task := asyncio.current_task()) and task.cancelling():
                    # A group of tasks says nothing of a cancel that comes with an engine's death.
                    raise asyncio.CancelledError
                await self._patiently(self._recover)
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            with suppress(StorageError):  # the fleet then does, or the next start
                await asyncio.shield(self.settle())
            del self._around.engines[self._name]

    async def idle(self) -> None:
        """Wait until no job is rendered."""
        await self._idle.wait()

    def gone(self) -> None:
        """Its engine is no longer there: what it rendered counts as lost with it."""
        self._lost = self._died = True
        self._trouble = "It is no longer there."

    async def settle(self) -> None:
        """Settle what it has: its engine was lost, or else it is as if that had never started."""
        if self._lost:
            await self._recover()
        else:
            await self._endings.hand_back(self._name, self._running)

    async def _serve_once(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with self._around.turn_to_load(self._name):
                    await self._patiently(self._database.transact, engines.loads, self._name)
                    engine = await stack.enter_async_context(self._start())
                    self._metrics.engines[self._name] = engine.pid
                    ready = await engine.ready()
                await self._patiently(self._loaded, ready)
                await self._serve(engine)
        except* (EngineError, OperatorError) as lost:
            self._lost, self._died = True, lost.subgroup(EngineError) is not None
            self._trouble = "; ".join(str(error) for error in lost.exceptions)
            self._around.failed(self._name, self._trouble)
        finally:
            self.slots.serving = False
            self._metrics.engines.pop(self._name, None)

    async def _recover(self) -> None:
        """Settle the jobs of an engine that was lost."""
        deaths = int(self._died)
        await self._endings.recover(self._name, self._running, deaths=deaths, trouble=self._trouble)
        self._lost = self._died = False
        self._running.clear()

    async def _serve(self, engine: Conversation) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(engine.attend())
                while True:
                    # Cancelled jobs leave before others are claimed, and room is made only
                    # once none is left.
                    await self._patiently(self._heed, engine)
                    await self._begin(engine, group)
                    await self._patiently(self._make_room, engine)
                    self.slots.declined(self._around.engines.values())
                    await self.slots.called()
        finally:
            for running in self._running.values():
                # The rows stay as they are: recovery finds them.
                running.end()
            self._idle.set()

    async def _loaded(self, ready: Ready) -> None:
        await self._machine.loaded(ready)
        self._pause = self._around.pause
        self._news.set()

    async def _heed(self, engine: Conversation) -> None:
        """Tell the engine of jobs that are cancelled or stopped."""
        wanted = {job.id: job for job in await jobs.running(self._database, self._name)}
        for number, running in self._running.items():
            if number not in wanted:
                self._drop(engine, running, Phase.CANCELLED)
            elif wanted[number].stopping:
                self._finish(engine, running)

    async def _begin(self, engine: Conversation, group: asyncio.TaskGroup) -> None:
        """Give the engine as many jobs as its models have room for."""
        while self._has_room() and (job := await self._patiently(self._claim)):
            running = self._running[job.id] = RunningJob(job=job, begun=self._ticks())
            self._idle.clear()
            # In `_running` before the first await: recovery and deadlines must know of it whatever
            # fails.
            if order := await self._patiently(self._order, engine, running):
                running.preview_due = any(part.preview for part in order.parts)
                group.create_task(self._render(engine, running, order))

    async def _make_room(self, engine: Conversation) -> None:
        """Let a paying job take the place of one in the idle lane, if no other engine has room."""
        idle = any(running.job.idle for running in self._running.values())
        if not idle or not self._may_begin():
            return
        async with self._around.making_room:
            if begun := begun_elsewhere(self.slots, self._around.engines):
                self.slots.leaves()
            barred = opening(self.slots, self._around.engines).barred
            for job in await self._endings.give_way(self._name, begun | {*barred}):
                self._drop(engine, self._running[job.id], Phase.REQUEUED)

    async def _claim(self) -> Job | None:
        could = opening(self.slots, self._around.engines)
        if could.elsewhere:  # which holds the better ones, too
            self.slots.leaves()  # before it looks: the other may decline meanwhile
        job = await self._database.transact(queue.claim, could, self._clock())
        if job:
            waited = max(0.0, (self._clock() - job.created_at).total_seconds())
            change(log, job, "running", waited=waited, attempt=str(job.attempts))
            if job.attempts == 1:
                self._metrics.waits.observe(waited)
            self._news.set()
        return job

    async def _order(self, engine: Conversation, running: RunningJob) -> Render | None:
        """Return the order for a job; fail the job and return None if there can be none."""
        try:
            return await render_order.write(self._database, self._folder, running.job)
        except JobError as error:
            await self._endings.refused(running, error)
            self._let_go(engine, running)
            return None

    async def _render(self, engine: Conversation, running: RunningJob, order: Render) -> None:
        # If the engine is lost here the job stays where it is: recovery finds it.
        self._watch(engine)
        try:
            async with aclosing(engine.render(order)) as said:
                async for report in said:
                    await self._patiently(self._heard, engine, running, report)
        except JobError as error:
            await self._patiently(self._endings.refused, running, error)
            await self._patiently(self._machine.learns, running.job.request.model)
        else:
            late = running.phase is Phase.LATE
            await self._patiently(self._endings.overdue if late else self._rendered, running)
        self._let_go(engine, running)

    async def _heard(self, engine: Conversation, running: RunningJob, said: InterimReport) -> None:
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

    async def _previewed(self, engine: Conversation, running: RunningJob) -> None:
        running.preview_due = False
        now = await reports.previewed(self._database, self._folder, running.job, self._clock())
        if now and now.stopping:
            self._finish(engine, running)
        elif now:
            self._news.set()

    async def _rendered(self, running: RunningJob) -> None:
        spent, pace = self._ticks() - running.begun, self._deadlines.measured(running)
        await self._endings.rendered(running.job, spent, pace)
        await self._machine.learns(running.job.request.model)
        self._metrics.renders.labels(running.job.request.model).observe(spent)

    def _let_go(self, engine: Conversation, running: RunningJob) -> None:
        del self._running[running.job.id]
        running.end()
        self._watch(engine)
        if not self._running:
            self._idle.set()
        self.slots.ring()

    def _watch(self, engine: Conversation) -> None:
        """Drop jobs that take much longer than they usually do on this machine."""

        def late(running: RunningJob) -> None:
            self._drop(engine, running, Phase.LATE)

        self._deadlines.watch(self._running.values(), self.slots.loaded, late)

    def _drop(self, engine: Conversation, running: RunningJob, phase: Phase) -> None:
        """Tell the engine to drop a job; one that is back in the queue stays there."""
        told = running.unwanted
        if not told or phase is Phase.REQUEUED:
            running.phase = phase
        if not told:
            engine.cancel(running.job.id)

    def _finish(self, engine: Conversation, running: RunningJob) -> None:
        """Stop a job early, but not before the preview that members heard in an earlier attempt.

        One that was stopped while it waited gets no longer than its preview.
        """
        whole = running.phase is Phase.RENDERING and not running.job.stopping
        if whole and not running.preview_due:
            running.phase = Phase.FINISHING
            engine.finish(running.job.id)

    def _has_room(self) -> bool:
        return self._may_begin() and not self.slots.full().issuperset(self.slots.loaded)

    def _may_begin(self) -> bool:
        """Whether jobs may start: not while the engine still has one that is back in the queue."""
        # Its number may be claimed again, while the engine knows jobs by their number.
        return not self.slots.drops() and not self._drain.is_set()
