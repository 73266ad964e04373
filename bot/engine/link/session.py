"""An engine's process on a node, from here: its lines and its files."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from bot.engine.conversation import LONGEST_LAST_WORDS
from bot.engine.files import wav
from bot.engine.link.files import travelling
from bot.engine.link.messages import (
    Chunk,
    FromLink,
    Heartbeat,
    Item,
    LineSaid,
    NodeLine,
    Over,
)
from bot.engine.link.nodes import EnginePlace
from bot.engine.messages import (
    Alive,
    Cancel,
    Cancelled,
    Done,
    Failed,
    ProtocolError,
    Ready,
    Render,
    command,
    encode,
    report,
)
from bot.errors import EngineError
from bot.values import Fault

log = logging.getLogger(__name__)

ITEMS_AHEAD = 4
"""How many items a node may send before they are taken: it keeps so many chunks of a file ready."""

NODE_END_PATIENCE = 5.0
"""Seconds in which a node ends a process, if it can be reached."""

LARGEST_FILE = 2**28
"""Bytes: more than twenty minutes of stereo in 48 kHz, for a piece may have been extended often."""


ActorHandle = Any
"""A handle of Ray's: it has the methods of a `Station`, each to be called by its `remote`."""


async def _outcome(reference: Awaitable[object]) -> None:
    await reference


async def uncancelled(work: Coroutine[Any, Any, object]) -> None:
    """Wait for the end of some work, even if this is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def told_by(error: BaseException) -> str:
    """Return the line of an error of Ray's that says most: of a traceback that is the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    says = -1 if isinstance(error, RayTaskError) else 0
    return (lines or [type(error).__name__])[says][:LONGEST_LAST_WORDS]


class NodeSession:
    """A process on a node, started once and ended once."""

    def __init__(self, number: int, say: Callable[[FromLink], None], silence: float) -> None:
        """What it says goes to `say`.

        It is lost if its actor says nothing for `silence` seconds.
        """
        self._number, self._say, self._silence = number, say, silence
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._paths: dict[int, dict[str, Path]] = {}
        """Where the files of each order go, by their names on the way."""
        self._unsaved: set[int] = set()
        """Orders that ended here, since their files could not be read or written."""
        self._chunks: list[bytes] = []
        self._untold = ""
        """Why a line could not be told."""
        self.ending = False
        """Whether it ends by itself, or was told to: it takes no files any more."""
        self.reason = "ended"
        """Why it ended."""
        self.useless = False
        """Whether its actor is dead for good, or silent."""

    async def run(
        self, actor: ActorHandle, place: EnginePlace, words: Sequence[str], python: str
    ) -> None:
        """Run a command by an actor, until it ends or this is cancelled."""
        stream = actor.run.options(
            num_returns="streaming", _generator_backpressure_num_objects=ITEMS_AHEAD
        ).remote(self._number, words, python, place.share, self._silence)
        telling = asyncio.create_task(self._tell_all(actor))
        patience = NODE_END_PATIENCE
        try:
            await self._hear(stream)
        except EngineError as lost:
            self.reason = self._untold or str(lost)
        except TimeoutError:
            self.useless, patience = True, 0.0
            self.reason = f"said nothing on {place.label} for {self._silence:g} s"
        except RayError as error:
            self.useless, patience = isinstance(error, ActorDiedError), 0.0
            self.reason = f"cannot be reached on {place.label} any more ({told_by(error)})"
        finally:
            self.ending = True
            telling.cancel()
            with suppress(RayError, TimeoutError):
                ray.cancel(stream)  # it may wait for somebody to take what it said
                ended = actor.end.remote(self._number)
                await asyncio.wait_for(_outcome(ended), patience)

    def tell(self, line: bytes) -> None:
        """Hand a line to the process, once those before it have come there."""
        self._lines.put_nowait(line)

    async def _hear(self, stream: AsyncIterator[Awaitable[Item]]) -> None:
        """Take what comes, to its end; raise TimeoutError if nothing does for too long."""
        while True:
            async with asyncio.timeout(self._silence):
                try:
                    reference = await anext(stream)
                except StopAsyncIteration:
                    return
                item = await reference
            await self._take(item)

    async def _tell_all(self, actor: ActorHandle) -> None:
        while True:
            line = await self._lines.get()
            told, prefix = command(line), None
            job = told.id
            try:
                if isinstance(told, Render):
                    sent, self._paths[job] = travelling(told)
                    if told.prefix:
                        prefix = await asyncio.to_thread(Path(told.prefix).read_bytes)
                    line = encode(sent)
                await actor.tell.remote(self._number, line, prefix)
            except RayError as error:
                # It would wait for the rest: its process ends, or the stream meets the same.
                self._untold = f"cannot be told anything any more ({told_by(error)})"
                actor.end.remote(self._number)
                return
            except OSError as error:
                self._fail(job, error)

    async def _take(self, item: Item) -> None:
        match item:
            case Over(reason=reason):
                raise EngineError(reason)
            case Chunk():
                await self._collect(item)
            case NodeLine(line=line):
                self._forward(line)
            case Heartbeat():
                pass

    def _forward(self, line: bytes) -> None:
        try:
            said = report(line)
        except ProtocolError:  # the bot says what is wrong with it
            self._say(LineSaid(session=self._number, line=line))
            return
        job = None if isinstance(said, Alive | Ready) else said.id
        if job not in self._unsaved:
            self._say(LineSaid(session=self._number, line=line))
        if job is not None and isinstance(said, Done | Failed | Cancelled):
            self._paths.pop(job, None)
            self._unsaved.discard(job)

    async def _collect(self, chunk: Chunk) -> None:
        """Keep a piece of a file, and put it where the order says once it is whole."""
        self._chunks.append(chunk.data)
        if sum(map(len, self._chunks)) > LARGEST_FILE:
            raise EngineError("sent a file that is too large to be music")
        if not chunk.last:
            return
        data, self._chunks = self._chunks, []
        path = self._paths.get(chunk.job, {}).get(chunk.name)
        if path is None:
            raise EngineError("sent a file that nobody asked for")
        try:
            # Not cut short: whoever cancels this must find that nobody writes.
            await uncancelled(asyncio.to_thread(wav.replace, path, lambda f: f.writelines(data)))
        except OSError as error:
            self._fail(chunk.job, error)

    def _fail(self, job: int, error: OSError) -> None:
        """End a render whose files cannot be read or written here, whatever else is said of it."""
        if job not in self._unsaved:
            self._unsaved.add(job)
            reason = f"The music could not be saved: {error}."
            failed = Failed(id=job, fault=Fault.DISK, reason=reason)
            self._say(LineSaid(session=self._number, line=encode(failed)))
            self.tell(encode(Cancel(id=job)))
