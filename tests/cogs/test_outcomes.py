"""What comes of sending: Discord's definite word, Discord or its edge unwell, our own fault."""

import asyncio
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import aiohttp
import discord
import pytest

from bot import outbox
from bot.app import Plan
from bot.discord_api.errors import brief, definite, pause
from bot.retention import disk
from bot.tables import jobs, ledger
from bot.values import Status
from cogs.ui import embeds, status_embeds
from tests.support.clock import Clock, until
from tests.support.deliveries import asked, http_error, looks, looks_until, postponed, sends, used
from tests.support.studio import member
from tests.support.world import World, world


@contextmanager
def posting(w: World, error: discord.HTTPException) -> Iterator[list[str]]:
    """Answer each message and each edit with an error; note where they went."""
    request, adapter = w.bot.http.request, w.env._webhook_adapter.request
    tried: list[str] = []

    async def refuse(route: Any, *args: Any, **options: Any) -> Any:
        if route.method in ("POST", "PATCH") and "messages" in route.path:
            tried.append(route.path)
            raise error
        return await request(route, *args, **options)

    async def refuse_answer(route: Any, *args: Any, **options: Any) -> Any:
        if route.path.startswith("/webhooks"):
            tried.append(route.path)
            raise error
        return await adapter(route, *args, **options)

    with (
        patch.object(w.bot.http, "request", refuse),
        patch.object(w.env._webhook_adapter, "request", refuse_answer),
    ):
        yield tried


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (http_error(404, 10003), True),
        (http_error(404, 10008), True),
        (http_error(404, 10015), True),
        (http_error(403, 50001), True),
        (http_error(403, 50007), True),
        (http_error(403, 50013), True),
        (http_error(400, 50035), True),
        (http_error(400, 200000), True),
        (http_error(400, 987654), True),
        (http_error(401, 50027), True),
        (http_error(401), False),
        (http_error(401, 50014), False),
        (http_error(400), False),
        (http_error(403), False),
        (http_error(404), False),
        (http_error(403, 40333), False),
        (http_error(400, 40003), False),
        (http_error(429, 20028), False),
        (http_error(429), False),
        (http_error(503), False),
        (discord.RateLimited(600), False),
        (TimeoutError(), False),
        (ConnectionResetError(), False),
    ],
    ids=str,
)
def test_the_word_of_discord_is_known_by_its_code(error: Exception, word: bool) -> None:
    assert definite(error) is word


def test_a_pause_that_discord_bids_is_kept_and_a_page_is_not_quoted() -> None:
    assert pause(http_error(429, headers={"Retry-After": "3600"})) == 3600
    assert pause(http_error(429, headers={"Retry-After": "Thu, 26 Nov 2026 12:00:00 GMT"})) == 0
    assert pause(http_error(429, headers={"Retry-After": "inf"})) == 86_400
    assert pause(http_error(429, headers={"Retry-After": "nan"})) == 0
    assert pause(discord.RateLimited(600)) == 600
    assert pause(TimeoutError()) == 0
    assert brief(http_error(403)) == "403 Reason: a page of HTML"
    assert brief(http_error(403, 40333, "two\nlines")) == "403 Reason, code 40333: two lines"
    assert brief(TimeoutError()) == "TimeoutError"
    asked: Any = SimpleNamespace(real_url="http://me:secret@proxy:3128")
    assert brief(aiohttp.ClientHttpProxyError(asked, (), status=407, message="Who?")) == "407 Who?"


