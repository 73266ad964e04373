"""Results reach the member, or are given back: one test for each way in which Discord says no."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import discord
import pytest

from bot.app import Plan
from bot.client import Fantasia
from bot.values import Keep, Status
from cogs.ui import embeds
from tests.conftest import Clock, World, member, until, world

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
        rows = await w.studio._database.fetch("SELECT attempts FROM posts")
        return [row["attempts"] for row in rows] == [1]

    await until(look)


async def used(w: World) -> int:
    return (await w.studio.usage(w.guild.id, w.alice.id)).used


async def asked(w: World, prompt: str = "play", takes: int = 1, duration: int = 2) -> Any:
    options = {"prompt": prompt, "duration": duration, "takes": takes}
    return await w.alice.slash(w.music, "generate", **options)


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

    bot.http.request = request  # type: ignore[method-assign]
    yield seen
    bot.http.request = real  # type: ignore[method-assign]


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

    bot.http.request = request  # type: ignore[method-assign]
    yield
    bot.http.request = real  # type: ignore[method-assign]


async def test_one_take_that_is_too_large_in_every_format_comes_in_parts(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=413, times=3)
        shown = await asked(w, duration=8)
        await w.ended(1, Status.DELIVERED)
        names = [file.filename for message in w.results() for file in message.attachments]
        assert names == [f"play-1-part-{part}.ogg" for part in (1, 2, 3, 4)]
        embeds = [message.embeds[0] for message in w.results()]
        assert [e.footer.text for e in embeds] == [f"Piece #1, part {n} of 4" for n in range(1, 5)]
        assert all("in parts" in str(embed.to_dict()) for embed in embeds)
        lengths = [file.size for message in w.results() for file in message.attachments]
        assert all(lengths)
        assert [bool(message.components) for message in w.results()] == [False] * 3 + [True]
        await w.status(shown, "#1 is done")
        assert await used(w) == 8
        assert w.studio.path("audio/1-1.wav").exists()


async def test_five_takes_too_large_together_come_each_by_itself(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=413, times=3)
        await asked(w, takes=5)
        await w.ended(1, Status.DELIVERED)
        names = [[file.filename for file in message.attachments] for message in w.results()]
        assert names == [[f"play-1-{take}.wav"] for take in range(1, 6)]
        footers = [message.embeds[0].footer.text for message in w.results()]
        assert footers == [f"Piece #1, take {take}" for take in range(1, 6)]
        assert all("each has its own" in str(m.embeds[0].to_dict()) for m in w.results())
        assert await used(w) == 10


async def test_a_take_that_fits_nowhere_is_given_back_and_the_others_are_posted(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        real = w.bot.http.request
        # All files here are of one size, and this size is refused for one of them alone.
        monkeypatch.setattr(w.bot.outbox, "known_too_large", lambda *_: asyncio.sleep(0, False))

        async def request(route: Any, **options: Any) -> Any:
            form = options.get("form") or []
            if any("-1-2" in part.get("filename", "") for part in form):
                raise discord.HTTPException(TooLargeResponse(), "too large")  # type: ignore[arg-type]
            return await real(route, **options)

        w.bot.http.request = request  # type: ignore[method-assign]
        w.env.inject_error("POST", "/webhooks/*", status=413, times=None)
        await asked(w, takes=3)
        await w.ended(1, Status.DELIVERED)
        names = [file.filename for message in w.results() for file in message.attachments]
        assert names == ["play-1-1.wav", "play-1-3.wav"]
        assert await used(w) == 4
        w.bot.http.request = real  # type: ignore[method-assign]


class TooLargeResponse:
    status, reason = 413, "Payload Too Large"


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


async def test_a_size_that_was_refused_by_mistake_is_soon_forgotten(plan: Plan) -> None:
    async with world(plan) as w:
        async with w.studio._database.transaction() as tx:
            refused = (w.guild.id, w.studio.now().timestamp())
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


async def test_an_answer_goes_by_the_proxy_as_all_else_does(plan: Plan) -> None:
    async with world(plan) as w:
        adapter, seen = w.env._webhook_adapter, list[object]()
        real = adapter.request

        async def request(*args: Any, proxy: object = None, **more: Any) -> Any:
            seen.append(proxy)
            return await real(*args, proxy=proxy, **more)

        w.env.inject_error("POST", MESSAGES, status=403, code=50013)
        adapter.request = request
        w.bot.http.proxy = "http://127.0.0.1:9"
        await asked(w)
        await w.ended(1, Status.DELIVERED)
        assert seen[-1] == "http://127.0.0.1:9"
        adapter.request = real


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
        await w.bot.erasure.age(Keep())
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


async def ask_elsewhere(w: World) -> None:
    other = w.guild.create_text_channel("other")
    await w.alice.slash(other, "generate", prompt="play", duration=2)


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


async def test_days_of_discords_faults_are_waited_out_in_order_and_alone(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", f"/channels/{w.music.id}/messages", status=503, times=None)
        for _ in range(3):
            await asked(w)
        await w.ended(3, Status.RENDERED)
        asked_at = clock()
        with sends(w.bot) as seen:
            while len(seen) < 50 or clock() < asked_at + timedelta(days=3):
                await looks(w, clock, 1, hours=0.72)
        tried = {name for _, files in seen for name in files}
        assert tried == {"play-1.wav"}, "what comes later waits"
        await ask_elsewhere(w)
        assert (await w.ended(4, Status.DELIVERED)).id == 4, "another channel is not held up"
        w.env.backend.faults.clear()
        clock.turn(minutes=6)
        await w.ended(3, Status.DELIVERED)
        names = [message.attachments[0].filename for message in w.results()]
        assert names == ["play-1.wav", "play-2.wav", "play-3.wav"]
        assert await used(w) == 2, "the others were charged to an earlier day"


async def test_a_long_rate_limit_is_waited_for_as_long_as_it_says(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        real, calls = w.bot.http.request, []

        async def request(route: Any, **options: Any) -> Any:
            if options.get("form"):
                calls.append(clock())
                if len(calls) == 1:
                    raise discord.RateLimited(600)
            return await real(route, **options)

        w.bot.http.request = request  # type: ignore[method-assign]
        await asked(w)
        await postponed(w)
        await looks(w, clock, 6, seconds=99)
        assert len(calls) == 1
        await looks_until(w, clock, 1, Status.DELIVERED, seconds=9)
        assert len(calls) == 2
        w.bot.http.request = real  # type: ignore[method-assign]


@pytest.mark.parametrize("minutes", [0.5, 5, 500])
@pytest.mark.parametrize("seen", [True, False])
async def test_a_crash_between_posting_and_recording_does_not_post_twice(
    plan: Plan, clock: Clock, minutes: float, *, seen: bool
) -> None:
    """Whether the bot may look at the channel decides what it can know after the nonce's life."""
    lost = 1

    def how(_: Any) -> Exception | None:
        nonlocal lost
        lost -= 1
        return TimeoutError() if lost >= 0 else None

    async with world(replace(plan, clock=clock)) as w:
        with answers(w.bot, how), sends(w.bot) as sent:
            await asked(w)

            await postponed(w)
            assert w.results()
            if not seen:
                w.env.inject_error("GET", MESSAGES, status=403, code=50001, times=None)
            clock.turn(minutes=minutes)
            w.bot.dispatch("look")
            await w.ended(1, Status.DELIVERED)
        contents = [content for content, files in sent if files]
        if seen:
            assert len(contents) == 1
        elif minutes < 2:
            assert contents == [w.alice.mention] * 2, "its nonce lets Discord know it again"
        else:
            assert contents == [w.alice.mention, f"{w.alice.mention} {embeds.REPEATED}"]


