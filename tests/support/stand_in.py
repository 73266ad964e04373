"""A stand-in for Discord's API and gateway on this machine, and `bot run` as a child beside it."""

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

TOKEN = "MTA5OTk5OTk5OTk5OTk5OTk5OQ.GabcdE." + "x" * 38
PAGE = "<!DOCTYPE html><title>Access denied</title>" + "x" * 3000

USER = {"id": "123456789012345678", "username": "F", "discriminator": "0", "avatar": None}
APPLICATION = {
    "id": USER["id"],
    "name": "F",
    "icon": None,
    "description": "",
    "summary": "",
    "flags": 0,
    "bot_public": True,
    "bot_require_code_grant": False,
    "verify_key": "x",
    "team": None,
    "owner": {**USER, "id": "1"},
}

HEARTBEAT, IDENTIFY, RESUME, ACKNOWLEDGED = 1, 2, 6, 11

CHILD = """
import sys
import discord, yarl
from bot.cli import connection
from bot.__main__ import main

place = sys.argv.pop(1)
discord.http.Route.BASE = f"http://{place}/api/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws://{place}/gateway")
connection.FIRST_LOGIN_PAUSE, connection.LONGEST_LOGIN_PAUSE = 0.05, 0.2
sys.exit(main(sys.argv[1:]))
"""


def page(status: int, **headers: str) -> web.Response:
    """Answer as the edge does."""
    return web.Response(status=status, text=PAGE, content_type="text/html", headers=headers)


def word(status: int, code: int = 0, message: str = "no", **more: Any) -> web.Response:
    """Answer as Discord does where it will not."""
    return said({"code": code, "message": message, **more}, status)


def said(data: Any, status: int = 200) -> web.Response:
    """Answer as Discord does."""
    # The library wants exactly this type, without a charset.
    headers = {"Content-Type": "application/json", "Via": "1.1 google"}
    return web.Response(body=json.dumps(data).encode(), status=status, headers=headers)


class StandIn:
    """Answers what a bot asks as it starts, but what is `planned` for a path first, in turn.

    The gateway closes with each of `closes` in turn, before it says READY or, if `late`, after it.
    """

    scheme = "ws"
    """By which the gateway is reached."""

    heartbeat = 41250
    """Milliseconds between two signs of life that the gateway asks for."""

    def __init__(self) -> None:
        self.planned: defaultdict[str, list[web.Response]] = defaultdict(list)
        self.closes: list[int] = []
        self.late = False
        self.asked: list[str] = []
        self.ready = asyncio.Event()
        self.place = ""

    async def api(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        path = request.path.removeprefix("/api/v10")
        self.asked.append(f"{request.method} {path}")
        if self.planned[path]:
            return self.planned[path].pop(0)
        if path == "/users/@me":
            return said({**USER, "bot": True})
        if path.endswith("/@me"):
            return said(APPLICATION)
        if path == "/gateway/bot":
            return said(self.gateway_with(999))
        if path.endswith("/commands"):
            # A menu is sent without a description, and answered with an empty one.
            made = {"application_id": USER["id"], "version": "1"}
            commands = enumerate(await request.json(), start=900)
            return said(
                [
                    {"description": "", **each, **made, "id": str(number)}
                    for number, each in commands
                ]
            )
        return word(404)

    def gateway_with(self, remaining: int) -> dict[str, Any]:
        """Return where the gateway is, which may be entered so often yet, and anew in 0.2 s."""
        start = {"total": 1000, "remaining": remaining, "reset_after": 200, "max_concurrency": 1}
        gateway = f"{self.scheme}://{self.place}/gateway"
        return {"url": gateway, "shards": 1, "session_start_limit": start}

    async def gateway(self, request: web.Request) -> web.StreamResponse:
        """Be the gateway of one connection."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        greeting = {"heartbeat_interval": self.heartbeat}
        await socket.send_json({"op": 10, "d": greeting, "s": None, "t": None})
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)["op"]
            if asked == HEARTBEAT:
                await socket.send_json({"op": ACKNOWLEDGED, "d": None, "s": None, "t": None})
            if asked == RESUME:
                self.asked.append("RESUME")
            if asked == IDENTIFY:
                self.asked.append("IDENTIFY")
                if not self.closes or self.late:
                    await socket.send_json(self._hello())
                    self.ready.set()
                if self.closes:
                    await asyncio.sleep(0.2)
                    await socket.close(code=self.closes.pop(0))
                    break
        return socket

    def application(self) -> web.Application:
        """Return what serves its API and its gateway."""
        app = web.Application(client_max_size=2**26)
        for path in ("/gateway", "/gateway/"):
            app.router.add_get(path, self.gateway)
        app.router.add_route("*", "/{tail:.*}", self.api)
        return app

    def _hello(self) -> dict[str, Any]:
        session = {"session_id": "s", "resume_gateway_url": f"{self.scheme}://{self.place}/gateway"}
        user = {"v": 10, "user": USER, "guilds": [], "shard": [0, 1]}
        application = {"application": {"id": USER["id"], "flags": 0}}
        return {"op": 0, "t": "READY", "s": 1, "d": {**user, **session, **application}}


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    """Have a stand-in for Discord for as long as the block."""
    discord = StandIn()
    async with TestServer(discord.application(), host="127.0.0.1") as server:
        discord.place = f"127.0.0.1:{server.port}"
        yield discord


class Run:
    """`bot run` as a child process that takes the stand-in for Discord."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log = ""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            self.log += line.decode()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ended(self) -> int:
        """Wait until it ends by itself, and return its code."""
        await self._reading
        return await self._process.wait()

    async def stopped(self) -> int:
        """Ask it to end, wait for that, and return its code."""
        self._process.send_signal(signal.SIGTERM)
        return await self.ended()


@asynccontextmanager
async def running(
    discord: StandIn, folder: Path, *arguments: str, command: str = "run", **environment: str
) -> AsyncIterator[Run]:
    """Run the bot, or another command, in a folder for as long as the block."""
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    settings = {"DISCORD_TOKEN": TOKEN, "ENGINE": "sketch", "PYTHONPATH": str(Path.cwd())}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, discord.place, command, *arguments),
        cwd=folder,
        env={**keep, **settings, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Run(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
