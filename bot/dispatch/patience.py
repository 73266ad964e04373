"""Waiting for a database that is locked or full, while the engine keeps rendering."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import ParamSpec, TypeVar

from bot.dispatch.deadlines import Deadlines
from bot.dispatch.running_job import RunningJob
from bot.errors import StorageError

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.25, 10.0
"""Pauses between tries, in seconds; they double."""

P = ParamSpec("P")
T = TypeVar("T")


class Patience:
    """Repeats a step until the database allows it."""

    def __init__(self, deadlines: Deadlines, running: Mapping[int, RunningJob]) -> None:
        self._deadlines = deadlines
        self._running = running

    async def __call__(
        self, step: Callable[P, Awaitable[T]], *arguments: P.args, **more: P.kwargs
    ) -> T:
        """Return what the step does."""
        wait = FIRST_WAIT
        while True:
            try:
                done = await step(*arguments, **more)
            except StorageError as error:
                log.warning("waiting %g s for the database: %s", wait, error)
                # What the engine says cannot be recorded meanwhile: no job is late for that.
                self._deadlines.stop(self._running.values())
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                if wait > FIRST_WAIT:
                    self._deadlines.go_on(self._running.values())
                return done
