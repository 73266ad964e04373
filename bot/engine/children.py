"""The engines of this machine, each a process of its own."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
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
    """How engines are run, wherever they are; see bot.engine.process."""

    command: Sequence[str]
    silence: float = 120
    umask: int = -1
    cards: Sequence[ModelCard] = ()


@dataclass(frozen=True, slots=True)
class Children:
    """An engine on each of some places of this machine."""

    placements: Sequence[Placement]
    way: Way

    async def engines(self) -> AsyncGenerator[Mapping[str, EngineStart], None]:
        """Yield what starts each, by its name: once, since they stay."""
        environment, way = engine_environment(), self.way
        yield {
            placement.name: partial(
                process.start,
                way.command,
                {**environment, **placement.environment},
                way.silence,
                umask=way.umask,
                cards=way.cards,
            )
            for placement in self.placements
        }
