"""For monitoring: /metrics in Prometheus' text format, and /healthz.

/healthz answers 503 only for what a restart of the program fixes: one of its tasks has ended, the
one that tells the others to look has not run for `STUCK_SECONDS`, or one transaction has held the
database for as long. It reads nothing but memory, so that it answers in time; a stuck event loop
does not answer at all, which a watcher treats the same. It answers 200 while Discord is away, the
model loads, the studio is paused or its disk is full: that is for /metrics.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bot.client import Fantasia
from bot.errors import OperatorError
from bot.monitoring.metrics import Snapshot
from bot.tables.database import Database

STUCK_SECONDS = 120.0
"""Seconds without progress after which none is expected."""

LAG_INTERVAL = 0.25
"""Seconds between two looks at the event loop."""


class Lag:
    """How much later than asked the event loop comes back, at worst since the last scrape."""

    def __init__(self) -> None:
        self._worst = 0.0

    async def watch(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self._worst = max(self._worst, loop.time() - due)

    def take(self) -> float:
        """Return the worst in seconds, and reset it."""
        worst, self._worst = self._worst, 0.0
        return worst


class Pulse:
    """Signs that the program is alive: its tasks, and when the ticking one last ran."""

    def __init__(self, database: Database) -> None:
        self.tasks: Sequence[asyncio.Task[None]] = ()
        self._database = database
        self._looked = time.monotonic()

    def beat(self) -> None:
        """Note that the task which tells the others to look has run."""
        self._looked = time.monotonic()

    def stuck(self) -> str | None:
        """Return what a restart would fix, or None."""
        if ended := [task.get_name() for task in self.tasks if task.done()]:
            return f"ended: {', '.join(ended)}"
        if time.monotonic() - self._looked > STUCK_SECONDS:
            return "the loop that looks for news is stuck"
        return "the database is stuck" if self._database.held_for() > STUCK_SECONDS else None


@asynccontextmanager
async def serving(client: Fantasia, pulse: Pulse, host: str, port: int) -> AsyncIterator[int]:
    """Serve both pages for as long as the block, and yield the port; 0 takes a free one.

    Raises OperatorError if the port is not available.
    """
    lag = Lag()

    def connected() -> bool:
        return client.is_ready() and math.isfinite(client.latency)

    async def metrics(_: web.Request) -> web.Response:
        # The state is that of this scrape, while events add up in a registry that stays.
        stats, state = await client.services.operations.stats(), CollectorRegistry()
        state.register(Snapshot(stats, lag.take(), client.latency, connected=connected()))
        text = generate_latest(client.services.metrics.registry) + generate_latest(state)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        stuck = pulse.stuck()
        found = {"healthy": stuck is None, "stuck": stuck, "discord": connected()}
        return web.json_response(found, status=200 if stuck is None else 503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    watching = asyncio.create_task(lag.watch())
    try:
        await site.start()
        yield runner.addresses[0][1]
    except OSError as error:
        raise OperatorError(
            f"METRICS_PORT {port} on {host} is not available: {error.strerror}."
        ) from error
    finally:
        watching.cancel()
        await runner.cleanup()
