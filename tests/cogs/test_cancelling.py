"""Cancel, by its button: who may, and what becomes of the job."""

from dataclasses import replace

from bot.app import Plan
from bot.values import Status
from tests.support.deliveries import charged
from tests.support.shown import told
from tests.support.studio import GENEROUS, member
from tests.support.world import world


async def test_a_second_waiting_job_is_refused_where_the_tier_has_one(plan: Plan) -> None:
    one = replace(GENEROUS, waiting=1)
    async with world(replace(plan, defaults=(one,))) as w:
        await w.status(await w.generate("slow"), "Rendering #1")
        await w.generate("play")
        assert "You already have #2 waiting" in told(await w.generate("play"))
        assert not (await w.generate("play", by=w.bob)).ephemeral


async def test_a_waiting_job_is_cancelled_by_its_button(plan: Plan) -> None:
    async with world(plan) as w:
        first = await w.generate("slow", 8)
        await w.status(first, "Rendering #1")
        shown = await w.generate("play")
        assert shown.response
        await w.alice.click(shown.response.message, label="Cancel")
        embed = await w.status(shown, "#2 was cancelled")
        assert "Nothing was charged" in str(embed.description)
        assert shown.response.components == []
        assert await charged(await w.ended(2, Status.CANCELLED), w) == 0


async def test_a_rendering_job_is_cancelled_and_the_next_one_plays(plan: Plan) -> None:
    async with world(plan) as w:
        first = await w.generate("slow", 8)
        await w.status(first, "Rendering #1")
        assert first.response
        await w.alice.click(first.response.message, label="Cancel")
        await w.status(first, "#1 was cancelled")
        await w.gone(await w.generate("play"))
        assert len(w.results()) == 1


async def test_only_the_owner_or_a_manager_cancels(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("slow", 8)
        await w.status(shown, "Rendering #1")
        assert shown.response
        refused = await w.bob.click(shown.response.message, label="Cancel")
        assert "Only the member who requested #1" in told(refused)
        await w.admin.click(shown.response.message, label="Cancel")
        await w.status(shown, "#1 was cancelled")


async def test_a_second_click_is_told_that_it_is_cancelled_already(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("slow", 8)
        await w.status(shown, "Rendering #1")
        assert shown.response
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        second = await w.alice.click(shown.response.message, label="Cancel")
        assert "already cancelled" in told(second)


async def test_a_button_of_an_earlier_run_still_cancels(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("slow", 8)
        await w.status(shown, "Rendering #1")
        await w.restart(plan)
        assert shown.response
        await w.alice.click(shown.response.message, label="Cancel")
        await w.status(shown, "#1 was cancelled")
