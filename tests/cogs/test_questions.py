"""What the buttons under a piece ask before they do it, and what becomes of the question."""

from dataclasses import replace

import discord
import pytest

from bot.app import Plan
from bot.rules import tiers
from bot.values import Status
from tests.support.clock import Clock
from tests.support.deliveries import undeliverable, used
from tests.support.presses import choose, delete, first
from tests.support.shown import answered, card, choices, embed, fields, told
from tests.support.world import world

LONG = {"seconds-per-day": 60}


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


async def test_a_question_queues_and_charges_once(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (discord.NotFound,)
        question = await w.bob.click(await first(w), label="Extend")
        path = "/interactions/*/callback"
        w.env.inject_error("POST", path, status=404, code=10062, times=1)  # it is not closed
        await choose(w.bob, question, "5 s more")
        again = await choose(w.bob, question, "6 s more")
        assert (told(question), answered(question).components) == ("#1 goes on as #2.", [])
        await w.gone(again)
        rows = await w.database.fetch("SELECT id FROM jobs")
        assert ([row["id"] for row in rows], await used(w, w.bob)) == ([1, 2], 5)


async def test_what_still_fits_is_offered(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", longest=15, **LONG)
        question = await w.alice.click(await first(w, duration=12), label="Extend")
        assert await choices(question) == ["3 s more"]


async def test_a_piece_goes_on_with_other_words(plan: Plan) -> None:
    async with world(plan) as w:
        question = await w.bob.click(await first(w), label="Extend")
        form = await w.bob.click(answered(question).message, label="With other words")
        assert fields(form)["prompt"]["value"] == "play a waltz"
        await w.restart(plan)
        await w.bob.submit_modal(form, {"prompt": "play a polka", "more": ["1:6"]})
        two = (await w.ended(2, Status.DELIVERED)).request
        assert (two.prompt, two.before, two.seconds) == ("play a polka", 2, 6)
        assert (told(question), answered(question).components) == ("#1 goes on as #2.", [])
        assert await used(w, w.bob) == 6


async def test_of_a_deleted_piece_nothing_offers_what_is_gone(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        await delete(w.alice, message)
        shown = await w.alice.slash(w.music, "piece", number=1)
        assert "deleted" in card(shown)
        (row,) = answered(shown).components
        assert [button["label"] for button in row["components"]] == ["Again", "Edit"]


async def test_the_status_message_of_a_deleted_piece_goes_too(plan: Plan) -> None:
    async with world(plan) as w:
        await undeliverable(w)
        shown = await w.alice.slash(w.music, "piece", number=1)
        await delete(w.alice, answered(shown).message)
        await w.look()
        assert w.messages() == []


async def test_a_status_message_that_cannot_be_deleted_shrinks_to_a_line(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("DELETE", "/channels/*/messages/*", status=403, code=50013, times=None)
        shown = await w.generate("play")
        message = await w.result()
        await w.ended(1, Status.DELIVERED)
        await w.look()
        (row,) = await w.database.fetch("SELECT shown, status_message_id FROM jobs")
        assert tuple(row) == ("delivered", answered(shown).id), "forgetting tries it once more"
    assert embed(shown).title is None
    assert embed(shown).description == f"#1 is done. [Listen to it here]({message.jump_url})."


async def test_a_status_message_is_deleted_after_a_restart_too(plan: Plan, clock: Clock) -> None:
    async with world(plan) as w:
        w.env.inject_error("DELETE", "/channels/*/messages/*", status=503, times=None)
        shown = await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        await w.look()
        assert shown.response
        await w.restart(plan)
        w.env.backend.faults.clear()
        clock.turn(minutes=5)
        await w.gone(shown)
        assert len(w.results()) == 1


async def test_a_long_prompt_is_cut_in_cards_and_whole_in_piece(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w, prompt="play " + "x" * 400)
        assert len(str(message.embeds[0].description)) < 180
        assert "x" * 400 in card(await w.alice.slash(w.music, "piece", number=1))


async def test_the_result_mentions_who_asked_alone_and_says_what_was_refunded(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", longest=60, **LONG)
        await w.alice.slash(w.music, "generate", prompt="long", duration=60)
        await w.alice.click(await w.result(), label="Stop here")
        await w.ended(1, Status.DELIVERED)
        message = w.results()[-1]
        assert message.content == w.alice.mention
        assert "stopped: 26 s refunded" in str(message.embeds[0].footer.text)
        assert await used(w) == 34
