"""What the dispatchers of all engines share."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from bot.dispatch.endings import Endings
from bot.dispatch.openings import EngineSlots
from bot.monitoring.metrics import Metrics
from bot.tables.database import Database

LONGEST_TURN = 600.0
"""For how long an engine that loads keeps others of its computer from it, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the dispatchers of all engines share.

    What is stored uses the `clock`; what is measured uses the `ticks`, in seconds. A lost engine is
    restarted after a `pause`, which doubles. One that loads keeps others of its computer from it
    for the `turn` at most: after that it may never answer. `endings` take jobs out of the engines'
    hands. `failed` is told which engine was lost or could not start, and why.
    """

    database: Database
    folder: Path
    clock: Callable[[], datetime]
    ticks: Callable[[], float]
    pause: float
    grace: float
    turn: float
    news: asyncio.Event
    drain: asyncio.Event
    metrics: Metrics
    endings: Endings
    engines: dict[str, EngineSlots] = field(default_factory=dict)
    loading: defaultdict[str, asyncio.Lock] = field(
        default_factory=partial(defaultdict, asyncio.Lock)
    )
    """Of each computer, by its name."""
    making_room: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one that looks whether it should make room, so that no second does for the same.
    """
    failed: Callable[[str, str], None]

    @asynccontextmanager
    async def turn_to_load(self, engine: str) -> AsyncIterator[None]:
        """Wait until an engine may load: on a computer, one does after another."""
        loading = self.loading[engine.rpartition("/")[0]]
        await loading.acquire()
        with ExitStack() as turn:
            turn.callback(loading.release)
            over = asyncio.get_running_loop().call_later(self.turn, turn.close)
            turn.callback(over.cancel)
            yield
