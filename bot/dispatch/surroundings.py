"""What the dispatchers of all engines share."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from bot.dispatch.endings import Endings
from bot.dispatch.openings import EngineSlots
from bot.engine.process import RunningEngine
from bot.monitoring.metrics import Metrics
from bot.tables.database import Database

Start = Callable[[], AbstractAsyncContextManager[RunningEngine]]
"""Runs an engine for as long as the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the dispatchers of all engines share.

    What is stored uses the `clock`; what is measured uses the `ticks`, in seconds. A lost engine is
    restarted after a `pause`, which doubles. `endings` take jobs out of the engines' hands.
    `failed` is told which engine was lost or could not start, and why.
    """

    database: Database
    folder: Path
    clock: Callable[[], datetime]
    ticks: Callable[[], float]
    pause: float
    grace: float
    news: asyncio.Event
    drain: asyncio.Event
    metrics: Metrics
    endings: Endings
    engines: dict[str, EngineSlots] = field(default_factory=dict)
    loading: defaultdict[str, asyncio.Lock] = field(
        default_factory=partial(defaultdict, asyncio.Lock)
    )
    """Of each computer, by its name: there, one engine loads after another."""
    making_room: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one that looks whether it should make room, so that no second does for the same.
    """
    failed: Callable[[str, str], None]
