"""The demo's pages: one for each channel, all at one port, moving as the bot does."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import simcord
from simcord.preview import Preview
from simcord.preview._media import MediaInfo, MediaWorker
from simcord.preview._server import PreviewServer

from bot.cli.demo.stage import Room, Stage

REFRESH_INTERVAL = 0.2
"""Seconds between two looks at what has changed."""


@asynccontextmanager
async def opened(stage: Stage, port: int) -> AsyncIterator[list[Preview]]:
    """Serve a page for each room for as long as the block; the first tells the port."""
    turn = asyncio.Lock()
    async with contextlib.AsyncExitStack() as stack:
        pages: list[Preview] = []
        server = None
        for room in stage.rooms:
            page = _page(stage.env, room, port)
            server = page._server = server or _OneServer(page, port)
            server.add(page)
            _take_turns(stage.env, page, turn)
            pages.append(await stack.enter_async_context(page))
            page._media_worker = PlayableWavs()
        refreshing = asyncio.create_task(_refresh(stage, pages, turn))
        try:
            yield pages
        finally:
            refreshing.cancel()


async def closed(pages: list[Preview]) -> None:
    """Wait until somebody closes one of the pages."""
    waiting = [asyncio.ensure_future(page.wait_closed()) for page in pages]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _page(env: simcord.Env, room: Room, port: int) -> Preview:
    env._preview = None  # SimCord knows of one page, which is that of the action in progress
    page = env.preview(room.channel, viewers=room.members, layout="channel", port=port)
    assert isinstance(page, Preview)
    return page


async def _refresh(stage: Stage, pages: list[Preview], turn: asyncio.Lock) -> None:
    """Show background edits as they happen; where that fails, once more a little later."""
    while True:
        await stage.changed.wait()
        stage.changed.clear()
        for page in pages:
            async with turn:
                try:
                    await page.refresh()
                except (simcord.SetupError, TimeoutError):
                    stage.changed.set()
        await asyncio.sleep(REFRESH_INTERVAL)


def _take_turns(env: simcord.Env, page: Preview, turn: asyncio.Lock) -> None:
    """Let what a person does wait for a refresh in progress, and count for the page after it.

    Otherwise SimCord refuses an action that meets a refresh or was made just before one.
    """
    real = page._action

    async def action(context: str | None, body: Any) -> dict[str, Any]:  # noqa: ANN401
        async with turn:
            env._preview = page
            if isinstance(body, dict) and "published_revision" in body:
                body["published_revision"] = page._get_page(context).revision
            return await real(context, body)

    page._action = action  # type: ignore[method-assign,assignment]  # SimCord has no hook


_ASKED: ContextVar[Preview] = ContextVar("asked")
"""The page that the current request is of."""


class _OneServer(PreviewServer):
    """Serves several pages at one port; a request says by its capability which it is of."""

    def __init__(self, first: Preview, port: int) -> None:
        self._first = first
        self._by_capability: dict[str, Preview] = {}
        super().__init__(first, port)

    def add(self, page: Preview) -> None:
        """Serve another page, too."""
        self._by_capability[page.capability] = page

    @property
    def preview(self) -> Preview:
        """The page that is asked for."""
        return _ASKED.get(self._first)

    @preview.setter
    def preview(self, page: Preview) -> None:
        """Take no page but by its capability: SimCord sets the one that it knows."""

    async def start(self) -> None:
        """Listen, once for all pages."""
        if self.runner is None:
            await super().start()

    def _authorized(self, request: Any, *, context: str | None = None) -> bool:  # noqa: ANN401
        """Find the page, in each request before anything else is done."""
        capability = request.headers.get("X-Simcord-Capability")
        _ASKED.set(self._by_capability.get(capability, self._first))
        return super()._authorized(request, context=context)


class PlayableWavs(MediaWorker):
    """Preview plays a mono WAV only if its header names the speaker, so it is given such a copy."""

    async def validate(
        self, key: str, blob: bytes, *, media_time: float | None = None
    ) -> MediaInfo:
        return await super().validate(key, _extensible(blob), media_time=media_time)


def _extensible(blob: bytes) -> bytes:
    """Return a plain 16-bit PCM WAV with the header of WAVE_FORMAT_EXTENSIBLE, others as they are.

    Source: Microsoft, "Multiple Channel Audio Data and WAVE Files".
    """
    if blob[:4] != b"RIFF" or blob[8:20] != b"WAVEfmt \x10\0\0\0" or blob[36:40] != b"data":
        return blob
    pcm, channels, rate, bytes_per_second, frame, bits = struct.unpack("<HHIIHH", blob[20:36])
    speakers = {1: 0x4, 2: 0x3}.get(channels, 0)
    guid = struct.pack("<H", pcm) + bytes.fromhex("000000001000800000aa00389b71")
    extension = struct.pack("<HHI", 22, bits, speakers) + guid
    header = struct.pack("<HHIIHH", 0xFFFE, channels, rate, bytes_per_second, frame, bits)
    fmt = b"fmt " + struct.pack("<I", 40) + header + extension
    body = b"WAVE" + fmt + blob[36:]
    return b"RIFF" + struct.pack("<I", len(body)) + body
