"""What Discord, its edge or a crash leaves unclear is tried again, in order, and posted once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import discord
import pytest

from bot.app import Plan
from bot.values import Status
from cogs.ui import embeds, routes
from tests.support.clock import Clock, until
from tests.support.deliveries import (
    MESSAGES,
    answers,
    asked,
    looks,
    looks_until,
    postponed,
    sends,
    used,
)
from tests.support.studio import member
from tests.support.world import World, world


async def ask_elsewhere(w: World) -> None:
    other = w.guild.create_text_channel("other")
    await w.alice.slash(other, "generate", prompt="play", duration=2)


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


async def test_a_long_rate_limit_is_waited_for_as_long_as_it_says(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        real, calls = w.bot.http.request, []

        async def request(route: Any, **options: Any) -> Any:
            if options.get("form"):
                calls.append(clock())
                if len(calls) == 1:
                    raise discord.RateLimited(600)
            return await real(route, **options)

        monkeypatch.setattr(w.bot.http, "request", request)
        await asked(w)
        await postponed(w)
        await looks(w, clock, 6, seconds=99)
        assert len(calls) == 1
        await looks_until(w, clock, 1, Status.DELIVERED, seconds=9)
        assert len(calls) == 2


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
        monkeypatch.setattr(routes, "SEARCHED", searched)
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
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        real, limited = w.bot.http.request, True

        async def request(route: Any, **options: Any) -> Any:
            if route.method == "DELETE" and limited:
                raise discord.RateLimited(600)
            return await real(route, **options)

        monkeypatch.setattr(w.bot.http, "request", request)
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
