"""/history and /piece."""

import pytest
import simcord

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.values import Status
from tests.support.shown import card, told
from tests.support.world import World, world


async def history(w: World, who: simcord.MemberActor, **options: object) -> str:
    return card(await who.slash(w.music, "history", **options))


async def test_ones_pieces_are_listed_newest_first_and_paged(plan: Plan) -> None:
    async with world(plan) as w:
        assert "Nothing here" in await history(w, w.alice)
        for number in range(1, 13):
            await w.generate(f"play number {number}")
            await w.ended(number, Status.DELIVERED)
        shown = await w.alice.slash(w.music, "history")
        lines = card(shown)
        assert lines.index("**#12** play number 12") < lines.index("**#3** play number 3")
        assert "#2**" not in lines
        message = w.results()[-1]
        assert f"2 s · scripted · seed {(await w.studio.job(12)).request.seed}" in lines
        assert f"[listen]({message.jump_url})" in lines
        await w.restart(plan)
        assert shown.response
        await w.alice.click(shown.response.message, label="Older")
        (embed,) = shown.response.embeds
        assert "**#1** play number 1" in str(embed.description)


async def test_others_pieces_are_for_managers(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        await w.generate("play *loud*")
        await w.ended(1, Status.DELIVERED)
        assert "Nothing here" in await history(w, w.bob)
        refused = await w.bob.slash(w.music, "history", member=w.alice)
        assert "Manage Server" in told(refused)
        assert "play \\*loud\\*" in await history(w, w.admin, member=w.alice)


async def test_a_piece_tells_how_to_make_it_again(plan: Plan) -> None:
    async with world(plan) as w:
        options = {"seed": 7, "guidance": 4.5, "takes": 2}
        await w.alice.slash(w.music, "generate", prompt="play `it`", duration=2, **options)
        await w.ended(1, Status.DELIVERED)
        shown = await w.bob.slash(w.music, "piece", number=1)
        text = card(shown)
        assert "1: seed 7\n2: seed 8" in text
        assert "State: delivered: [listen](https://" in text
        assert (
            "/generate prompt: play 'it' duration: 2 takes: 2 model: scripted seed: 7 "
            "guidance: 4.5 temperature: 1 top_k: 250"
        ) in text
        assert shown.response
        await w.gone(await w.bob.click(shown.response.message, label="Again"))


@pytest.mark.parametrize("number", [1, 99])
async def test_what_is_not_ones_business_is_not_there(plan: Plan, number: int) -> None:
    async with world(plan) as w:
        await w.generate("fail")
        await w.ended(1, Status.FAILED)
        text = told(await w.bob.slash(w.music, "piece", number=number))
        assert text == f"There is no piece #{number} here."
        if number == 1:
            assert "failed" in card(await w.alice.slash(w.music, "piece", number=1))
            assert "failed" in card(await w.admin.slash(w.music, "piece", number=1))


async def test_a_piece_of_another_server_is_not_there(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        other = w.env.create_guild("Elsewhere")
        there = other.create_text_channel("music")
        carol = other.add_member(w.env.create_user("carol"))
        assert "no piece #1 here" in told(await carol.slash(there, "piece", number=1))
