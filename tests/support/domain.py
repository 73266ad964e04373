"""The domain by itself, for machines of Hypothesis to drive."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine, rule

from bot import queue
from bot.dispatch.deadlines import Deadlines
from bot.dispatch.machine import Machine
from bot.dispatch.openings import EngineSlots
from bot.tables.opening import open_database
from bot.values import Job, Limits, Tier
from tests.support.clock import Clock
from tests.support.one_engine import ENGINE, opening
from tests.support.scripted_child import ready
from tests.support.studio import rooms

T = TypeVar("T")


class Domain(RuleBasedStateMachine):
    """A database with all rooms but Discord and the engine, whose part the machine plays."""

    def __init__(self, *tiers: Tier, skus: dict[int, str] | None = None) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.temporary = TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.clock = Clock()
        self.opened = open_database(self.folder / "test.db")
        self.database = self.do(self.opened.__aenter__())
        made = rooms(
            self.database,
            self.folder,
            self.clock,
            *tiers,
            limits=Limits(idle_lane=True),
            skus=skus,
            models=("scripted",),
        )
        services = made.services
        self.studio, self.accounts = services.studio, services.accounts
        self.pieces = services.pieces
        self.archive, self.outbox = services.archive, services.outbox
        self.member_admin, self.tier_admin = services.member_admin, services.tier_admin
        self.endings = made.endings
        slots = EngineSlots(ENGINE)
        machine = Machine(self.database, slots, Deadlines(self.clock.ticks))
        self.do(machine.loaded(ready()))
        self.running: list[Job] = []

    def do(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self.runner.run(run())

    def teardown(self) -> None:
        self.do(self.opened.__aexit__(None, None, None))
        self.runner.close()
        self.temporary.cleanup()

    @rule()
    def claim(self) -> None:
        job = self.do(self._claim())
        if job:
            self.running.append(job)

    async def _claim(self) -> Job | None:
        async with self.database.transaction() as tx:
            return await queue.claim(tx, opening("scripted"), self.clock())
