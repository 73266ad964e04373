"""The composition root: how the bot is put together, and which loops it runs."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bot import monitoring
from bot.admin.members import MemberAdmin
from bot.admin.owner import Operations
from bot.admin.servers import ServerAdmin
from bot.admission import Admission
from bot.client import Fantasia, Services
from bot.clock import Clock, SystemClock
from bot.dispatch.deadlines import GRACE
from bot.dispatch.dispatcher import Dispatcher
from bot.engine import process
from bot.engine.environment import engine_environment
from bot.engine.files.encoder import encoding
from bot.errors import StorageError
from bot.metrics import Metrics
from bot.outbox import Outbox
from bot.retention.archive import Archive
from bot.retention.calendar import Calendar
from bot.retention.copies import Copies
from bot.retention.erasure import Erasure
from bot.rules.tiers import DEFAULTS
from bot.studio import Studio
from bot.tables.opening import exclusive, open_database
from bot.values import About, Keep, Limits, Tier

log = logging.getLogger(__name__)

NEWS_INTERVAL = 2.0
"""The longest that news may go unnoticed, in seconds."""

FLUSH_SECONDS = 30.0
"""How long owed messages may still be posted once rendering has ended, in seconds."""

HELD_DATABASE_PAUSE = 1.0
"""How long a start waits between tries while another program holds the database, in seconds."""

TIDY_INTERVAL = 600.0
"""How often to look for music that no longer needs to be kept, in seconds."""

PRIVATE_UMASK = 0o077
"""The umask of the engine's process: only the owner may read its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a bot is made from."""

    folder: Path
    command: tuple[str, ...]
    models: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    defaults: tuple[Tier, ...] = DEFAULTS
    skus: Mapping[int, str] = field(default_factory=dict)
    dev_guild_id: int | None = None
    owner_guild_id: int | None = None
    about: About = field(default_factory=About)
    sync: bool = False
    clock: Clock = field(default_factory=SystemClock)
    proxy: str | None = None
    silence: float = 120.0
    pause: float = 1.0
    grace: float = GRACE
    drain_seconds: float = 60.0
    keep: Keep = field(default_factory=Keep)
    metrics: tuple[str, int] | None = None


@asynccontextmanager
async def compose(plan: Plan) -> AsyncIterator[Fantasia]:
    """Run everything but Discord for as long as the block; if one part fails, all stop."""
    work, news, drain = asyncio.Event(), asyncio.Event(), asyncio.Event()
    metrics = Metrics()
    with exclusive(plan.folder):
        async with (
            open_database(plan.folder / "fantasia.db") as database,
            encoding(engine_environment(), PRIVATE_UMASK) as encoder,
        ):
            calendar = Calendar(database, clock=plan.clock, ticks=plan.clock.ticks)
            archive = Archive(
                database,
                folder=plan.folder,
                clock=plan.clock,
                calendar=calendar,
                work=work,
            )
            await _swept(archive)
            admission = Admission(
                folder=plan.folder, defaults=plan.defaults, limits=plan.limits, skus=plan.skus
            )
            studio = Studio(
                database,
                folder=plan.folder,
                clock=plan.clock,
                ticks=plan.clock.ticks,
                work=work,
                news=news,
                drain=drain,
                models=plan.models,
                max_seconds=plan.limits.max_seconds,
                admission=admission,
            )
            dispatcher = Dispatcher(
                database,
                folder=plan.folder,
                clock=plan.clock,
                ticks=plan.clock.ticks,
                work=work,
                news=news,
                drain=drain,
                metrics=metrics,
                start=partial(
                    process.start,
                    plan.command,
                    engine_environment(),
                    plan.silence,
                    umask=PRIVATE_UMASK,
                ),
                pause=plan.pause,
                grace=plan.grace,
            )
            services = Services(
                studio=studio,
                outbox=Outbox(database, clock=plan.clock, news=news),
                archive=archive,
                copies=Copies(plan.folder, encoder),
                erasure=Erasure(database, clock=plan.clock, calendar=calendar),
                member_admin=MemberAdmin(database, admission=admission, clock=plan.clock),
                server_admin=ServerAdmin(database, admission=admission, clock=plan.clock),
                operations=Operations(
                    database,
                    folder=plan.folder,
                    clock=plan.clock,
                    work=work,
                    news=news,
                    drain=drain,
                ),
                metrics=metrics,
                about=plan.about,
            )
            client = Fantasia(
                services,
                dev_guild_id=plan.dev_guild_id,
                owner_guild_id=plan.owner_guild_id,
                sync=plan.sync,
                proxy=plan.proxy,
            )
            async with contextlib.AsyncExitStack() as stack:
                pulse = monitoring.Pulse(database)
                if plan.metrics:
                    port = await stack.enter_async_context(
                        monitoring.serving(client, pulse, *plan.metrics)
                    )
                    log.info("metrics on port %d of %s", port, plan.metrics[0])
                group = await stack.enter_async_context(asyncio.TaskGroup())
                loops = {
                    "dispatcher": dispatcher.run(),
                    "tick": tick(client, news, pulse),
                    "tidy": tidy(archive, services.erasure, plan.keep),
                    "farewell": farewell(client, dispatcher, drain, news, plan.drain_seconds),
                }
                pulse.tasks = [group.create_task(loop, name=name) for name, loop in loops.items()]
                yield client
                for task in pulse.tasks:
                    task.cancel()


async def _swept(archive: Archive) -> None:
    """Sweep the data folder, once no other program holds the database."""
    while True:
        try:
            return await archive.sweep()
        except StorageError as error:
            if not error.busy:
                raise
            log.warning("waiting for the database: %s", error)
        await asyncio.sleep(HELD_DATABASE_PAUSE)


async def farewell(
    client: Fantasia,
    dispatcher: Dispatcher,
    drain: asyncio.Event,
    news: asyncio.Event,
    patience: float,
) -> None:
    """When draining: finish current renders within `patience` seconds, post what is owed, close."""
    await drain.wait()
    log.warning("draining: nothing new is started; current renders have %g s", patience)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await dispatcher.idle()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            while client.is_ready() and await _untold(client):
                news.set()
                await asyncio.sleep(0.1)
    log.warning("drained")
    await client.close()


async def _untold(client: Fantasia) -> bool:
    """Whether a message may be owed, or a status message out of date."""
    try:
        return bool(await client.services.outbox.owed()) or await client.services.studio.untold()
    except StorageError:  # nobody knows while the database cannot be read
        return True


async def tidy(archive: Archive, erasure: Erasure, keep: Keep) -> None:
    """Remove what no longer needs to be kept, now and every few minutes."""
    while True:
        try:
            await archive.prune(keep)
            await erasure.age(keep)
        except (OSError, StorageError) as error:
            log.error("old music could not be removed: %s", error)
        await asyncio.sleep(TIDY_INTERVAL)


def heed_signals(client: Fantasia) -> None:
    """Let the first SIGTERM or SIGINT drain the studio, and the second end this task at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked and task:
            log.warning("stopping at once: current renders start again at the next start")
            task.cancel()
        asked = True
        client.services.operations.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def tick(client: Fantasia, news: asyncio.Event, pulse: monitoring.Pulse) -> None:
    """Tell the cogs to look when there is news, and every few seconds in case some was missed."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEWS_INTERVAL):
                await news.wait()
        news.clear()
        pulse.beat()
        if client.is_ready():
            client.dispatch("look")
