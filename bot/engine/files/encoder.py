"""Music in other formats, written one file at a time by a process that gives way to all others."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from bot.engine.files.formats import Conversion, Format
from bot.engine.files.tags import Tags

ENCODER_COMMAND = (sys.executable, "-m", "bot.engine.files.encoding")

ENCODING_TIMEOUT = 600.0
"""Seconds that one file may take: two hundred times as long as on an idle machine."""


class Encoder:
    """Starts its process when it is first needed, and again if it was lost."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], umask: int) -> None:
        self._command = command
        self._environment = environment
        self._umask = umask
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def encode(
        self, source: Path, target: Path, kind: Format, tags: Tags, part: tuple[int, int] = (1, 1)
    ) -> None:
        """Write what `formats.convert` does; raise OSError where that cannot be done."""
        order = Conversion(source=str(source), target=str(target), kind=kind, tags=tags, part=part)
        line = msgspec.json.encode(order) + b"\n"
        async with self._turn:
            try:
                async with asyncio.timeout(ENCODING_TIMEOUT):
                    answer = await self._answer(line)
                    if answer is None and self._process:  # killed, and not by end()
                        answer = await self._answer(line)
                    if answer is None:
                        raise OSError("the process that writes other formats was killed")
            except BaseException:
                await asyncio.shield(self.end())  # nobody is waiting for its current file any more
                raise
        if answer:
            raise OSError(answer)

    async def end(self) -> None:
        """Kill the process, if there is one, and wait until nothing of it is left."""
        process, self._process = self._process, None
        if process:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            assert process.stdin
            process.stdin.close()
            await process.wait()  # whoever waits for its answer reads it

    async def _answer(self, order: bytes) -> str | None:
        """Return what is wrong, nothing if all is well, and None if the process is lost."""
        if self._process is None or self._process.returncode is not None:
            self._process = await self._start()
        process = self._process
        assert process.stdin
        assert process.stdout
        with suppress(ConnectionError):  # its loss is noticed below
            process.stdin.write(order)
            await process.stdin.drain()
        if not (line := await process.stdout.readline()):
            await process.wait()
            return None
        return msgspec.json.decode(line, type=str)

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            umask=self._umask,
            start_new_session=True,  # a Ctrl-C in the terminal is for the bot to handle
        )


@asynccontextmanager
async def encoding(environment: Mapping[str, str], umask: int = -1) -> AsyncIterator[Encoder]:
    """Have an encoder for as long as the block."""
    encoder = Encoder(ENCODER_COMMAND, environment, umask)
    try:
        yield encoder
    finally:
        await encoder.end()
