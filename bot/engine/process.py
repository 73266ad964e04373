"""The bot's side of the engine: start the child, and notice when it is lost."""

import asyncio
import codecs
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from bot.engine.conversation import quoted
from bot.errors import EngineError

log = logging.getLogger(__name__)

LONGEST_MESSAGE_LINE = 65536

DEATH_PATIENCE = 5.0
"""Seconds in which a child that closed its pipe ends, and its last words are there."""

END_PATIENCE = 30.0
"""Seconds in which a child that was killed is gone, however much memory it has to give back."""

PRIVATE_UMASK = 0o077
"""The umask of engines' processes: only the owner may read their files."""


class ChildProcess:
    """A child's pipes, as a transport of what is said to it and heard of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Listen to what a child that was just started says beside the protocol."""
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._process, self._stdin = process, process.stdin
        self._stdout, self._stderr = process.stdout, process.stderr
        self._last_words = ""
        self._listening = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Send a line, without waiting."""
        # A dead child closes the pipe; `hear` reports that better than a broken pipe does.
        with suppress(OSError, RuntimeError):
            self._stdin.write(line)

    async def hear(self) -> bytes:
        """Return the child's next line; raise EngineError if it ended, or if there is no end."""
        try:
            return await self._stdout.readuntil()
        except asyncio.IncompleteReadError:
            raise EngineError(await self._death()) from None
        except asyncio.LimitOverrunError as error:
            raise EngineError(f"sent garbage ({error})") from error

    def kill(self) -> None:
        """Kill the child, and what it started itself."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the child and wait until nothing of it is left, but not for ever."""
        self.kill()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        try:
            async with asyncio.timeout(END_PATIENCE):
                await self._process.communicate()
        except TimeoutError:
            # A broken driver lets nobody be killed, who writes no file then either; and a helper
            # with a session of its own holds the pipes.
            log.error("process %d was killed, and something of it is left", self.pid)

    async def _listen(self) -> None:
        decoder, rest = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
        # Not line by line: a progress bar of a library is one line, longer than any limit.
        while chunk := await self._stderr.read(4096):
            *lines, rest = (rest + decoder.decode(chunk)).replace("\r", "\n").split("\n")
            self._note(*lines)
            if len(rest) > LONGEST_MESSAGE_LINE:
                self._note(rest)
                rest = ""
        self._note(rest)

    def _note(self, *lines: str) -> None:
        for line in filter(str.strip, lines):
            log.debug("engine: %s", line)
            self._last_words = quoted(line.strip())

    async def _death(self) -> str:
        # What it said last may still be in the pipe. A helper may hold that open, and then `wait`
        # does not return either.
        ended = asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait({ended, self._listening}, timeout=DEATH_PATIENCE)
        finally:
            ended.cancel()
        code = self._process.returncode
        how = "closed its pipe" if code is None else f"ended with code {code}"
        return f"{how}; its last words: {self._last_words or 'none'}"


@asynccontextmanager
async def child(
    command: Sequence[str],
    environment: Mapping[str, str],
    umask: int = -1,
    longest: int = LONGEST_MESSAGE_LINE,
) -> AsyncIterator[ChildProcess]:
    """Run a child for as long as the block, and leave nothing of it.

    `umask` takes permissions from the files that it makes; -1 leaves this process's. A line of its
    has `longest` bytes at most.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=longest,
        env=dict(environment),
        umask=umask,
        start_new_session=True,  # a Ctrl-C in the terminal is for the bot to handle
    )
    running = ChildProcess(process)
    try:
        yield running
    finally:
        await asyncio.shield(running.end())  # to its end, even if whoever runs it is cancelled
