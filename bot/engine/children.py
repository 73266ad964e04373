"""The engines of this machine, each a process of its own."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from bot.engine import process
from bot.engine.cards import ModelCard
from bot.engine.conversation import Conversation
from bot.engine.environment import engine_environment
from bot.engine.placement import Placement

EngineStart = Callable[[], AbstractAsyncContextManager[Conversation]]
"""Runs an engine for as long as the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How engines are run, wherever they are; see `process.child` for the `umask`.

    One may take `loading` seconds until it is ready and be quiet at work for `silence` seconds.
    `cards` say what its models must turn out to be.
    """

    command: Sequence[str]
    silence: float = 120
    loading: float = 1800
    umask: int = -1
    cards: Sequence[ModelCard] = ()


@asynccontextmanager
async def start(way: Way, environment: Mapping[str, str]) -> AsyncIterator[Conversation]:
    """Run an engine as a child for as long as the block."""
    async with process.child(way.command, environment, way.umask) as child:
        yield Conversation(child, way.silence, way.loading, way.cards)


@dataclass(frozen=True, slots=True)
class Children:
    """An engine on each of some places of this machine."""

    placements: Sequence[Placement]
    way: Way

    async def engines(self) -> AsyncGenerator[Mapping[str, EngineStart], None]:
        """Yield what starts each, by its name: once, since they stay."""
        environment = engine_environment()
        yield {
            placement.name: partial(start, self.way, {**environment, **placement.environment})
            for placement in self.placements
        }
