"""The engines of a cluster, which the bot reaches by the link's process."""

import asyncio
import itertools
import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.engine.children import EngineStart, Way
from bot.engine.conversation import Conversation
from bot.engine.environment import link_environment
from bot.engine.link.messages import (
    Begin,
    End,
    Ended,
    Engines,
    LineSaid,
    Tell,
    ToLink,
    Trouble,
    from_link,
)
from bot.engine.link.nodes import on_loopback
from bot.engine.messages import ProtocolError, encode
from bot.engine.process import LONGEST_MESSAGE_LINE, ChildProcess, child
from bot.errors import EngineError, OperatorError

log = logging.getLogger(__name__)

LONGEST_LINK_LINE = 2 * LONGEST_MESSAGE_LINE
"""Bytes: a child's line in it takes a third more than by itself."""

LONGEST_SILENCE = 90.0
"""Seconds in which a link says something, and a node to it: they do so several times in it.

It is longer than Ray takes to start a driver on a busy machine.
"""

LONGEST_LINK_PAUSE = 60.0
"""The longest pause before the link is started anew, in seconds."""

SESSION_END_PATIENCE = 30.0
"""Seconds in which the link ends a session, which waits for nothing but a write to the disk."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of Ray's; its link is started anew after a `pause` in seconds, which doubles.

    What says nothing for `silence` seconds is lost: the link, or an actor.
    """

    address: str
    way: Way
    pause: float = 1.0
    silence: float = LONGEST_SILENCE

    async def engines(self) -> AsyncGenerator[Mapping[str, EngineStart], None]:
        """Yield the engines that there are, by their names, at first and whenever that changes."""
        pause, known = self.pause, ""
        environment = link_environment(token=has_token(os.environ))
        told = (self.address, str(self.silence), *self.way.command)
        words = [sys.executable, "-m", "bot.engine.link", *told]
        while True:
            lost = ""
            async with child(words, environment, self.way.umask, LONGEST_LINK_LINE) as process:
                link = Link(process, self.silence)
                try:
                    async for names in link.changes():
                        pause, known = self.pause, ""
                        log.info("engines in the cluster: %s", ", ".join(names) or "none")
                        yield {name: partial(self._run, link, name) for name in names}
                except EngineError as error:
                    lost = link.trouble or f"The link to the cluster at {self.address} {error}."
                finally:
                    link.close()
            if lost != known:
                known = lost
                log.error("no engines until there is a cluster, which is tried again: %s", lost)
            yield {}
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LINK_PAUSE)

    @asynccontextmanager
    async def _run(self, link: "Link", name: str) -> AsyncIterator[Conversation]:
        async with link.session(name) as session:
            yield Conversation(session, self.way.silence, cards=self.way.cards)


class Link:
    """The link's process: the sessions that it carries, and the engines of which it tells."""

    def __init__(self, process: ChildProcess, silence: float = LONGEST_SILENCE) -> None:
        self._process, self._silence = process, silence
        self._numbers = itertools.count(1)
        self._sessions: dict[int, RemoteEngine] = {}
        self._names: tuple[str, ...] | None = None
        self._changed = asyncio.Event()
        self._lost = ""
        self.trouble = ""
        """What it said of why there is no cluster, since it last told of engines."""
        self._attending = asyncio.create_task(self._attend())

    async def changes(self) -> AsyncGenerator[tuple[str, ...], None]:
        """Yield the engines' names whenever they change; raise EngineError once it is lost."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._lost:
                raise EngineError(self._lost)
            assert self._names is not None
            yield self._names

    @asynccontextmanager
    async def session(self, engine: str) -> AsyncIterator["RemoteEngine"]:
        """Run an engine's process for as long as the block, and leave nothing that writes files."""
        number = next(self._numbers)
        session = self._sessions[number] = RemoteEngine(number, self.send)
        if self._lost:
            session.heard(Ended(session=number, reason=self._lost))
        self.send(Begin(session=number, engine=engine))
        try:
            yield session
        finally:
            await asyncio.shield(self._end(number, session))

    def send(self, message: ToLink) -> None:
        """Send a message, without waiting."""
        self._process.send(encode(message))

    def close(self) -> None:
        """Stop listening: the process ends."""
        self._attending.cancel()
        self._lose("was ended")

    async def _end(self, number: int, session: "RemoteEngine") -> None:
        self.send(End(session=number))
        try:
            async with asyncio.timeout(SESSION_END_PATIENCE):
                await session.ended.wait()
        except TimeoutError:
            log.error("the link does not answer, and is started anew")
            self._process.kill()
            await session.ended.wait()
        del self._sessions[number]

    async def _attend(self) -> None:
        try:
            while True:
                async with asyncio.timeout(self._silence):
                    line = await self._process.hear()
                self._route(line)
        except TimeoutError:
            reason = f"said nothing for {self._silence:g} s"
        except ProtocolError as error:
            reason = f"sent garbage ({error})"
        except EngineError as lost:
            reason = str(lost)
        await self._process.end()  # or it might still write files of sessions that count as ended
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._changed.set()
        for number, session in self._sessions.items():
            session.heard(Ended(session=number, reason=f"lost its link, which {self._lost}"))

    def _route(self, line: bytes) -> None:
        match from_link(line):
            case Engines(names=names):
                self.trouble = ""
                if names != self._names:
                    self._names = names
                    self._changed.set()
            case Trouble(reason=reason):
                self.trouble = reason
                if self._names is not None:  # else there is no cluster, which is told once
                    log.warning("%s", reason)
            case (LineSaid(session=number) | Ended(session=number)) as said:
                if session := self._sessions.get(number):
                    session.heard(said)


class RemoteEngine:
    """The way to an engine's process on its node; see bot.engine.conversation.Transport."""

    pid = None

    def __init__(self, number: int, send: Callable[[ToLink], None]) -> None:
        self._number, self._send = number, send
        self._said: asyncio.Queue[LineSaid | Ended] = asyncio.Queue()
        self.ended = asyncio.Event()
        """Set once no file of its comes any more."""

    def send(self, line: bytes) -> None:
        """Send a line, without waiting."""
        self._send(Tell(session=self._number, line=line))

    async def hear(self) -> bytes:
        """Return the engine's next line; raise EngineError once it has ended."""
        said = await self._said.get()
        if isinstance(said, Ended):
            self._said.put_nowait(said)
            raise EngineError(said.reason)
        return said.line

    def heard(self, said: LineSaid | Ended) -> None:
        """Keep what was said until somebody listens."""
        if isinstance(said, Ended):
            self.ended.set()
        self._said.put_nowait(said)


def check(address: str) -> None:
    """Raise OperatorError unless a cluster at this address is guarded by a token, or by nothing.

    The second is enough on loopback.
    """
    if not (has_token(os.environ) or on_loopback(address.rpartition(":")[0])):
        raise OperatorError(
            f"RAY_ADDRESS is {address}, and there is no token: whoever reaches the cluster could "
            "run anything on its machines. Set RAY_AUTH_TOKEN_PATH (see docs/cluster.md)."
        )


def has_token(environment: Mapping[str, str]) -> bool:
    """Whether Ray finds a token, and is not told to do without."""
    if environment.get("RAY_AUTH_MODE", "token").lower() != "token":
        return False
    named = environment.get("RAY_AUTH_TOKEN") or environment.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or Path("~/.ray/auth_token").expanduser().exists()
