"""The bot's stop: what is owed is told, no card is left behind, and nothing is cut off noisily."""

import asyncio
import logging
from typing import Any

import pytest

from bot import app, queue
from bot.app import Plan
from bot.errors import StorageError
from bot.tables import jobs
from bot.values import Status
from cogs.ui import status_embeds
from tests.support.clock import until
from tests.support.one_engine import ENGINE
from tests.support.studio import member
from tests.support.world import World, world


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def cards(w: World) -> list[str]:
    """Return the titles of the status messages that stand."""
    messages = [message for message in w.messages() if not message.attachments]
    return [str(embed.title) for message in messages for embed in message.embeds]


def slow(monkeypatch: pytest.MonkeyPatch, w: World) -> None:
    """Let Discord take its time over what is edited or deleted."""
    real = w.bot.http.request

    async def request(route: Any, **options: Any) -> Any:
        if route.method in {"PATCH", "DELETE"} and "messages" in route.path:
            await asyncio.sleep(0.1)
        return await real(route, **options)

    monkeypatch.setattr(w.bot.http, "request", request)


def hang(monkeypatch: pytest.MonkeyPatch, w: World) -> None:
    """Let Discord answer nothing that is sent, until the session is closed, as the library does."""
    real = w.bot.http.request

    async def request(route: Any, **options: Any) -> Any:
        if route.method == "POST" and "messages" in route.path:
            await closed(w)
            raise RuntimeError("Session is closed")
        return await real(route, **options)

    monkeypatch.setattr(w.bot.http, "request", request)


async def closed(w: World) -> None:
    await until(lambda: asyncio.sleep(0, w.bot.is_closed()))


async def test_a_stop_leaves_no_card_that_tells_what_is_past(
    plan: Plan, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        slow(monkeypatch, w)
        for number in range(1, 9):
            await w.generate("slow" if number == 1 else "play")
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        for number in range(2, 9):
            await w.ended(number, Status.DELIVERED)
        w.bot.services.operations.drain()
        await closed(w)
        assert cards(w) == ["#1 was cancelled"]
        assert len(w.results()) == 7
    assert errors(caplog) == []


async def test_a_stop_waits_for_no_card_longer_than_it_may(
    plan: Plan, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FLUSH_SECONDS", 0.5)
    async with world(plan) as w:
        w.env.inject_error("PATCH", "/channels/*/messages/*", status=403, times=None)
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        w.bot.services.operations.drain()
        await closed(w)
    assert errors(caplog) == []


async def test_what_is_being_sent_as_the_bot_ends_is_no_error_and_is_sent_by_the_next(
    plan: Plan, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FLUSH_SECONDS", 0.5)
    async with world(plan) as w:
        hang(monkeypatch, w)
        await w.generate("play")
        await w.ended(1, Status.RENDERED)
        w.bot.services.operations.drain()
        await closed(w)
        await asyncio.sleep(0.1)
        assert errors(caplog) == []
        assert (await w.studio.job(1)).status is Status.RENDERED
        await w.restart(plan)
        await w.ended(1, Status.DELIVERED)
        assert len(w.results()) == 1


async def test_a_database_that_is_held_as_the_bot_ends_is_waited_for(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        w.tolerated = (StorageError,)
        real, held = w.bot.services.outbox.owed, iter(range(5))

        async def owed() -> Any:
            if next(held, None) is not None:
                raise StorageError("It is held.", busy=True)
            return await real()

        await w.generate("pause")
        await w.ended(1, Status.RUNNING)
        monkeypatch.setattr(w.bot.services.outbox, "owed", owed)
        w.bot.services.operations.drain()
        await closed(w)
        assert (await w.studio.job(1)).status is Status.DELIVERED


async def test_whatever_else_is_under_way_as_the_bot_ends_is_no_error(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        w.tolerated = (RuntimeError,)

        async def look() -> None:
            await closed(w)
            raise RuntimeError("Session is closed")

        w.bot.add_listener(look, "on_look")
        w.bot.services.operations.drain()
        await closed(w)
        await asyncio.sleep(0.1)
    assert errors(caplog) == []


async def test_a_list_of_the_queue_is_of_one_instant(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        await w.bot.services.operations.pause("")
        for _ in range(3):
            await w.generate("slow")
        real, asked, claims = jobs.open_ones, queue.expected, list[asyncio.Task[None]]()
        counted = 0

        async def claim() -> None:
            async with w.database.transaction() as tx:
                await jobs.start(tx, 1, ENGINE, w.services.clock())

        async def open_ones(*args: Any) -> Any:
            claims.append(asyncio.create_task(claim()))
            await asyncio.sleep(0.05)
            return await real(*args)

        async def expected(*args: Any) -> Any:
            nonlocal counted
            counted += 1
            return await asked(*args)

        monkeypatch.setattr(jobs, "open_ones", open_ones)
        monkeypatch.setattr(queue, "expected", expected)
        found, count = await w.services.standings.page(w.guild.id, 0, 10)
        await claims[0]
        assert (count, counted) == (3, 1)
        assert [(at.job.status, at.place) for at in found] == [
            (Status.QUEUED, place) for place in (1, 2, 3)
        ]
        begun = await w.services.standings.of_job(found[0].job.id)
        assert begun.job.status is Status.RUNNING, "it is told as it is now"
        assert "It is already rendering" in str(status_embeds.waiting(begun).description)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
