"""Stars, titles and the search in /history."""

from dataclasses import replace
from typing import Any

import discord
import pytest
import simcord

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.tables import takes
from bot.values import Keep, Status
from tests.support.clock import Clock
from tests.support.erased import everything
from tests.support.presses import forged
from tests.support.shown import answered, card, described, embed, told
from tests.support.studio import member
from tests.support.world import World, world


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot whose members may star two pieces."""
    (tier,) = plan.defaults
    return replace(plan, defaults=(replace(tier, stars=2),), clock=clock)


async def made(w: World, *prompts: str) -> None:
    for prompt in prompts:
        await w.generate(prompt)
    await w.ended(len(prompts), Status.DELIVERED)


async def shown(w: World, number: int, who: simcord.MemberActor | None = None) -> discord.Message:
    """The card of a piece."""
    card = await (who or w.alice).slash(w.music, "piece", number=number)
    return answered(card).message


async def star(w: World, number: int) -> simcord.InteractionResult:
    return await w.alice.click(await shown(w, number), label="☆ Star")


async def name(w: World, number: int, title: str) -> simcord.InteractionResult:
    form = await w.alice.click(await shown(w, number), label="Name it")
    return await w.alice.submit_modal(form, {"title": title})


async def listed(w: World, **options: Any) -> str:
    return card(await w.alice.slash(w.music, "history", **options))


async def heading(w: World) -> str | None:
    return embed(await w.alice.slash(w.music, "history")).title


async def order(w: World, **options: Any) -> list[str]:
    """The numbers in /history, as they are listed."""
    text = described(await w.alice.slash(w.music, "history", **options))
    return [line.partition(" play")[0] for line in text.splitlines() if "#" in line[:6]]


async def test_starred_pieces_come_first_and_no_more_than_the_tier_has(plan: Plan) -> None:
    async with world(plan) as w:
        await made(w, "play one", "play two", "play three")
        assert "★ 0 of 2" in await listed(w)
        assert await heading(w) == "Pieces, newest first"
        await star(w, 1)
        await star(w, 2)
        assert await order(w) == ["★ **#2**", "★ **#1**", "**#3**"]
        assert await heading(w) == "Pieces, starred first"
        assert "keeps 2 starred pieces" in told(await star(w, 3))
        await w.restart(plan)
        message = await shown(w, 2)
        assert "★ Piece #2" in str(message.embeds[0].title)
        await w.alice.click(message, label="★ Starred")
        await star(w, 3)
        assert await order(w) == ["★ **#3**", "★ **#1**", "**#2**"]
        assert "★ 2 of 2" in await listed(w)
        await w.services.archive.delete(3, member(w.alice.id, w.guild.id))
        await star(w, 2)
        assert await order(w) == ["★ **#2**", "★ **#1**"]


async def test_a_piece_is_found_by_its_title_its_words_and_its_number(plan: Plan) -> None:
    async with world(plan) as w:
        await made(w, "play a WALTZ in the rain", "play a waltz", "play Überraschung")
        await name(w, 2, "  for *Mia*  ")
        message = await shown(w, 2)
        assert message.embeds[0].title == r"Piece #2: for \*Mia\*"
        assert r"**#2** **for \*Mia\*** · play a waltz" in await listed(w)
        for words, found in (
            ("waltz", ["2", "1"]),
            ("rain Waltz", ["1"]),
            ("mia", ["2"]),
            ("überRASCHUNG", ["3"]),
            ("#3", ["3"]),
            ("100%", []),
        ):
            text = await listed(w, words=words)
            assert [line for line in "321" if f"**#{line}**" in text] == sorted(found, reverse=True)
        assert "No piece has all of these words" in await listed(w, words="tango")
        await name(w, 2, "")
        assert "Mia" not in await everything(w)
        await w.admin.slash(w.music, "words add", word="kazoo")
        assert "a word that this server blocks" in told(await name(w, 2, "my kazoo"))


async def test_what_is_gone_is_neither_starred_nor_named_and_a_title_is_short(plan: Plan) -> None:
    async with world(plan) as w:
        await made(w, "play one", "play two")
        shelf, alice = w.services.shelf, member(w.alice.id, w.guild.id)
        await shelf.name(1, alice, "x" * 70)
        assert (await w.studio.job(1)).title == "x" * 60
        await w.services.archive.delete(1, alice)
        with pytest.raises(Refusal, match="#1 was deleted"):
            await shelf.name(1, alice, "gone")
        await w.services.archive.forget(w.alice.id)
        with pytest.raises(Refusal, match="There is no piece #2 here"):
            await shelf.name(2, alice, "gone")


async def test_a_piece_is_chosen_by_its_words_where_its_number_is_asked_for(plan: Plan) -> None:
    async with world(plan) as w:
        await made(w, *(f"play number {number}" for number in range(1, 13)))
        await name(w, 7, "for Mia")

        async def offered(typed: str) -> list[tuple[str, int]]:
            found = await w.alice.autocomplete(w.music, command, "number", typed)
            return [(choice["name"], choice["value"]) for choice in found]

        for command in ("piece", "resend"):
            assert (await offered(""))[0] == ("#12 play number 12", 12)
            assert (await offered("2"))[:2] == [("#2 play number 2", 2), ("#12 play number 12", 12)]
            assert await offered("mia") == [("#7 for Mia", 7)]
            assert await w.bob.autocomplete(w.music, command, "number", "") == []


async def test_a_search_goes_on_over_pages_and_a_restart(plan: Plan) -> None:
    async with world(plan) as w:
        for number in range(1, 13):
            await w.generate("play odd" if number % 2 else f"play even {number}")
            await w.ended(number, Status.DELIVERED)
        for number in (14, 16, 18, 20, 22):
            await w.generate("play even once more")
            await w.ended(number // 2 + 6, Status.DELIVERED)
        found = await w.alice.slash(w.music, "history", words="even")
        assert "odd" not in described(found)
        await w.restart(plan)
        await w.alice.click(answered(found).message, label="Older")
        assert "**#2** play even 2" in described(found)
        assert "odd" not in described(found)


async def test_only_its_member_stars_and_names_a_piece(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        await made(w, "play")
        labels = [
            getattr(child, "label", "")
            for row in (await shown(w, 1, w.bob)).components
            for child in getattr(row, "children", ())
        ]
        assert labels == ["Again", "Edit", "Extend", "Save as", "Delete"]
        for who in (w.bob, w.admin):
            for press in ("star:1", "unstar:1"):
                assert "Only the member who requested #1" in await forged(w, who, w.music, press)
        form = await w.alice.click(await shown(w, 1), label="Name it")
        assert form._interaction.modal
        form._interaction.modal["custom_id"] = "name:99"
        assert "There is no piece #99" in told(await w.alice.submit_modal(form, {"title": "x"}))
        with pytest.raises(Refusal, match="Only the member who requested #1"):
            await w.services.shelf.name(1, member(w.bob.id, w.guild.id), "mine")
        await w.generate("fail")
        await w.ended(2, Status.FAILED)
        assert "#2 is failed" in told(await star(w, 2))


async def test_starred_music_outlives_the_days_and_goes_last(plan: Plan, clock: Clock) -> None:
    async with world(plan) as w:
        prune = w.services.archive.prune
        await made(w, "play one", "play two")
        await star(w, 1)
        clock.turn(days=31)
        assert await prune(Keep(days=30)) == 1
        await w.generate("play three")
        await w.ended(3, Status.DELIVERED)
        assert await music(w) == {1, 3}
        size = sum(path.stat().st_size for path in (w.folder / "audio").glob("1-*"))
        assert await prune(Keep(days=30, most=size)) == 1
        assert await music(w) == {1}
        assert await prune(Keep(days=30, most=0)) == 1
        assert await music(w) == set()
        assert "★ **#1**" in await listed(w)
        await w.alice.click(await shown(w, 1), label="★ Starred")
        assert "no longer kept" in told(await star(w, 1))


async def test_a_piece_that_is_starred_while_old_music_is_looked_through_is_kept(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        await made(w, "play one")
        clock.turn(days=31)
        real = takes.kept

        async def kept(*given: Any) -> list[takes.Kept]:
            found: list[takes.Kept] = await real(*given)
            if found:
                await star(w, 1)
            return found

        monkeypatch.setattr(takes, "kept", kept)
        assert await w.services.archive.prune(Keep(days=30)) == 0
        assert await music(w) == {1}


async def test_titles_and_stars_are_forgotten_with_their_member_and_their_server(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        for number, forgotten in enumerate(("member", "server"), 1):
            await w.generate("play")
            await w.ended(number, Status.DELIVERED)
            await name(w, number, "my secret")
            await star(w, number)
            if forgotten == "member":
                await w.services.archive.forget(w.alice.id)
            else:
                await w.services.archive.left(w.guild.id)
                clock.turn(days=31)
                await w.services.archive.forget_the_left()
            assert "my secret" not in await everything(w)
            assert await w.services.shelf.stars(w.guild.id, w.alice.id) == 0
            assert await music(w) == set()


async def music(w: World) -> set[int]:
    """The pieces whose music is kept."""
    rows = await w.database.fetch("SELECT job_id FROM takes WHERE audio IS NOT NULL")
    return {row["job_id"] for row in rows}
