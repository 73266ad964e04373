"""How a result reaches its member: by the channel, the interaction or a direct message, or not."""

import asyncio
from dataclasses import replace
from typing import Any

import discord
import pytest
import simcord

from bot.app import Plan
from bot.values import Job, Status
from cogs.ui import embeds
from tests.support.clock import Clock, until
from tests.support.deliveries import charged, lost_answers
from tests.support.studio import member
from tests.support.world import World, world


async def test_a_refused_channel_is_answered_through_the_interaction(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=403, code=50013, times=1)
        shown = await w.generate("play")
        job = await w.ended(1, Status.DELIVERED)
        (followup,) = shown.followups
        assert followup.attachments[0].filename == "play-1.wav"
        assert await charged(job, w) == 2
        await w.gone(shown)


async def test_after_the_token_has_expired_a_direct_message_brings_it(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.status(await w.generate("slow", 8), "Rendering #1")
        shown = await w.generate("play", by=w.bob)
        clock.turn(minutes=16)
        await w.env.advance_time(16 * 60)
        place = f"/channels/{w.music.id}/messages"
        w.env.inject_error("POST", place, status=403, code=50013, times=None)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await w.ended(2, Status.DELIVERED)
        assert shown.followups == []
        (message,) = w.direct_messages(w.bob)
        assert message.attachments[0].filename == "play-2.wav"


async def test_what_every_route_refuses_is_given_back_and_kept(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=403, code=50013, times=None)
        w.env.inject_error("POST", "/webhooks/*", status=404, code=10015, times=None)
        shown = await w.generate("play")
        job = await w.ended(1, Status.UNDELIVERABLE)
        assert await charged(job, w) == 0
        assert (plan.folder / "audio" / "1-1.wav").exists()
        embed = await w.status(shown, "could not be posted")
        assert "Nothing was charged" in str(embed.description)


async def done_in_time(w: World, clock: Clock, shown: simcord.InteractionResult) -> None:
    """Let time pass, and the bot look, until the first piece was posted."""

    async def look() -> bool:
        clock.turn(seconds=10)
        w.bot.dispatch("look")
        await asyncio.sleep(0.1)
        return shown.response is None

    await until(look)


async def test_a_lost_answer_is_repeated_with_the_same_nonce(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        with lost_answers(w.bot, times=3) as sent:
            shown = await w.generate("play")
            await done_in_time(w, clock, shown)
    assert len(sent) == 1
    assert len(w.results()) == 1


async def test_discords_own_faults_are_waited_out(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=503, times=3)
        shown = await w.generate("play")
        await done_in_time(w, clock, shown)
        assert len(w.results()) == 1


async def test_one_post_that_cannot_be_sent_does_not_hold_up_the_others(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = embeds.result

    def broken(job: Job, *rest: Any) -> discord.Embed:
        if job.id == 1:
            raise RuntimeError("no card for this one")
        return real(job, *rest)

    monkeypatch.setattr(embeds, "result", broken)
    async with world(plan) as w:
        await w.generate("play one")
        shown = await w.generate("play two")
        await w.gone(shown)
        assert (await w.studio.job(1)).status is Status.RENDERED


async def test_a_file_that_has_vanished_is_given_back(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=503, times=1)
        await w.generate("play")
        await w.ended(1, Status.RENDERED)
        (plan.folder / "audio" / "1-1.wav").unlink()
        job = await w.ended(1, Status.UNDELIVERABLE)
        assert await charged(job, w) == 0


@pytest.mark.parametrize(
    ("refusals", "kind", "sentence"),
    [(1, "flac", "lossless"), (2, "ogg", "slightly lossy")],
)
@pytest.mark.parametrize(("status", "code"), [(413, 0), (400, 40005)])
async def test_what_is_too_large_is_posted_in_a_smaller_format_that_says_so(
    plan: Plan, refusals: int, kind: str, sentence: str, status: int, code: int
) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=status, code=code, times=refusals)
        options = {"prompt": "play", "duration": 2, "takes": 5}
        await w.alice.slash(w.music, "generate", **options)
        message = await w.result()
        await w.ended(1, Status.DELIVERED)
        assert [file.filename[-len(kind) :] for file in message.attachments] == [kind] * 5
        assert sentence in str(message.embeds[0].description)
        assert "is kept" in str(message.embeds[0].description)
        assert all(w.path(f"audio/1-{take}.wav").exists() for take in range(1, 6))


async def test_what_is_too_large_in_every_format_is_given_back(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=413, times=None)
        w.env.inject_error("POST", "/webhooks/*", status=413, times=None)
        await w.generate("play")
        await w.ended(1, Status.UNDELIVERABLE)
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).used == 0
        assert w.path("audio/1-1.wav").exists()
