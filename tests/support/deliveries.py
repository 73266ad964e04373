"""What is asked for and posted, and what becomes of it on the way to Discord."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import discord
import simcord

from bot.client import Fantasia
from bot.values import Job, Status
from tests.support.clock import Clock, until
from tests.support.world import World

MESSAGES = "/channels/*/messages"


async def looks(w: World, clock: Clock, times: int, **turn: float) -> None:
    """Let the bot look so often, with so much time between."""
    for _ in range(times):
        clock.turn(**turn)
        await w.look()


async def looks_until(w: World, clock: Clock, job: int, status: Status, **turn: float) -> None:
    """Let the bot look, with so much time between, until a job has a status."""
    while (await w.studio.job(job)).status is not status:
        await looks(w, clock, 1, **turn)


async def postponed(w: World) -> None:
    """Wait until it is noted that the first post is to be tried again."""

    async def look() -> bool:
        rows = await w.database.fetch("SELECT attempts FROM posts")
        return [row["attempts"] for row in rows] == [1]

    await until(look)


async def asked(
    w: World, prompt: str = "play", takes: int = 1, duration: int = 2
) -> simcord.InteractionResult:
    return await w.alice.slash(w.music, "generate", prompt=prompt, duration=duration, takes=takes)


@contextmanager
def sends(bot: Fantasia) -> Iterator[list[tuple[str, list[str]]]]:
    """Note each message that is sent to a channel: its content and its files."""
    real, seen = bot.http.request, list[tuple[str, list[str]]]()

    async def request(route: Any, **options: Any) -> Any:
        if route.method == "POST" and route.path == "/channels/{channel_id}/messages":
            form = options.get("form") or []
            content = json.loads(form[0]["value"])["content"] if form else ""
            seen.append((content, [part["filename"] for part in form if "filename" in part]))
        return await real(route, **options)

    with patch.object(bot.http, "request", request):
        yield seen


@contextmanager
def answers(bot: Fantasia, how: Callable[[Any], Exception | None]) -> Iterator[None]:
    """Let Discord act on what is posted, and lose the answers that `how` says."""
    real = bot.http.request

    async def request(route: Any, **options: Any) -> Any:
        answer = await real(route, **options)
        posted = route.method == "POST" and "messages" in route.path and options.get("form")
        if posted and (error := how(route)):
            raise error
        return answer

    with patch.object(bot.http, "request", request):
        yield


@contextmanager
def lost_answers(bot: Fantasia, times: int) -> Iterator[dict[str, Any]]:
    """Let Discord act but lose its first answers; it knows a nonce when it comes again."""
    real, by_nonce, lost = bot.http.request, dict[str, Any](), 0

    async def request(route: Any, **options: Any) -> Any:
        nonlocal lost
        form = options.get("form") or []
        payload = json.loads(form[0]["value"]) if form else {}
        nonce = payload.get("nonce")
        if nonce is None:
            return await real(route, **options)
        assert payload["enforce_nonce"]
        assert len(str(nonce)) <= 25
        if nonce not in by_nonce:
            by_nonce[nonce] = await real(route, **options)
        if lost < times:
            lost += 1
            raise TimeoutError
        return by_nonce[nonce]

    with patch.object(bot.http, "request", request):
        yield by_nonce


async def charged(job: Job, w: World) -> int:
    (owed,) = await w.database.fetch(
        "SELECT SUM(charged_seconds) FROM takes WHERE job_id = ?", (job.id,)
    )
    return int(owed[0])


async def posted(w: World) -> None:
    """Wait until the first piece was posted and its status message says so."""
    await w.ended(1, Status.DELIVERED)

    async def look() -> bool:
        return not await w.services.outbox.notices()

    await until(look)


async def used(w: World, member: simcord.MemberActor | None = None) -> int:
    """Return the seconds that alice, or another member, used of the day."""
    return (await w.services.accounts.usage(w.guild.id, (member or w.alice).id)).used


async def undeliverable(w: World, number: int = 1, prompt: str = "play", duration: int = 8) -> None:
    """Let a piece be refused on every route."""
    w.env.inject_error("POST", MESSAGES, status=403, code=50013, times=None)
    w.env.inject_error("POST", "/webhooks/*", status=404, code=10015, times=None)
    await w.generate(prompt, duration)
    await w.ended(number, Status.UNDELIVERABLE)
    w.env.backend.faults.clear()


@contextmanager
def held(
    w: World, which: Callable[[list[str]], bool]
) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Hold the upload with these files where Discord would take it: (it is there, let it go)."""
    real, reached, go = w.bot.http.request, asyncio.Event(), asyncio.Event()

    async def request(route: Any, **options: Any) -> Any:
        names = [part.get("filename", "") for part in options.get("form") or []]
        if route.method == "POST" and which([name for name in names if name.endswith(".wav")]):
            reached.set()
            await go.wait()
        return await real(route, **options)

    with patch.object(w.bot.http, "request", request):
        yield reached, go


HTML = "<!DOCTYPE html>\n<title>Access denied | Cloudflare</title>" + "x" * 5000


KINDS = {403: discord.Forbidden, 404: discord.NotFound, 503: discord.DiscordServerError}


def http_error(
    status: int, code: int = 0, text: str = "no", headers: Mapping[str, str] | None = None
) -> discord.HTTPException:
    """Return what the library raises for an answer; without a code it is a page."""
    kind = KINDS.get(status, discord.HTTPException)
    response: Any = SimpleNamespace(status=status, reason="Reason", headers=headers or {})
    return kind(response, {"code": code, "message": text} if code else HTML)
