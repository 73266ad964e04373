"""Results reach the member, or are given back: one test for each way in which Discord says no."""

import logging
import random
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.app import Plan
from bot.values import Keep, Status
from tests.support.clock import Clock
from tests.support.deliveries import (
    MESSAGES,
    asked,
    http_error,
    looks,
    looks_until,
    postponed,
    sends,
    used,
)
from tests.support.studio import member
from tests.support.world import world


async def test_one_take_that_is_too_large_in_every_format_comes_in_parts(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=413, times=3)
        shown = await asked(w, duration=8)
        await w.ended(1, Status.DELIVERED)
        names = [file.filename for message in w.results() for file in message.attachments]
        assert names == [f"play-1-part-{part}.ogg" for part in (1, 2, 3, 4)]
        embeds = [message.embeds[0] for message in w.results()]
        marks = [str(embed.footer.text).split(" · ")[0] for embed in embeds]
        assert marks == [f"Piece #1, part {n} of 4" for n in range(1, 5)]
        assert all("in consecutive parts" in str(embed.to_dict()) for embed in embeds)
        lengths = [file.size for message in w.results() for file in message.attachments]
        assert all(lengths)
        assert [bool(message.components) for message in w.results()] == [False] * 3 + [True]
        await w.gone(shown)
        assert await used(w) == 8
        assert w.path("audio/1-1.wav").exists()


async def test_five_takes_too_large_together_come_each_by_itself(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=413, times=3)
        await asked(w, takes=5)
        await w.ended(1, Status.DELIVERED)
        names = [[file.filename for file in message.attachments] for message in w.results()]
        assert names == [[f"play-1-{take}.wav"] for take in range(1, 6)]
        footers = [str(each.embeds[0].footer.text).split(" · ")[0] for each in w.results()]
        assert footers == [f"Piece #1, take {take}" for take in range(1, 6)]
        assert all("each is posted in its own" in str(m.embeds[0].to_dict()) for m in w.results())
        assert await used(w) == 10


def lengthen(path: Path, seconds: int) -> None:
    """Put so much noise in the place of what was rendered."""
    with wave.open(str(path), "rb") as made:
        parameters = made.getparams()
    with wave.open(str(path), "wb") as longer:
        longer.setparams(parameters)
        longer.writeframes(random.Random(1).randbytes(parameters.framerate * seconds * 2))


