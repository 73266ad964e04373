"""The domain without Discord or an engine: who asks, with which tier, and the rooms that answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bot import queue
from bot.app import Bells, Plan, services_of
from bot.client import Services
from bot.clock import utc_now
from bot.dispatch.endings import Endings
from bot.engine.files.encoder import Encoder
from bot.monitoring.metrics import Metrics
from bot.outbox import Outbox
from bot.studio import Studio
from bot.tables import jobs
from bot.tables.database import Database
from bot.tables.opening import open_database
from bot.values import Job, Limits, Origin, Owed, Tier, Viewer
from tests.support import inside
from tests.support.clock import Clock
from tests.support.one_engine import opening

GENEROUS = Tier(
    key="free",
    name="Generous",
    price="free",
    longest=120,
    takes=5,
    per_day=1200,
    waiting=50,
    stars=3,
    models=frozenset({"*"}),
    weight=1,
)

ALL_DAY = replace(GENEROUS, per_day=86_400)


def origin(user: int = 1, guild: int = 10, channel: int = 100) -> Origin:
    return Origin(
        guild_id=guild,
        channel_id=channel,
        user_id=user,
        user_name="someone",
        application_id=5,
        token="t",
    )


def viewer(user: int = 1, guild: int = 10, *, manager: bool = True) -> Viewer:
    """Return somebody who looks into no channel but manages the server, unless told otherwise."""
    return Viewer(guild=guild, user=user, manager=manager, views=lambda _: False)


def member(user: int = 1, guild: int = 10, *, manager: bool = False) -> Viewer:
    """Return somebody who looks into every channel of a server."""
    return Viewer(guild=guild, user=user, manager=manager, views=lambda _: True)


async def owed_by(studio: Studio) -> list[Owed]:
    """Return the messages that are due."""
    return await Outbox(inside.database(studio), clock=utc_now, news=asyncio.Event()).owed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What a bot is made of besides Discord and an engine, over one database."""

    services: Services
    endings: Endings


def rooms(
    database: Database,
    folder: Path,
    clock: Clock,
    *tiers: Tier,
    limits: Limits | None = None,
    skus: Mapping[int, str] | None = None,
    models: tuple[str, ...] = ("small",),
) -> Rooms:
    """Put the rooms together as the bot does; nothing rings in them but what a test does."""
    plan = Plan(
        folder=folder,
        command=(),
        models=models,
        clock=clock,
        defaults=tiers or (ALL_DAY,),
        limits=limits or Limits(),
        skus=skus or {},
    )
    bells = Bells()
    return Rooms(
        services=services_of(plan, database, Encoder((), {}, 0), bells, Metrics()),
        endings=Endings(database, folder=folder, clock=clock, work=bells.work, news=bells.news),
    )


@asynccontextmanager
async def a_studio(
    folder: Path,
    clock: Clock,
    *tiers: Tier,
    waiting: int = 1000,
    skus: Mapping[int, str] | None = None,
    models: tuple[str, ...] = ("small",),
) -> AsyncIterator[tuple[Studio, Database]]:
    """Open a database, and a studio over it in which so many may wait."""
    limits = Limits(waiting=waiting, waiting_per_server=waiting)
    async with open_database(folder / "test.db") as database:
        made = rooms(database, folder, clock, *tiers, limits=limits, skus=skus, models=models)
        yield made.services.studio, database


async def serve(
    database: Database, clock: Clock, pace: float = 1.0, engines: int = 1
) -> Job | None:
    """Claim a job on one of so many engines, and go on until one of them is free again.

    A second of music takes `pace` seconds.
    """
    async with database.transaction() as tx:
        busy = await jobs.running(tx)
        free = {f"cpu-{i}" for i in range(engines)} - {job.engine for job in busy}
        claimed = await queue.claim(tx, opening("small", engine=min(free)), clock())
    if claimed and len(busy) == engines - 1:
        ends = min([*busy, claimed], key=lambda job: (job.started_at, job.id))
        clock.turn(seconds=pace * ends.request.seconds * ends.request.takes)
        async with database.transaction() as tx:
            await jobs.rendered(tx, ends.id, clock())
    return claimed
