"""/forget me, and servers that remove the bot."""

from dataclasses import replace

import pytest

from bot.app import Plan
from bot.rules import tiers
from bot.values import Status
from tests.support.clock import Clock, until
from tests.support.deliveries import used
from tests.support.presses import first, forged
from tests.support.shown import card, told
from tests.support.world import world


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


async def test_who_is_forgotten_leaves_numbers_alone(plan: Plan) -> None:
    async with world(plan) as w:
        await first(w, prompt="draw a secret")
        await w.alice.slash(w.music, "generate", prompt="slow secret", duration=2)
        await w.ended(2, Status.RUNNING)
        await w.generate("play on", by=w.bob)
        shown = await w.alice.slash(w.music, "forget me")
        assert shown.response
        await w.restart(plan)
        question = shown.response.message
        done = await w.alice.click(question, label="Erase everything")
        assert "Erased: 2 pieces" in str(done.response and done.response.content)
        await w.ended(3, Status.DELIVERED)
        assert await used(w, w.alice) == 2
        assert (await w.studio.job(2)).status is Status.CANCELLED
        for file in plan.folder.rglob("*"):
            assert not file.name.startswith(("1-", "2-"))
            if file.is_file():
                assert b"secret" not in file.read_bytes()
        assert "Nothing here" in card(await w.alice.slash(w.music, "history"))
        assert "no piece #1 here" in told(await w.alice.slash(w.music, "piece", number=1))
        assert "secret" not in card(await w.alice.slash(w.music, "usage"))


async def test_nobody_is_forgotten_by_others(plan: Plan) -> None:
    async with world(plan) as w:
        await first(w)
        said = await forged(w, w.bob, w.music, f"forget:{w.alice.id}")
        assert "only erase your own" in said
        assert (await w.studio.job(1)).request.prompt == "play a waltz"


async def test_a_server_without_the_bot_is_forgotten_after_thirty_days(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        await first(w)
        archive = w.bot.services.archive
        await archive.left(w.guild.id)
        clock.turn(days=29)
        await archive.forget_the_left()
        assert (await w.studio.job(1)).request.prompt == "play a waltz"
        await archive.present({w.guild.id})
        clock.turn(days=31)
        await archive.forget_the_left()
        assert (await w.studio.job(1)).request.prompt == "play a waltz"
        await archive.present(set())
        clock.turn(days=31)
        w.bot.dispatch("look")

        async def forgotten() -> bool:
            return (await w.studio.job(1)).forgotten and not [*(plan.folder / "audio").iterdir()]

        await until(forgotten)
        assert await used(w, w.alice) == 0  # of another day