async def test_a_take_that_fits_nowhere_is_given_back_and_the_others_are_posted(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        real = w.bot.http.request
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await asked(w, takes=3)
        await postponed(w)
        # It is larger in any format than the others: that it does not fit says nothing of them.
        lengthen(w.path("audio/1-2.wav"), 60)

        async def request(route: Any, **options: Any) -> Any:
            form = options.get("form") or []
            if any("-1-2" in part.get("filename", "") for part in form):
                raise http_error(413, 40005)
            return await real(route, **options)

        monkeypatch.setattr(w.bot.http, "request", request)
        w.env.inject_error("POST", "/webhooks/*", status=413, times=None)
        clock.turn(seconds=2)
        await w.ended(1, Status.DELIVERED)
        names = [file.filename for message in w.results() for file in message.attachments]
        assert names == ["play-1-1.wav", "play-1-3.wav"]
        assert await used(w) == 4


async def test_what_a_server_took_is_remembered_for_a_day(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", MESSAGES, status=413, times=1)
        with sends(w.bot) as seen:
            await asked(w)
            await w.ended(1, Status.DELIVERED)
            await asked(w)
            await w.ended(2, Status.DELIVERED)
            await asked(w, duration=1)
            await w.ended(3, Status.DELIVERED)
            clock.turn(hours=25)
            await asked(w)
            await w.ended(4, Status.DELIVERED)
        assert [files for _, files in seen] == [
            ["play-1.wav"],
            ["play-1.flac"],
            ["play-2.flac"],
            ["play-3.wav"],
            ["play-4.wav"],
        ]


async def test_what_is_refused_of_one_take_is_known_of_the_next(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=413, times=4)
        with sends(w.bot) as seen:
            await asked(w, takes=2)
            await w.ended(1, Status.DELIVERED)
        together = [[f"play-1-{take}.{kind}" for take in (1, 2)] for kind in ("wav", "flac", "ogg")]
        assert [files for _, files in seen] == [
            *together,
            ["play-1-1.wav"],
            ["play-1-1.flac"],
            ["play-1-2.flac"],
        ]


async def test_a_size_that_was_refused_by_mistake_is_soon_forgotten(plan: Plan) -> None:
    async with world(plan) as w:
        async with w.database.transaction() as tx:
            refused = (w.guild.id, w.services.clock().timestamp())
            await tx.execute("INSERT INTO uploads VALUES (?, 0, 1, 1, ?)", refused)
        await asked(w, duration=8)
        await w.ended(1, Status.DELIVERED)
        await asked(w, duration=8)
        await w.ended(2, Status.DELIVERED)
        names = [file.filename for message in w.results() for file in message.attachments]
        assert names == [*(f"play-1-part-{part}.ogg" for part in (1, 2, 3, 4)), "play-2.wav"]


async def test_a_lost_permission_is_answered_through_the_interaction(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=403, code=50013)
        shown = await asked(w)
        await w.ended(1, Status.DELIVERED)
        assert shown.followups[0].attachments[0].filename == "play-1.wav"


async def test_what_was_refused_for_its_size_is_no_doubt_about_the_smaller_one(plan: Plan) -> None:
    """Though the bot may not look at the channel, and no nonce helps in an answer."""
    async with world(plan) as w:
        w.env.inject_error("GET", MESSAGES, status=403, code=50001, times=None)
        w.env.inject_error("POST", MESSAGES, status=403, code=50013, times=1)
        w.env.inject_error("POST", "/webhooks/*", status=413, times=1)
        shown = await asked(w)
        await w.ended(1, Status.DELIVERED)
        (answer,) = shown.followups
        assert answer.attachments[0].filename == "play-1.flac"
        assert answer.content == w.alice.mention


async def test_an_answer_goes_by_the_proxy_as_all_else_does(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        adapter, seen = w.env._webhook_adapter, list[object]()
        real = adapter.request

        async def request(*args: Any, proxy: object = None, **more: Any) -> Any:
            seen.append(proxy)
            return await real(*args, proxy=proxy, **more)

        w.env.inject_error("POST", MESSAGES, status=403, code=50013)
        monkeypatch.setattr(adapter, "request", request)
        w.bot.http.proxy = "http://127.0.0.1:9"
        await asked(w)
        await w.ended(1, Status.DELIVERED)
        assert seen[-1] == "http://127.0.0.1:9"


async def test_an_answer_that_comes_too_late_for_its_interaction_is_sent_directly(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", MESSAGES, status=403, code=50013)
        w.env.inject_error("POST", "/webhooks/*", status=503)
        w.env.inject_error("POST", "/webhooks/*", status=401, code=50027)
        await asked(w)
        await postponed(w)
        clock.turn(minutes=16)
        await w.ended(1, Status.DELIVERED)
        (message,) = w.direct_messages(w.alice)
        assert message.attachments[0].filename == "play-1.wav"


async def test_an_interaction_that_died_between_two_tries_is_given_up(
    plan: Plan, clock: Clock
) -> None:
    """Its token is erased by then: what Discord says without one is no word about the message."""
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", MESSAGES, status=403, code=50013, times=1)
        w.env.inject_error("POST", "/webhooks/*", status=503, times=1)
        await asked(w)
        await postponed(w)
        clock.turn(minutes=16)
        await w.bot.services.erasure.age(Keep())
        w.env.inject_error("POST", "/webhooks/*", status=404, times=None)
        await looks_until(w, clock, 1, Status.DELIVERED, seconds=5)
        assert len(w.direct_messages(w.alice)) == 1


async def test_a_deleted_channel_sends_the_music_directly(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await asked(w, "slow", duration=8)
        await w.ended(1, Status.RUNNING)
        await asked(w)
        await w.bot.http.delete_channel(w.music.id)
        clock.turn(minutes=16)
        await w.env.advance_time(16 * 60)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await w.ended(2, Status.DELIVERED)
        (message,) = w.direct_messages(w.alice)
        assert message.attachments[0].filename == "play-2.wav"


async def test_a_locked_thread_sends_the_music_directly(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await asked(w, "slow", duration=8)
        await w.ended(1, Status.RUNNING)
        await asked(w)
        clock.turn(minutes=16)
        await w.env.advance_time(16 * 60)
        w.env.inject_error("POST", MESSAGES, status=400, code=50083, times=1)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await w.ended(2, Status.DELIVERED)
        (message,) = w.direct_messages(w.alice)
        assert message.attachments[0].filename == "play-2.wav"


async def test_a_member_who_left_or_closed_their_messages_is_logged_once_and_given_back(
    plan: Plan, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with world(replace(plan, clock=clock)) as w:
        await asked(w, "slow", duration=8)
        await w.ended(1, Status.RUNNING)
        await asked(w)
        clock.turn(minutes=16)
        await w.env.advance_time(16 * 60)
        w.env.inject_error("POST", MESSAGES, status=404, code=10003)
        w.env.inject_error("POST", MESSAGES, status=403, code=50007)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await w.ended(2, Status.UNDELIVERABLE)
        assert await used(w) == 0
        await looks(w, clock, 5, seconds=10)
    assert caplog.text.count("job 2 is undeliverable") == 1
