"""The composition root: what the bot is made of, who lives how long, and who ticks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bot.admission import Admission
from bot.archive import Archive
from bot.client import Fantasia
from bot.config import engine_environment
from bot.database import exclusive, open_database
from bot.dispatcher import Dispatcher
from bot.engine import process
from bot.models import About, Limits, Tier
from bot.office import Office
from bot.rulebook import Rulebook
from bot.studio import Studio
from bot.tiers import DEFAULTS

LOOK_EVERY = 2.0
"""How long news may go unnoticed at most, in seconds."""

PRIVATE = 0o077
"""What is taken from the permissions of the engine's files: they are their owner's alone."""


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


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
    clock: Callable[[], datetime] = utc_now
    silence: float = 120.0
    pause: float = 1.0


@asynccontextmanager
async def compose(plan: Plan) -> AsyncIterator[Fantasia]:
    """Run everything but Discord for as long as the block; if one part fails, all stop."""
    work, news = asyncio.Event(), asyncio.Event()
    with exclusive(plan.folder):
        async with open_database(plan.folder / "fantasia.db") as database:
            archive = Archive(database, folder=plan.folder, clock=plan.clock, work=work)
            await archive.sweep()
            admission = Admission(defaults=plan.defaults, limits=plan.limits, skus=plan.skus)
            studio = Studio(
                database,
                folder=plan.folder,
                clock=plan.clock,
                work=work,
                news=news,
                models=plan.models,
                max_seconds=plan.limits.max_seconds,
                admission=admission,
            )
            dispatcher = Dispatcher(
                database,
                folder=plan.folder,
                clock=plan.clock,
                work=work,
                news=news,
                start=partial(
                    process.start, plan.command, engine_environment(), plan.silence, umask=PRIVATE
                ),
                pause=plan.pause,
            )
            client = Fantasia(
                studio,
                archive=archive,
                office=Office(database, admission=admission, clock=plan.clock),
                rulebook=Rulebook(database, admission=admission, clock=plan.clock),
                about=plan.about,
                dev_guild_id=plan.dev_guild_id,
                owner_guild_id=plan.owner_guild_id,
                sync=plan.sync,
            )
            async with asyncio.TaskGroup() as group:
                loops = [group.create_task(dispatcher.run()), group.create_task(tick(client, news))]
                yield client
                for loop in loops:
                    loop.cancel()


async def tick(client: Fantasia, news: asyncio.Event) -> None:
    """Tell the cogs to look when there is news, and every few seconds in case some was missed."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await news.wait()
        news.clear()
        if client.is_ready():
            client.dispatch("look")
