"""Claim → engine → record: the loop between the queue and the engine's process."""

import asyncio
import logging
import wave
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime, timedelta
from pathlib import Path

from bot import jobs, ledger, posts, settings, takes, turns
from bot.database import Database, Transaction
from bot.engine import audio
from bot.engine.messages import (
    PREVIEW,
    Loaded,
    Part,
    Previewed,
    Progress,
    Ready,
    Render,
    Took,
)
from bot.engine.process import Engine
from bot.errors import EngineError, JobError, OperatorError
from bot.logs import change
from bot.models import EngineState, Fault, Job, PostKind

log = logging.getLogger(__name__)

TRIES = 2
"""How often a job may be running when the engine is lost before it is failed."""

LOST = "The engine stopped twice while rendering it."
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
        self._running: dict[int, int] = {}
        """Takes of each job that the engine has."""
        self._noted: dict[int, datetime] = {}
        self._stopping: set[int] = set()
        """Jobs that the engine was told to finish."""
        self._yielding: set[int] = set()
        """Jobs that wait again while the engine has yet to let go of them."""
        self._idle = asyncio.Event()
        """Set while no job is rendered."""
        self._idle.set()
        self._models: tuple[str, ...] = ()
        """What the engine has loaded."""

    async def run(self) -> None:
        """Keep an engine running; raise OperatorError if the first one cannot start."""
        try:
            while True:
                await self._recover()
                await self._serve_once()
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            await asyncio.shield(self._hand_back())

    async def idle(self) -> None:
        """Wait until no job is rendered."""
        await self._idle.wait()

    async def _serve_once(self) -> None:
        try:
            async with self._start() as engine:
                await self._serve(engine)
        except* (EngineError, OperatorError) as lost:
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
                    self._running[job.id] = job.request.takes
                    self._idle.clear()
                    group.create_task(self._render(engine, job))
                await self._make_room(engine)
                await self._work.wait()
                self._work.clear()

    async def _render(self, engine: Engine, job: Job) -> None:
        try:
            async with aclosing(engine.render(await self._order(job))) as reports:
                async for said in reports:
                    await self._heard(job, said)
            await self._rendered(job)
        except JobError as error:
            await self._failed(job, str(error))
        finally:
            self._running.pop(job.id, None)
            self._noted.pop(job.id, None)
            self._stopping.discard(job.id)
            self._yielding.discard(job.id)
            if not self._running:
                self._idle.set()
            self._work.set()

    async def _heard(self, job: Job, said: Loaded | Progress | Previewed | Took) -> None:
        if job.id in self._yielding and not isinstance(said, Loaded):
            return
        match said:
            case Took():
                await self._took(job, said)
            case Progress():
                await self._progressed(job, said)
            case Previewed():
                await self._previewed(job)
            case Loaded():
                await self._swapped(said)

    async def _recover(self) -> None:
        async with self._database.transaction() as tx:
            await settings.put(tx, "engine", EngineState.LOADING)
            interrupted = await jobs.running(tx)
            for job in interrupted:
                if job.attempts < TRIES:
                    await jobs.retried(tx, job.id)
                    await takes.reset(tx, job.id)
                else:
                    await self._record_failure(tx, job, LOST, Fault.CRASH)
        for number in self._running.keys() | {job.id for job in interrupted}:
            self._discard(number)
        self._running.clear()
        self._idle.set()
        self._yielding.clear()
        self._work.set()

    async def _hand_back(self) -> None:
        async with self._database.transaction() as tx:
            for job in await jobs.running(tx):
                await jobs.requeued(tx, job.id)
                await takes.reset(tx, job.id)

    async def _loaded(self, ready: Ready) -> None:
        self._ready = ready
        self._models = ready.models[:1]
        self._pause = self._first_pause
        async with self._database.transaction() as tx:
            await settings.put(tx, "engine", EngineState.READY)
            await settings.put(tx, "slots", str(ready.slots))
            for model in ready.models[:1]:
                await settings.put(tx, f"pace {model}", str(ready.pace))
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
        return not self._yielding and sum(self._running.values()) < slots

    async def _make_room(self, engine: Engine) -> None:
        """Let a job that pays take the place of one that does not."""
        async with self._database.transaction() as tx:
            given_way = [job for job in await jobs.running(tx) if job.idle]
            if not given_way or self._yielding or not await jobs.somebody_pays(tx):
                return
            for job in given_way:
                await jobs.requeued(tx, job.id)
                await takes.reset(tx, job.id)
        for job in given_way:
            self._yielding.add(job.id)
            engine.cancel(job.id)
            change(log, job, "queued", because="another waits, who pays")
        self._news.set()

    async def _order(self, job: Job) -> Render:
        request = job.request
        return Render(
            id=job.id,
            prompt=request.prompt,
            seconds=min(request.seconds, PREVIEW) if job.stopping else request.seconds,
            model=request.model,
            parts=tuple(self._part(job, number) for number in range(1, request.takes + 1)),
            guidance=request.guidance,
            temperature=request.temperature,
            top_k=request.top_k,
            prefix=await self._prefix(job),
            picture=str(self._folder / _picture(job)),
        )

    def _part(self, job: Job, number: int) -> Part:
        preview = job.request.length > PREVIEW and not job.request.before and not job.stopping
        return Part(
            number=number,
            seed=job.request.seed + number - 1,
            audio=str(self._folder / _file(job, number, "wav")),
            codes=str(self._folder / _file(job, number, "npy")),
            preview=str(self._folder / _file(job, number, "preview.wav")) if preview else None,
        )

    async def _prefix(self, job: Job) -> str | None:
        if job.request.parent_take is None:
            return None
        parent = await takes.find(self._database, job.request.parent_take)
        if parent is None or parent.codes is None or not (self._folder / parent.codes).exists():
            raise JobError("The piece that it should continue was deleted meanwhile.")
        return str(self._folder / parent.codes)

    async def _progressed(self, job: Job, said: Progress) -> None:
        now = self._clock()
        if now - self._noted.get(job.id, now - NOTED_EVERY) >= NOTED_EVERY:
            self._noted[job.id] = now
            async with self._database.transaction() as tx:
                await jobs.progressed(tx, job.id, said.done / max(said.done, said.total, 1))

    async def _took(self, job: Job, said: Took) -> None:
        name = _file(job, said.number, "wav")
        await asyncio.to_thread(_verify, self._folder / name, said.seconds, job.request.length)
        codes = _file(job, said.number, "npy")
        kept = codes if (self._folder / codes).exists() else None
        async with self._database.transaction() as tx:
            await takes.rendered(tx, job.id, said.number, said.seconds, name, kept)

    async def _previewed(self, job: Job) -> None:
        async with self._database.transaction() as tx:
            for number in range(1, job.request.takes + 1):
                await takes.previewed(tx, job.id, number, _file(job, number, "preview.wav"))
            await posts.add(tx, job.id, PostKind.PREVIEW, self._clock())
        self._news.set()

    async def _swapped(self, said: Loaded) -> None:
        self._models = said.models
        async with self._database.transaction() as tx:
            await settings.put(tx, f"pace {said.model}", str(said.pace))
        log.info("engine loaded %s; at hand: %s", said.model, ", ".join(said.models))

    async def _rendered(self, job: Job) -> None:
        async with self._database.transaction() as tx:
            if await jobs.rendered(tx, job.id, self._clock()):
                missing = [take.number for take in await takes.of(tx, job.id) if not take.audio]
                if missing and not (job.id in self._stopping and len(missing) < job.request.takes):
                    raise EngineError(f"called job {job.id} done without take {missing[0]}")
                if (self._folder / _picture(job)).exists():
                    await jobs.drawn(tx, job.id, _picture(job))
                await ledger.settled(tx, job.id, self._clock())
                await posts.superfluous(tx, job.id, self._clock())
                await posts.add(tx, job.id, PostKind.RESULT, self._clock())
                assert job.started_at
                spent = (self._clock() - job.started_at).total_seconds()
                change(log, job, "rendered", spent=spent)
                self._news.set()
                return
        self._discard(job.id)

    async def _failed(self, job: Job, reason: str, fault: Fault = Fault.REQUEST) -> None:
        async with self._database.transaction() as tx:
            await self._record_failure(tx, job, reason, fault)
        self._discard(job.id)

    async def _record_failure(self, tx: Transaction, job: Job, reason: str, fault: Fault) -> None:
        if await jobs.failed(tx, job.id, reason, fault, self._clock()):
            await ledger.returned(tx, job.id, self._clock())
            await posts.superfluous(tx, job.id, self._clock())
            await posts.add(tx, job.id, PostKind.FAILURE, self._clock())
            change(log, job, "failed", logging.WARNING, fault=fault, because=reason)
            self._news.set()

    def _discard(self, job: int) -> None:
        for file in (self._folder / "audio").glob(f"{job}-*.*"):
            file.unlink()


def _file(job: Job, number: int, kind: str) -> str:
    return f"audio/{job.id}-{number}.{kind}"


def _picture(job: Job) -> str:
    return f"audio/{job.id}-picture.png"


def _verify(path: Path, announced: float, longest: float) -> None:
    try:
        length = audio.seconds(path)
    except (OSError, EOFError, wave.Error) as error:
        raise EngineError(f"announced a take whose file cannot be read ({error})") from error
    if not 0 < length <= longest + 0.001 or abs(length - announced) > 0.001:
        raise EngineError(
            f"announced {announced:g} s of {longest:g} s; the file holds {length:g} s"
        )