@pytest.mark.parametrize(
    "error", [http_error(403, 40333), http_error(403), http_error(404), http_error(401)], ids=brief
)
async def test_what_is_not_said_of_the_channel_is_waited_out(
    plan: Plan, clock: Clock, error: discord.HTTPException
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        with posting(w, error) as tried:
            shown = await asked(w)
            await postponed(w)
            await looks(w, clock, 20, minutes=5)
            assert (await w.studio.job(1)).status is Status.RENDERED
        posts = {path for path in tried if not path.endswith("{message_id}")}
        assert posts == {"/channels/{channel_id}/messages"}, "no other way is taken"
        clock.turn(minutes=6)
        await w.ended(1, Status.DELIVERED)
        assert len(w.results()) == 1
        await w.gone(shown)


@pytest.mark.parametrize("error", [http_error(404), http_error(403, 40333)], ids=brief)
async def test_a_failure_that_the_edge_keeps_from_being_told_is_told_once_it_is_well(
    plan: Plan, clock: Clock, error: discord.HTTPException
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        with posting(w, error):
            shown = await asked(w, "fail")
            await postponed(w)
            await looks(w, clock, 5, minutes=1)
        clock.turn(minutes=6)
        await w.status(shown, "#1 could not be rendered")
        assert len(w.messages()) == 1, "its status says it"


async def fetched(w: World) -> list[dict[str, Any]]:
    rows = await w.database.fetch("SELECT * FROM posts ORDER BY id")
    return [dict(row) for row in rows]


async def test_a_file_that_cannot_be_read_holds_up_nobody_and_ends_refunded(
    plan: Plan, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, damaged = disk.read, True

    def read(path: Path) -> bytes:
        if damaged and path.name == "1-1.wav":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(disk, "read", read)
    async with world(replace(plan, clock=clock)) as w:
        shown = await asked(w)
        await asked(w)
        await w.ended(2, Status.DELIVERED)
        assert (await w.studio.job(1)).status is Status.RENDERED
        await looks_until(w, clock, 1, Status.UNDELIVERABLE, minutes=5)
        assert await used(w) == 2, "the second piece alone"
        assert "The studio failed to post it" in str(
            (await w.status(shown, "#1 could not be posted")).description
        )
        began = clock().replace(hour=0)
        assert await ledger.unposted(w.database, w.alice.id, began, clock()) == []
        said = [text for text in caplog.messages if "Input/output error" in text]
        assert len(said) == outbox.POST_TRIES
        assert said[0].startswith("job 1: take 1 as wav:")
        assert not any(record.exc_info for record in caplog.records), "it is no fault of ours"
        damaged = False
        assert shown.response
        await w.alice.click(shown.response.message, label="Post again")
        await w.ended(1, Status.DELIVERED)
        assert await used(w) == 4


async def test_what_fails_once_more_after_post_again_is_told_once_more(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its status message is too old to be edited, in a message with the button."""
    real, damaged = disk.read, True

    def read(path: Path) -> bytes:
        if damaged and path.name == "2-1.wav":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(disk, "read", read)
    async with world(replace(plan, clock=clock)) as w:
        await asked(w)
        await w.ended(1, Status.DELIVERED)
        await asked(w)
        await w.ended(2, Status.RENDERED)
        earlier = 0
        for times in (1, 2):
            clock.turn(hours=2)
            await looks_until(w, clock, 2, Status.UNDELIVERABLE, minutes=5)

            async def told(earlier: int = earlier) -> discord.Message | None:
                found = [each for each in w.messages() if "About #2" in footers(each)]
                return found[-1] if found and found[-1].id != earlier else None

            last = await until(told)
            earlier = last.id
            assert "The studio failed to post it" in str(last.embeds[0].description)
            damaged = times < 2
            await w.alice.click(last, label="Post again")
        await w.ended(2, Status.DELIVERED)
        assert await used(w) == 4

        async def titles() -> bool:
            return not any("Posting" in str(each.embeds[0].title) for each in w.messages())

        await until(titles)
        assert not any("About #2" in footers(each) for each in w.messages())


def footers(message: discord.Message) -> str:
    return " ".join(str(embed.footer.text) for embed in message.embeds)


async def test_a_fault_of_our_own_holds_up_nobody_and_is_told_with_its_number(
    plan: Plan, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = embeds.result, 0

    def result(job: Any, *args: Any) -> discord.Embed:
        nonlocal tries
        if job.id == 1:
            tries += 1
            raise KeyError("violins")
        return real(job, *args)

    monkeypatch.setattr(embeds, "result", result)
    async with world(replace(plan, clock=clock)) as w:
        with sends(w.bot) as sent:
            shown = await asked(w)
            await asked(w)
            await w.ended(2, Status.DELIVERED)
            await looks_until(w, clock, 1, Status.UNDELIVERABLE, minutes=5)
        assert tries == outbox.POST_TRIES
        assert [files for _, files in sent if files] == [["play-2.wav"]]
        await w.status(shown, "#1 could not be posted")
        assert await used(w) == 2
    (first, *_) = [record for record in caplog.records if record.exc_info]
    assert "job 1" in first.getMessage()
    assert "KeyError: 'violins'" in caplog.text


async def test_of_several_takes_only_those_are_lost_that_cannot_be_read(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", f"/channels/{w.music.id}/messages", status=503)
        shown = await asked(w, takes=3)
        await postponed(w)
        (plan.folder / "audio" / "1-2.wav").unlink()
        clock.turn(seconds=2)
        await w.ended(1, Status.DELIVERED)
        names = [file.filename for message in w.results() for file in message.attachments]
        assert names == ["play-1-1.wav", "play-1-3.wav"]
        assert await used(w) == 4

        async def told() -> bool:
            return bool(w.messages()[-1].embeds[0].title == "#1 is not complete")

        await until(told)
        await w.gone(shown)


async def test_of_music_that_is_gone_nothing_is_promised(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", f"/channels/{w.music.id}/messages", status=503)
        shown = await asked(w)
        await postponed(w)
        (plan.folder / "audio" / "1-1.wav").unlink()
        clock.turn(seconds=2)
        await w.ended(1, Status.UNDELIVERABLE)
        card = await w.status(shown, "#1 could not be posted")
        assert "gone from the studio's disk" in str(card.description)
        assert shown.response
        assert not shown.response.components


async def test_a_fault_in_a_status_keeps_no_other_from_being_told(
    plan: Plan, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = status_embeds.cancelled

    def cancelled(job: Any) -> discord.Embed:
        if job.id == 1:
            raise KeyError("violins")
        return real(job)

    async with world(plan) as w:
        await w.bot.services.operations.pause("")
        shown = [await asked(w) for _ in range(2)]
        monkeypatch.setitem(status_embeds.WITHOUT_STANDING, Status.CANCELLED, cancelled)
        for number in (1, 2):
            await w.studio.cancel(number, member(w.alice.id, w.guild.id))
        await w.status(shown[1], "#2 was cancelled")

        async def logged() -> bool:
            return any(record.exc_info for record in caplog.records)

        await until(logged)
    messages = {record.getMessage() for record in caplog.records if record.exc_info}
    assert messages == {"job 1: its status cannot be shown"}


@pytest.mark.parametrize("old", [True, False])
async def test_a_reason_too_long_for_discord_is_cut_and_told(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    """SimCord does not count: what is sent must fit Discord's documented limit."""
    async with world(replace(plan, clock=clock)) as w:
        real = jobs.failed
        reason = "The engine has no violins. " * 400

        async def failed(tx: Any, job: int, _: str, *more: Any) -> bool:
            if old:
                await tx.execute("UPDATE jobs SET created_at = created_at - 7200")
            return await real(tx, job, reason, *more)

        monkeypatch.setattr(jobs, "failed", failed)
        shown = await w.generate("fail " + "*" * 490)
        await w.ended(1, Status.FAILED)
        card = await w.status(shown, "#1 could not be rendered")
        if old:

            async def told() -> bool:
                return len(w.messages()) == 2

            await until(told)
            (card,) = w.messages()[-1].embeds
        text = str(card.description)
        assert len(text) <= 4096
        assert text.endswith("…\nNothing was charged.")


async def test_a_preview_too_large_is_left_out(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", f"/channels/{w.music.id}/messages", status=413, times=1)
        w.env.inject_error("POST", "/webhooks/*", status=413, times=1)
        await asked(w, "long", duration=40)

        async def refused() -> bool:
            return any(post["refused_at"] for post in await fetched(w))

        await until(refused)
        await w.studio.stop(1, member(w.alice.id, w.guild.id))
        await w.ended(1, Status.DELIVERED)
        await asyncio.sleep(0)
        assert len(w.results()) == 1
