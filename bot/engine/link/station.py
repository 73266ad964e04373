"""What runs an engine's process on a node: the class of the actors, which knows nothing of Ray."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import bot
from bot.engine import placement
from bot.engine.environment import engine_environment
from bot.engine.link import scratch, versions
from bot.engine.link.files import PREFIX_FILE, announced, arrived, chunks
from bot.engine.link.messages import Heartbeat, Item, NodeLine, Over
from bot.engine.messages import (
    Alive,
    Cancelled,
    Done,
    Failed,
    ProtocolError,
    Ready,
    Render,
    RenderReport,
    command,
    encode,
    report,
)
from bot.engine.placement import THREADS
from bot.engine.process import PRIVATE_UMASK, ChildProcess, child
from bot.errors import EngineError

HEARTBEATS = 6
"""How often an actor says that it is there in the time after which it would count as lost.

No oftener: of each item that was ever sent Ray keeps some bytes.
"""

RAYLET = "RAY_RAYLET_PID"
"""Where a worker of Ray's finds which process started it."""


class Station:
    """An engine's process at a time, in a folder of its own."""

    def __init__(self) -> None:
        scratch.sweep()
        self._running: Running | None = None
        self._one = asyncio.Lock()
        """Held while there is anything of a process."""

    async def versions(self) -> dict[str, str]:
        """Return the versions that this node has."""
        return versions.here()

    async def run(
        self,
        session: int,
        words: Sequence[str],
        python: str,
        share: tuple[int, int] | None,
        silence: float,
    ) -> AsyncGenerator[Item, None]:
        """Run an engine's command and yield what it says, each file before what announces it.

        The bot's `python` in it is this node's. On a CPU its `share` is such a one of so many.
        Something is yielded well within every `silence` seconds.
        """
        here = [sys.executable if word == python else word for word in words]
        if self._running:
            self._running.kill()
        async with self._one:
            try:
                with scratch.folder() as folder:
                    async with child(here, environment(share), PRIVATE_UMASK) as process:
                        self._running = running = Running(session, process, folder)
                        async for item in running.items(silence / HEARTBEATS):
                            yield item
            finally:
                self._running = None

    async def tell(self, session: int, line: bytes, prefix: bytes | None = None) -> None:
        """Hand a line to the process, and with an order the codes to go on from."""
        if self._running and self._running.session == session:
            self._running.tell(line, prefix)

    async def end(self, session: int) -> None:
        """Kill the process, if it still is this session's, and wait until nothing of it is left."""
        if self._running and self._running.session == session:
            self._running.kill()
            async with self._one:
                pass


class Running:
    """A process, the orders that it has, and their files."""

    def __init__(self, session: int, process: ChildProcess, folder: Path) -> None:
        self.session = session
        self._process, self._folder = process, folder
        self._orders: dict[int, Render] = {}

    def kill(self) -> None:
        self._process.kill()

    def tell(self, line: bytes, prefix: bytes | None) -> None:
        told = command(line)
        if isinstance(told, Render):
            home = self._home(told.id)
            home.mkdir(mode=0o700, exist_ok=True)
            if prefix is not None:
                (home / PREFIX_FILE).write_bytes(prefix)
            told = self._orders[told.id] = arrived(told, home)
        self._process.send(encode(told))

    async def items(self, interval: float) -> AsyncGenerator[Item, None]:
        while True:
            try:
                async with asyncio.timeout(interval):
                    line = await self._process.hear()
            except TimeoutError:
                yield Heartbeat()
                continue
            except EngineError as lost:
                yield Over(str(lost))
                return
            said = _report(line)
            if said and (order := self._orders.get(said.id)):
                for path in announced(order, said):
                    for chunk in chunks(order.id, path):
                        yield chunk
            yield NodeLine(line)
            if isinstance(said, Done | Failed | Cancelled):
                self._forget(said.id)

    def _forget(self, job: int) -> None:
        if self._orders.pop(job, None):
            shutil.rmtree(self._home(job), ignore_errors=True)

    def _home(self, job: int) -> Path:
        return self._folder / str(job)


def environment(share: tuple[int, int] | None) -> dict[str, str]:
    """Return what an engine's process inherits on this node, on a CPU with its share of that."""
    found = engine_environment()
    # Ray sets it to 1 in whatever it starts; only what the node itself was started with counts.
    found.pop(THREADS, None)
    found |= {THREADS: said} if (said := _nodes_own(THREADS)) else {}
    root = str(Path(bot.__file__).parents[1])
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (root, found.get("PYTHONPATH"))))
    found.pop("PYTHONBREAKPOINT", None)  # Ray's, which the engine's process does not have
    if share:
        number, count = share
        found |= placement.local(count, "cpu", found)[number].environment
    return found


def _nodes_own(key: str) -> str | None:
    """Return what a node was started with, where it can be seen."""
    try:
        said = Path(f"/proc/{os.environ[RAYLET]}/environ").read_bytes()
    except (KeyError, OSError):
        return None
    pairs = (each.partition(b"=") for each in said.split(b"\0"))
    return next((value.decode() for name, _, value in pairs if name.decode() == key), None)


def _report(line: bytes) -> RenderReport | None:
    """Return what a line reports of a render; the bot finds out what is wrong with others."""
    try:
        said = report(line)
    except ProtocolError:
        return None
    return None if isinstance(said, Alive | Ready) else said
