"""The bot as members meet it: the real discord.py in a simulated Discord."""

import asyncio
import io
import shutil
import sys
import wave
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import discord
import pytest

from bot.app import Plan
from bot.lookup.standings import Standings
from bot.rules import days, tiers
from bot.values import Limits, Standing, Status
from tests.support.clock import Clock, until
from tests.support.deliveries import charged
from tests.support.shown import told
from tests.support.studio import member
from tests.support.world import World, world

PERMISSIONS = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "attach_files": "Attach Files",
    "embed_links": "Embed Links",
}


async def test_words_become_a_message_with_music(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("mozart fantasia", 8)
        assert shown.response
        assert not shown.ephemeral
        queued = shown.response.embeds[0]
        assert queued.title == "Queued as #1"
        assert "Number **1** in the queue" in str(queued.description)
        message = await w.result()
        await w.gone(shown)
        job = await w.ended(1, Status.DELIVERED)
        (attachment,) = message.attachments
        content = await attachment.read()
    assert attachment.filename == "mozart-fantasia-1.wav"
    with wave.open(io.BytesIO(content)) as file:
        assert file.getnframes() / file.getframerate() == 8
        assert (file.getsampwidth(), file.getnchannels()) == (2, 1)
    embed = message.embeds[0]
    assert embed.description == "**mozart fantasia** · for alice"
    facts = f"Piece #1 · 8 s · MusicGen scripted · seed {job.request.seed}"
    assert (embed.footer.text, embed.fields) == (facts, [])
    assert message.content == w.alice.mention


async def test_the_expected_time_is_shown_once_speeds_are_known(plan: Plan) -> None:
    async with world(plan) as w:
        await w.gone(await w.generate("play"))
        shown = await w.generate("slow", 8)
        rendering = await w.status(shown, "Rendering #2")
        assert "%" in str(rendering.description)
        assert "expected <t:" in str(rendering.description)
        waiting = await w.generate("play")
        assert waiting.response
        assert "expected <t:" in str(waiting.response.embeds[0].description)


async def test_a_loading_engine_is_said_and_jobs_are_accepted(plan: Plan) -> None:
    late = (*plan.command, "late")
    async with world(replace(plan, command=late)) as w:
        shown = await w.generate("play")
        assert shown.response
        assert "engine is loading" in str(shown.response.embeds[0].description)
        await w.gone(shown)


async def test_progress_is_shown_every_two_seconds_at_first_and_every_four_later(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        shown = await w.generate("slow", 8)
        await w.status(shown, "Rendering #1")
        assert shown.response

        async def progressed(percent: int) -> None:
            async with w.database.transaction() as tx:
                await tx.execute("UPDATE jobs SET progress = ?", (percent / 100,))
            w.bot.dispatch("look")

        async def seen(percent: int) -> bool:
            assert shown.response
            return f"{percent} %" in str(shown.response.embeds[0].description)

        await w.look()
        for every in (2, 4):
            clock.turn(seconds=every - 0.5)
            await progressed(10 * every + 1)
            await asyncio.sleep(0.2)
            assert not await seen(10 * every + 1)
            clock.turn(seconds=1)
            await progressed(10 * every + 2)
            await until(partial(seen, 10 * every + 2))
            await progressed(10 * every + 3)
            await asyncio.sleep(0.2)
            assert not await seen(10 * every + 3)
            clock.turn(seconds=20)
            await w.look()


async def test_the_places_of_all_that_wait_are_found_once_for_all_channels(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is to look: each time costs as much as there are jobs in the queue."""
    found: list[set[int]] = []
    real = Standings.of

    async def noted(self: Standings, numbers: Sequence[int]) -> list[Standing]:
        found.append({*numbers})
        return await real(self, numbers)

    async with world(replace(plan, clock=clock)) as w:
        await w.services.operations.pause("until all have asked")
        for number in range(3):
            room = w.guild.create_text_channel(f"room {number}")
            await w.alice.slash(room, "generate", prompt="play", duration=2)
        await w.look()
        monkeypatch.setattr(Standings, "of", noted)
        clock.turn(seconds=31)
        for _ in range(5):
            w.bot.dispatch("look")
        await w.look()
        monkeypatch.undo()
    assert found == [{1, 2, 3}]


@pytest.mark.parametrize("lacking", PERMISSIONS)
async def test_a_missing_permission_is_named_before_anything_is_queued(
    plan: Plan, lacking: str
) -> None:
    async with world(plan) as w:
        overwrite = discord.PermissionOverwrite(**{lacking: False})
        assert w.bot.user
        channel = w.guild.create_text_channel("closed", overwrites={w.bot.user: overwrite})
        shown = await w.alice.slash(channel, "generate", prompt="play", duration=2)
        assert PERMISSIONS[lacking] in told(shown)
        assert await w.database.fetch("SELECT * FROM jobs") == []


async def test_free_is_one_piece_of_eight_seconds_a_day(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)) as w:
        assert "up to 8 s" in told(await w.generate("play", 9))
        await w.gone(await w.generate("play", 8))
        refusal = told(await w.generate("play", 8))
        assert "0 s of 8 s left today" in refusal
        assert f"<t:{int(days.resets_at(clock()).timestamp())}:R>" in refusal
        clock.turn(hours=12)
        await w.gone(await w.generate("play", 8))


async def test_a_blank_prompt_is_refused(plan: Plan) -> None:
    async with world(plan) as w:
        assert "1 to 500 characters" in told(await w.generate(" \n\t "))


async def test_a_job_that_fails_says_why_and_charges_nothing(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("fail")
        embed = await w.status(shown, "#1 could not be rendered")
        assert "no violins" in str(embed.description)
        assert "Nothing was charged" in str(embed.description)
        assert len(w.messages()) == 1
        assert await charged(await w.ended(1, Status.FAILED), w) == 0


async def test_a_failure_pings_where_the_status_message_is_gone(plan: Plan) -> None:
    async with world(plan) as w:
        await w.status(await w.generate("slow", 8), "Rendering #1")
        shown = await w.generate("fail", by=w.bob)
        assert shown.response
        await w.admin_deletes(shown.response.message)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))

        async def look() -> discord.Message | None:
            return next((m for m in w.messages() if m.content == w.bob.mention), None)

        assert "no violins" in str((await until(look)).embeds[0].description)


async def test_a_failure_pings_where_the_status_message_is_old(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.status(await w.generate("slow", 8), "Rendering #1")
        await w.generate("fail", by=w.bob)
        clock.turn(minutes=56)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))

        async def look() -> discord.Message | None:
            return next((m for m in w.messages() if m.content == w.bob.mention), None)

        assert "no violins" in str((await until(look)).embeds[0].description)


async def test_a_deleted_status_message_does_not_stop_the_music(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("slow", 8)
        await w.status(shown, "Rendering #1")
        waiting = await w.generate("play")
        assert waiting.response
        await w.admin_deletes(waiting.response.message)
        assert shown.response
        await w.alice.click(shown.response.message, label="Cancel")
        await w.result()
        job = await w.ended(2, Status.DELIVERED)

        async def forgotten() -> bool:
            return (await w.studio.job(job.id)).status_message_id is None

        await until(forgotten)


async def test_a_prompt_pings_nobody_and_is_no_markup(plan: Plan) -> None:
    prompt = (
        "@everyone <@1> **bold** [link](https://example.org) `code` ../../etc/passwd ||spoiler||"
    )
    async with world(plan) as w:
        shown = await w.generate(prompt)
        assert shown.response
        message = await w.result()
        await w.gone(shown)
        sent = [request for request in w.env.http_requests if request.method == "POST"]
    (attachment,) = message.attachments
    assert attachment.filename == "everyone-1-bold-link-https-example-org-c-1.wav"
    assert message.content == w.alice.mention
    assert "\\*\\*bold\\*\\*" in str(message.embeds[0].description)
    assert "\\[link\\]" in str(message.embeds[0].description)
    assert "\\|\\|spoiler" in str(message.embeds[0].description)
    for request in sent:
        body = dict(request.json or {}).get("data", request.json or {})
        pings = body.get("allowed_mentions", {"parse": []})
        assert pings.get("parse", []) == []
        assert {int(user) for user in pings.get("users", [])} <= {w.alice.id}
    assert not list(plan.folder.parent.glob("etc*"))


async def test_a_restart_loses_no_job(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=503, times=None)
        rendered = await w.generate("play one")
        await w.ended(1, Status.RENDERED)
        rendering = await w.generate("slow once", 8)
        await w.status(rendering, "Rendering #2")
        waiting = await w.generate("play two")
        w.env.backend.faults.clear()
        await w.restart(replace(plan, clock=clock))
        clock.turn(minutes=6)
        for number, shown in enumerate((rendered, rendering, waiting), start=1):
            await w.ended(number, Status.DELIVERED)
            await w.gone(shown)
        assert len(w.results()) == 3


async def test_commands_are_registered_only_when_they_changed(plan: Plan) -> None:
    def registrations(w: World) -> int:
        return sum(r.method == "PUT" and "/commands" in r.path for r in w.env.http_requests)

    async with world(plan) as w:
        assert registrations(w) == 1
        await w.restart(plan)
        assert registrations(w) == 1
        await w.restart(replace(plan, limits=Limits(max_seconds=60)))
        assert registrations(w) == 2
        await w.restart(replace(plan, limits=Limits(max_seconds=60), sync=True))
        assert registrations(w) == 3


async def test_an_unknown_error_is_answered_with_its_number_alone(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:

        async def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("the secret is swordfish")

        monkeypatch.setattr(w.studio, "submit", broken)
        text = told(await w.generate("play"))
        w.tolerated = (RuntimeError,)
    assert "swordfish" not in text
    assert text.split("`")[1] in caplog.text
    assert "the secret is swordfish" in caplog.text


async def test_the_whole_way_with_the_sketch_engine(plan: Plan) -> None:
    sketch = (sys.executable, "-m", "bot.engine.worker", "--engine", "sketch")
    async with world(replace(plan, command=sketch, models=("sketch",))) as w:
        shown = await w.generate("mozart fantasia", 8)
        message = await w.result()
        await w.gone(shown)
        content = await message.attachments[0].read()
    with wave.open(io.BytesIO(content)) as file:
        assert file.getparams()[:4] == (1, 2, 32000, 256000)
    assert "Sketch engine (not MusicGen)" in str(message.embeds[0].footer.text)


async def test_a_reply_that_comes_too_late_does_not_stop_the_music(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/interactions/*/callback", status=404, code=10062)
        w.tolerated = (discord.NotFound,)
        await w.generate("play")
        message = await w.result()
        assert message.content == w.alice.mention
        assert (await w.ended(1, Status.DELIVERED)).status_message_id is None


async def test_what_may_be_asked_for_reaches_the_engine_and_the_card(plan: Plan) -> None:
    async with world(plan) as w:
        options = {"seed": 7, "guidance": 4.5, "temperature": 0.8, "top_k": 90, "takes": 2}
        await w.alice.slash(w.music, "generate", prompt="play", duration=2, **options)
        message = await w.result()
        request = (await w.studio.job(1)).request
        assert request.seed == 7
        assert request.options == {"guidance": 4.5, "temperature": 0.8, "top_k": 90}
        facts = str(message.embeds[0].footer.text)
        assert "seeds 7, 8 · guidance 4.5, temperature 0.8, top_k 90" in facts
        await w.generate("play")
        plain = await w.result(2)
        assert "guidance" not in str(plain.embeds[0].footer.text)


async def test_a_prompt_is_completed_and_never_held_back(plan: Plan) -> None:
    async with world(plan) as w:

        async def offered(typed: str) -> list[tuple[str, str]]:
            found = await w.alice.autocomplete(w.music, "generate", "prompt", typed)
            assert all(1 <= len(choice["value"]) <= 100 for choice in found)
            assert len({choice["value"] for choice in found}) == len(found) <= 25
            return [(choice["name"], choice["value"]) for choice in found]

        name, value = (await offered(""))[0]
        assert name == f"surprise me: {value}"[:100]
        assert not value.startswith("surprise")
        values = [value for _, value in await offered("a sad pia")]
        assert values[:2] == ["a sad pia", "a sad piano"]
        values = [value for _, value in await offered("piano")]
        assert "piano, calm" in values
        assert not any("violin" in value for value in values), "an instrument is there already"
        for half, first in (
            ("mozart f", ["mozart folk", "mozart funk", "mozart flute"]),
            ("calm, f", ["calm, folk", "calm, funk", "calm, flute"]),
            ("sad violin and", ["sad violin and lo-fi hip hop", "sad violin and slow"]),
        ):
            values = [value for _, value in await offered(half)]
            assert values[: len(first) + 1] == [half, *first]
            assert not any(f"{half}," in value for value in values)
        await w.generate("play a tango with fiddle and flute")
        await w.ended(1, Status.DELIVERED)
        values = [value for _, value in await offered("mozart f")]
        assert values[1:3] == ["mozart flute", "mozart fiddle"], "what one has used comes first"
        assert [value for _, value in await offered("pla")][:2] == [
            "pla",
            "play a tango with fiddle and flute",
        ]
        assert (await offered("x" * 99))[0][1] == "x" * 99
        assert await offered("x" * 101) == []
        await w.gone(await w.generate("play " + "x" * 300))


async def test_a_nearly_full_disk_refuses_new_jobs_and_breaks_nothing_else(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        await w.generate("play")
        usage = shutil.disk_usage(plan.folder)
        full = usage._replace(free=150_000_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
        refused = await w.generate("play")
        assert refused.response
        assert "disk is nearly full" in refused.response.content
        assert "only 150 MB free" in caplog.text
        await w.ended(1, Status.DELIVERED)
        monkeypatch.undo()
        await w.generate("play")
        await w.ended(2, Status.DELIVERED)