@pytest.mark.parametrize(("searched", "repeats"), [(500, 0), (50, 1)])
async def test_what_was_posted_is_found_by_no_clock(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch, searched: int, repeats: int
) -> None:
    """Discord's may be far from ours, and many may write before the bot is back."""
    clock.set(days=400)
    lost = iter([TimeoutError()])
    async with world(replace(plan, clock=clock)) as w:
        monkeypatch.setattr(sys.modules["cogs.delivery"], "SEARCHED", searched)
        with answers(w.bot, lambda _: next(lost, None)), sends(w.bot) as sent:
            await asked(w)
            await postponed(w)
            for number in range(120):
                await w.bob.send(w.music, f"{number}")
            clock.turn(minutes=5)
            w.bot.dispatch("look")
            await w.ended(1, Status.DELIVERED)
        contents = [content for content, files in sent if files]
        assert contents[1:] == [f"{w.alice.mention} {embeds.REPEATED}"] * repeats


async def test_a_nonce_is_not_relied_upon_by_a_clock_that_was_set_back(
    plan: Plan, clock: Clock
) -> None:
    lost = iter([TimeoutError()])
    async with world(replace(plan, clock=clock)) as w:
        with answers(w.bot, lambda _: next(lost, None)), sends(w.bot) as sent:
            await asked(w)
            await postponed(w)
            w.env.inject_error("GET", MESSAGES, status=403, code=50001, times=None)
            clock.set(days=-3)
            w.bot.dispatch("look")
            await w.ended(1, Status.DELIVERED)
        contents = [content for content, files in sent if files]
        assert contents[1:] == [f"{w.alice.mention} {embeds.REPEATED}"]


async def test_a_preview_that_cannot_be_removed_yet_holds_nothing_up(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        real, limited = w.bot.http.request, True

        async def request(route: Any, **options: Any) -> Any:
            if route.method == "DELETE" and limited:
                raise discord.RateLimited(600)
            return await real(route, **options)

        w.bot.http.request = request  # type: ignore[method-assign]
        await asked(w, "long", duration=40)
        await w.result()
        await w.studio.stop(1, member(w.alice.id, w.guild.id))
        await w.ended(1, Status.DELIVERED)
        await asked(w)
        await w.ended(2, Status.DELIVERED)
        names = [message.attachments[0].filename for message in w.results()]
        assert len(names) == 3, "the preview still stands"
        limited = False
        clock.turn(minutes=5)

        async def removed() -> bool:
            return len(w.results()) == 2

        await until(removed)
        w.bot.http.request = real  # type: ignore[method-assign]
