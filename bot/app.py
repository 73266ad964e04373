"""The composition root: how the bot is put together, and which loops it runs."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.admin.members import MemberAdmin
from bot.admin.owner import Operations
from bot.admin.panels import Panels
from bot.admin.servers import ServerAdmin
from bot.admin.tiers import TierAdmin
from bot.admission import Admission
from bot.belongings.drafts import Drafts
from bot.belongings.shelf import Shelf
from bot.client import Fantasia, Services
from bot.clock import Clock, SystemClock
from bot.dispatch.deadlines import GRACE
from bot.dispatch.fleet import Fleet
from bot.engine.cards import ModelCard, card
from bot.engine.children import Children, Way
from bot.engine.cluster import Cluster
from bot.engine.environment import engine_environment
from bot.engine.files.encoder import Encoder, encoding
from bot.engine.placement import Placement
from bot.engine.process import PRIVATE_UMASK
from bot.errors import StorageError
from bot.lookup.accounts import Accounts
from bot.lookup.pieces import Pieces
from bot.lookup.standings import Standings
from bot.monitoring.metrics import Metrics
from bot.monitoring.server import Pulse, serving
from bot.outbox import Outbox
from bot.retention.archive import Archive
from bot.retention.calendar import Calendar
from bot.retention.copies import Copies
from bot.retention.erasure import Erasure
from bot.rules.terms import Terms
from bot.rules.tiers import DEFAULTS
from bot.studio import Studio
from bot.tables.database import Database
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a bot is made from; `cards` say of the models what their names alone do not.

    The engines are those of `placements`, or of the cluster at `ray_address`.
    """

    folder: Path
    command: tuple[str, ...]
    placements: tuple[Placement, ...] = (Placement("cpu-0"),)
    ray_address: str | None = None
    models: tuple[str, ...]
    cards: tuple[ModelCard, ...] = ()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bells:
    """What the parts ring: to look for `work` or for `news`, and to `drain` the studio."""

    work: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    drain: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def compose(plan: Plan) -> AsyncIterator[Fantasia]:
    """Run everything but Discord for as long as the block; if one part fails, all stop."""
    bells, metrics = Bells(), Metrics()
    with exclusive(plan.folder):
        async with (
            open_database(plan.folder / "fantasia.db") as database,
            encoding(engine_environment(), PRIVATE_UMASK) as encoder,
        ):
            services = services_of(plan, database, encoder, bells, metrics)
            # Before any engine starts: what a killed one left must not be taken for new music.
            await _swept(services.archive)
            client = Fantasia(
                database,
                services,
                dev_guild_id=plan.dev_guild_id,
                owner_guild_id=plan.owner_guild_id,
                sync=plan.sync,
                proxy=plan.proxy,
            )
            fleet = _fleet(plan, database, bells, metrics)
            pulse = Pulse(database)
            async with _running(plan, client, fleet, bells, pulse):
                yield client


def services_of(
    plan: Plan, database: Database, encoder: Encoder, bells: Bells, metrics: Metrics
) -> Services:
    """Make what the cogs ask; nothing of it runs by itself."""
    folder, clock, work, news = plan.folder, plan.clock, bells.work, bells.news
    terms = Terms(tiers=plan.defaults, limits=plan.limits, skus=plan.skus)
    calendar = Calendar(database, clock=clock, ticks=clock.ticks)
    return Services(
        terms=terms,
        clock=clock,
        studio=Studio(
            database,
            Admission(terms, folder=folder),
            folder=folder,
            clock=clock,
            work=work,
            news=news,
            cards=plan.cards or tuple(map(card, plan.models)),
            max_seconds=plan.limits.max_seconds,
        ),
        drafts=Drafts(database, clock=clock),
        shelf=Shelf(database),
        accounts=Accounts(database, terms, clock=clock),
        pieces=Pieces(database, folder=folder),
        standings=Standings(database, clock=clock, drain=bells.drain),
        outbox=Outbox(database, clock=clock, news=news),
        archive=Archive(database, folder=folder, clock=clock, calendar=calendar, work=work),
        copies=Copies(folder, encoder),
        erasure=Erasure(database, clock=clock, calendar=calendar),
        member_admin=MemberAdmin(database, terms, clock=clock),
        tier_admin=TierAdmin(database, terms, models=plan.models, clock=clock),
        server_admin=ServerAdmin(database, terms, clock=clock),
        panels=Panels(database, clock=clock),
        operations=Operations(
            database, folder=folder, clock=clock, work=work, news=news, drain=bells.drain
        ),
        metrics=metrics,
        about=plan.about,
    )


def _fleet(plan: Plan, database: Database, bells: Bells, metrics: Metrics) -> Fleet:
    return Fleet(
        database,
        folder=plan.folder,
        clock=plan.clock,
        ticks=plan.clock.ticks,
        work=bells.work,
        news=bells.news,
        drain=bells.drain,
        metrics=metrics,
        source=_engines(plan).engines,
        pause=plan.pause,
        grace=plan.grace,
        needed=not plan.ray_address,
    )


def _engines(plan: Plan) -> Children | Cluster:
    way = Way(command=plan.command, silence=plan.silence, umask=PRIVATE_UMASK, cards=plan.cards)
    if plan.ray_address:
        return Cluster(plan.ray_address, way, pause=plan.pause)
    return Children(plan.placements, way)


@asynccontextmanager
async def _running(
    plan: Plan, client: Fantasia, fleet: Fleet, bells: Bells, pulse: Pulse
) -> AsyncIterator[None]:
    """Run the loops, and serve the metrics if they are wanted, for as long as the block."""
    services = client.services
    async with contextlib.AsyncExitStack() as stack:
        if plan.metrics:
            port = await stack.enter_async_context(serving(client, pulse, *plan.metrics))
            log.info("metrics on port %d of %s", port, plan.metrics[0])
        group = await stack.enter_async_context(asyncio.TaskGroup())
        loops = {
            "fleet": fleet.run(),
            "tick": tick(client, bells.news, pulse),
            "tidy": tidy(services.archive, services.erasure, plan.keep),
            "farewell": farewell(client, fleet, bells, plan.drain_seconds),
        }
        pulse.tasks = [group.create_task(loop, name=name) for name, loop in loops.items()]
        yield
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


async def farewell(client: Fantasia, fleet: Fleet, bells: Bells, patience: float) -> None:
    """When draining: finish current renders within `patience` seconds, post what is owed, close."""
    await bells.drain.wait()
    log.warning("draining: nothing new is started; current renders have %g s", patience)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await fleet.idle()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            # Again and again, for a place is posted one message at each look.
            while client.is_ready() and await _untold(client.services.outbox):
                bells.news.set()
                await asyncio.sleep(0.1)
    log.warning("drained")
    await client.close()


async def _untold(outbox: Outbox) -> bool:
    """Whether a message may be owed, or a status message out of date."""
    try:
        return await outbox.untold()
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


async def tick(client: Fantasia, news: asyncio.Event, pulse: Pulse) -> None:
    """Tell the cogs to look when there is news, and every few seconds in case some was missed."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEWS_INTERVAL):
                await news.wait()
        news.clear()  # before the look: what is rung for meanwhile is looked for again
        pulse.beat()
        if client.is_ready():
            client.dispatch("look")
