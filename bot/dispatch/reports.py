"""The engine's reports on a running job: checked, since it may lie, and recorded."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from bot.dispatch import render_order
from bot.engine.messages import Progress, Took
from bot.errors import EngineError, StorageError
from bot.retention import disk
from bot.tables import jobs, posts, takes
from bot.tables.database import Database
from bot.values import Job, PostKind, Status

P = ParamSpec("P")
T = TypeVar("T")


async def progressed(database: Database, job: Job, said: Progress) -> None:
    """Note a job's progress, unless the database is busy: the next report will do."""
    with contextlib.suppress(StorageError):
        done = said.done / max(said.done, said.total, 1)
        await database.transact(jobs.progressed, job.id, done)


async def took(database: Database, folder: Path, job: Job, said: Took) -> None:
    """Note a take; raise EngineError if its files are not what the engine reported."""
    codes = await seen(database, job, render_order.verify, folder, job, said.number, said.seconds)
    name = disk.take_file(job, said.number, "wav")
    await database.transact(takes.rendered, job.id, said.number, said.seconds, name, codes)


async def previewed(database: Database, folder: Path, job: Job, now: datetime) -> Job | None:
    """Note the previews of all takes and owe them, unless the job is to stop now anyway.

    Returns the job as it is, None if they are no longer wanted. Raises EngineError if the files
    are not what they should be.
    """
    await seen(database, job, render_order.verify_previews, folder, job)
    async with database.transaction() as tx:
        for number in range(1, job.request.takes + 1):
            name = disk.take_file(job, number, "preview.wav")
            if not await takes.previewed(tx, job.id, number, name):
                return None
        # Read in this transaction: a stop that comes later finds the preview owed, one before wins.
        found = await jobs.find(tx, job.id)
        if found and not found.stopping:
            await posts.add_another(tx, job.id, PostKind.PREVIEW, now)
        return found


async def seen(
    database: Database, job: Job, look: Callable[P, T], *at: P.args, **more: P.kwargs
) -> T | None:
    """Look at the files of a running job; they may be gone if it was forgotten."""
    try:
        return await asyncio.to_thread(look, *at, **more)
    except EngineError:
        now = await jobs.find(database, job.id)
        if now and now.status is Status.RUNNING:
            raise
        return None
