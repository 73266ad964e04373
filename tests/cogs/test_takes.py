"""One take of several, and which piece a message is about."""

from dataclasses import replace

import discord
import pytest

from bot.app import Plan
from bot.rules import tiers
from bot.values import Keep, Status
from tests.support.clock import Clock, until
from tests.support.deliveries import used
from tests.support.presses import choose, first
from tests.support.shown import answered, card, choices, told
from tests.support.world import World, world

LONG = {"seconds-per-day": 600, "longest": 60, "takes": 5}


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


async def three(w: World) -> discord.Message:
    """A result of alice's with three takes and a picture."""
    await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
    return await first(w, prompt="draw a waltz", takes=3, seed=7)


async def kept_alone(w: World, message: discord.Message, others: str = "2 other takes") -> None:
    """Let alice keep the second take only."""
    shown = await w.alice.select(message, values=["2"], custom_id="take:1")
    question = await w.alice.click(answered(shown).message, label="Keep only this one")
    assert f"its {others} is removed for good" in told(question)
    await w.alice.click(answered(question).message, label="Keep only this one")
    assert "Only take 2 of #1 is kept" in told(question)


async def holds(w: World, clock: Clock, names: list[list[str]]) -> None:
    """Let time pass until the channel's messages have these files."""

    async def look() -> bool:
        clock.turn(minutes=1)
        w.bot.dispatch("look")
        found = [[file.filename for file in each.attachments] for each in w.results()]
        return found == names

    await until(look)


async def test_one_take_of_several_is_chosen(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.bob.select(await three(w), values=["2"], custom_id="take:1")
        assert told(shown) == "**#1** *draw a waltz*, take 2 · 2 s · seed 8"
        (row,) = answered(shown).components
        assert [button["label"] for button in row["components"]] == ["Extend", "Save as"]
        question = await w.bob.click(answered(shown).message, label="Extend")
        assert (await choices(question))[0] == "Take 2: 5 s more"
        assert len(await choices(question)) == 4
        question = await w.bob.click(answered(shown).message, label="Save as")
        await choose(w.bob, question, "Take 2: MP3")
        assert "take 2 · 2 s · MP3" in told(question)


async def test_keeping_one_take_removes_the_others_everywhere_and_refunds_nothing(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        message = await three(w)
        await w.alice.slash(w.music, "resend", number=1)
        await w.result(2)
        path = f"/channels/{w.music.id}/messages/{message.id}"
        w.env.inject_error("PATCH", path, status=503, times=None)
        await kept_alone(w, message)
        names = {file.name for file in (plan.folder / "audio").iterdir()}
        assert names == {"1-2.wav", "1-2.npy"}
        await w.restart(plan)
        w.env.backend.faults.clear()
        await holds(w, clock, [["draw-a-waltz-1-2.wav"]])
        assert w.results()[0].id == message.id
        embed = w.results()[0].embeds[0]
        assert "Take 2 alone was kept." in str(embed.description)
        assert "Piece #1 · 2 s · MusicGen small · seed 8" in str(embed.footer.text)
        assert embed.image.url is None
        assert await used(w) == 6
        await w.services.archive.prune(Keep(days=0))
        assert list((plan.folder / "audio").iterdir()) == []
        await w.services.archive.forget(w.alice.id)
        await holds(w, clock, [])


async def test_a_menu_that_is_out_of_date_offers_what_is_left(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
        message = await first(w, prompt="play a waltz", takes=2)
        path = f"/channels/{w.music.id}/messages/{message.id}"
        w.env.inject_error("PATCH", path, status=503, times=None)
        await kept_alone(w, message, "1 other take")
        gone = await w.alice.select(message, values=["1"], custom_id="take:1")
        assert told(gone) == "#1 has no take 1 any more."
        left = await w.alice.select(message, values=["2"], custom_id="take:1")
        (row,) = answered(left).components
        assert [button["label"] for button in row["components"]] == ["Extend", "Save as"]


async def test_takes_in_messages_of_their_own_are_removed_with_these(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=413, times=3)
        await three(w)
        message = await w.result(3)
        await w.ended(1, Status.DELIVERED)
        await kept_alone(w, message)
        await holds(w, clock, [["draw-a-waltz-1-2.wav", "draw-a-waltz-1.png"]])
        shown = card(await w.alice.slash(w.music, "piece", number=1))
        assert w.results()[0].jump_url in shown


async def test_a_context_menu_tells_which_piece_a_message_is_about(plan: Plan) -> None:
    name = "About this piece"
    async with world(plan) as w:
        await w.generate("play", by=w.bob)
        result = await w.result()
        assert "Piece #1" in card(await w.alice.context_menu(w.music, name, result))
        await w.ended(1, Status.DELIVERED)
        await w.bob.slash(w.music, "resend", number=1)
        copy = await w.result(2)
        assert "Piece #1" in card(await w.alice.context_menu(w.music, name, copy))
        shown = await w.generate("slow")
        status = answered(shown).message
        assert "Piece #2" in card(await w.alice.context_menu(w.music, name, status))
        hidden = await w.bob.context_menu(w.music, name, status)
        assert told(hidden) == "There is no piece #2 here.", "it is not delivered, and alice's"
        other = await w.bot.get_partial_messageable(w.music.id).send("Hello")
        refused = await w.alice.context_menu(w.music, name, other)
        assert told(refused) == "That message is not about a piece of mine."
