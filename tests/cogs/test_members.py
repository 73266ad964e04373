"""Tiers as members meet them: what they may ask for, what it costs, what they are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import discord
import pytest
import simcord

from bot.app import Plan
from bot.engine.cards import EngineName, configured
from bot.rules import days, quota, tiers
from bot.values import About, Limits, Status
from tests.support.clock import Clock, until
from tests.support.deliveries import charged
from tests.support.shown import card, told
from tests.support.studio import viewer
from tests.support.world import World, world

SKU = 123456789012345678


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


@asynccontextmanager
async def selling(plan: Plan) -> AsyncIterator[tuple[World, simcord.RoleHandle]]:
    """Open a world whose patrons have Plus."""
    async with world(plan) as w:
        role = w.guild.create_role("Patrons ✨ عازف")
        await w.admin.slash(w.music, "tier map", role=role, tier="Plus")
        yield w, role


async def test_a_role_counts_from_the_next_request_on(plan: Plan) -> None:
    async with selling(plan) as (w, role):
        refusal = told(await w.generate("play", 20))
        assert "Free tier allows up to 8 s per piece" in refusal
        assert f"**Plus** ($10 / month) allows it: get the role <@&{role.id}>" in refusal
        await w.change_role(w.alice, role, has=True)
        await w.gone(await w.generate("play", 20))
        assert "**Plus**, from the role @\u2068Patrons ✨ عازف\u2069" in card(
            await w.alice.slash(w.music, "usage")
        )
        await w.change_role(w.alice, role, has=False)
        assert "Free tier" in told(await w.generate("play", 20))


async def test_a_refusal_for_the_day_says_what_is_left_until_when_and_what_would_do(
    plan: Plan, clock: Clock
) -> None:
    async with selling(plan) as (w, _):
        await w.gone(await w.generate("play", 5))
        refusal = told(await w.generate("play", 5))
        assert "needs 5 s; you have 3 s of 8 s left today" in refusal
        assert f"<t:{int(days.resets_at(clock()).timestamp())}:R>" in refusal
        assert "**Starter** allows it. Ask whoever manages this server for it." in refusal
        await w.gone(await w.generate("play", 3))
        clock.turn(days=1)
        await w.gone(await w.generate("play", 8))


async def test_takes_models_and_waiting_jobs_are_refused_by_the_tier(plan: Plan) -> None:
    async with world(plan) as w:

        async def ask(**options: Any) -> str:
            return told(await w.alice.slash(w.music, "generate", prompt="slow", **options))

        assert "2 takes; your Free tier allows 1 per request. **Plus**" in await ask(
            duration=2, takes=2
        )
        assert "not available here. Available: small" in await ask(duration=2, model="large")
        await w.status(await w.generate("slow", 2), "Rendering #1")
        await w.generate("play", 2)
        refusal = told(await w.generate("play", 2))
        assert "#2 waiting" in refusal
        assert "**Starter** allows it. Ask whoever manages this server for it." in refusal


async def test_a_model_that_the_tier_lacks_is_refused_though_it_is_loaded(plan: Plan) -> None:
    async with world(replace(plan, models=("large",))) as w:
        refusal = told(await w.generate("play", 2))
        assert "Free tier does not include the model large. **Premium**" in refusal


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(waiting=1), "queue is full: it holds 1 piece, the most the operator allows"),
        (Limits(waiting_per_server=1), "already has 1 piece waiting, the most the operator"),
        (Limits(server_seconds_per_day=5), "1 s of 5 s left today, the most the operator allows"),
        (Limits(servers=frozenset({1})), "not on the operator's list"),
    ],
)
async def test_the_operators_limits_come_first(plan: Plan, limits: Limits, sentence: str) -> None:
    async with world(replace(plan, limits=limits)) as w:
        await w.generate("slow", 2, by=w.admin)
        if limits.allows(w.guild.id):
            await w.ended(1, Status.RUNNING)
        await w.generate("play", 2, by=w.bob)
        assert sentence in told(await w.generate("play", 2))


async def test_a_piece_longer_than_the_operator_allows_is_not_the_tiers_fault(plan: Plan) -> None:
    async with selling(replace(plan, limits=Limits(max_seconds=25))) as (w, role):
        await w.change_role(w.alice, role, has=True)
        with pytest.raises(simcord.SetupError):  # Discord itself does not let it pass
            await w.generate("play", 26)
        refusal = ""
        async with w.database.transaction() as tx:
            await tx.execute("UPDATE servers SET max_seconds = 9 WHERE guild_id = ?", (w.guild.id,))
        refusal = told(await w.generate("play", 10))
        assert "the operator allows this server up to 9 s per piece" in refusal


async def test_a_subscription_counts_over_all_servers_and_only_while_it_lives(plan: Plan) -> None:
    async with world(replace(plan, skus={SKU: "starter"})) as w:
        sku = w.env.create_sku("Starter", id=SKU)
        held = await w.env.grant_entitlement(sku, user=w.alice)
        other = w.env.create_guild("Opera")
        stage = other.create_text_channel("stage")
        member = other.add_member(
            w.env.get_user(w.alice.id) if hasattr(w.env, "get_user") else w.alice.user
        )
        for _ in range(1, 9):
            await w.gone(await w.generate("play", 15))
        text = card(await member.slash(stage, "usage"))
        assert "**Starter**, from your subscription" in text
        assert "**0 s** of 120 s on all servers" in text
        refusal = told(await member.slash(stage, "generate", prompt="play", duration=2))
        assert "0 s of 120 s left today on all servers" in refusal
        await held.end()
        assert "**8 s** of 8 s" in card(await member.slash(stage, "usage"))
        assert "**0 s** of 8 s" in card(await w.alice.slash(w.music, "usage"))


async def test_admins_see_a_members_subscription_as_the_member_does(plan: Plan) -> None:
    async with world(replace(plan, skus={SKU: "starter"})) as w:
        held = await w.env.grant_entitlement(w.env.create_sku("Starter", id=SKU), user=w.alice)
        for member, tier, left in ((w.alice, "Starter", "120 s"), (w.bob, "Free", "8 s")):
            text = card(await w.admin.slash(w.music, "quota show", member=member))
            assert f"**{tier}**" in text
            assert f"**{left}** of {left}" in text
        await held.end()
        assert "**Free**" in card(await w.admin.slash(w.music, "quota show", member=w.alice))


async def test_admins_are_told_where_subscriptions_are_not_known(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, skus={SKU: "starter"})) as w:
        await w.env.grant_entitlement(w.env.create_sku("Starter", id=SKU), user=w.alice)
        monkeypatch.setattr(w.bot.http, "get_entitlements", unreached)
        shown = await w.admin.slash(w.music, "quota show", member=w.alice)
        assert "did not answer about their subscriptions" in told(shown)
        assert "**Free**" in card(shown)


async def unreached(*_: object, **__: object) -> None:
    raise aiohttp.ClientConnectionError


async def test_a_servers_subscription_is_each_members_own(plan: Plan) -> None:
    async with world(replace(plan, skus={SKU: "starter"})) as w:
        await w.env.grant_entitlement(w.env.create_sku("Starter", id=SKU), guild=w.guild)
        await w.gone(await w.generate("play", 15))
        assert "from this server's subscription" in card(await w.alice.slash(w.music, "usage"))
        assert "**105 s** of 120 s" in card(await w.alice.slash(w.music, "usage"))
        assert "**120 s** of 120 s" in card(await w.bob.slash(w.music, "usage"))


async def test_two_servers_do_not_see_each_other(plan: Plan) -> None:
    async with selling(plan) as (w, _):
        other = w.env.create_guild("Opera")
        stage = other.create_text_channel("stage")
        manager = other.create_role("Boss", permissions=discord.Permissions(manage_guild=True))
        boss = other.add_member(w.admin.user, roles=[manager])
        guest = other.add_member(w.alice.user)
        await w.gone(await w.generate("play", 8))
        await boss.slash(
            stage, "tier edit", tier="Free", name="Gratis", longest=20, price="no money"
        )
        assert "Gratis" in card(await guest.slash(stage, "plans"))
        assert "Gratis" not in card(await w.alice.slash(w.music, "plans"))
        assert "**8 s** of 8 s" in card(await guest.slash(stage, "usage"))
        log = card(await w.admin.slash(w.music, "log"))
        assert "/tier map" in log
        assert "Gratis" not in log


async def test_usage_tells_the_whole_story(plan: Plan) -> None:
    async with world(plan) as w:
        await w.gone(await w.generate("play @everyone *loud*", 5))
        await w.status(await w.generate("fail", 3), "could not be rendered")
        await w.admin.slash(
            w.music, "quota grant", member=w.alice, seconds=60, reason="won the contest", days=3
        )
        await w.status(await w.generate("slow", 8), "Rendering #3")
        text = card(await w.alice.slash(w.music, "usage"))
        assert "**Free**, the default tier" in text
        assert "**0 s** of 8 s" in text
        assert "**55 s** of 60 s: won the contest, until <t:" in text
        assert "#3 is rendering" in text
        assert "**−5 s** \\#1 play \\@everyone \\*loud\\*" in text
        assert "**+3 s** \\#2 refunded\\: The engine has no violins\\." in text
        assert "**+60 s** granted\\: won the contest" in text
        await w.services.archive.delete(1, viewer(w.alice.id, w.guild.id))
        text = card(await w.alice.slash(w.music, "usage"))
        assert "**−5 s** \\#1 \\(deleted\\) play" in text
        await w.services.archive.forget(w.alice.id)
        text = card(await w.alice.slash(w.music, "usage"))
        assert "**−5 s** \\#1 \\(erased\\)" in text
        bob = card(await w.bob.slash(w.music, "usage"))
        assert "won the contest" not in bob


async def test_grants_are_used_after_the_day_soonest_end_first(plan: Plan, clock: Clock) -> None:
    async with world(plan) as w:
        for seconds, days in ((10, 9), (5, 2), (7, None)):
            options = {"days": days} if days else {}
            await w.admin.slash(
                w.music, "quota grant", member=w.alice, seconds=seconds, reason="x", **options
            )
        await w.gone(await w.generate("play", 8))
        await w.gone(await w.generate("play", 8))
        text = card(await w.alice.slash(w.music, "usage"))
        assert "5 s** of 5 s" not in text
        assert "**7 s** of 10 s" in text
        assert "**7 s** of 7 s" in text
        clock.turn(days=10)
        assert "of 10 s" not in card(await w.alice.slash(w.music, "usage"))


async def test_plans_show_the_way_to_each_tier_and_mark_ones_own(plan: Plan) -> None:
    async with selling(replace(plan, skus={SKU: "pro"})) as (w, role):
        await w.admin.slash(
            w.music, "tier edit", tier="Premium", link="https://example.org/premium"
        )
        await w.change_role(w.bob, role, has=True)
        shown = await w.bob.slash(w.music, "plans")
        text = card(shown)
        assert "★ Plus (yours): $10 / month" in text
        assert "→ @\u2068Patrons ✨ عازف\u2069" in text
        assert "→ [get it here](https://example.org/premium)" in text
        assert "models small, ~~medium~~, ~~ace~~ (struck through: not available here)" in text
        assert shown.response
        (row,) = shown.response.components
        (button,) = row["components"]
        assert (button["style"], int(button["sku_id"])) == (discord.ButtonStyle.premium.value, SKU)


async def test_help_and_about_fit_their_reader(plan: Plan) -> None:
    about = About(version="9.9", code="https://example.org/code")
    models = configured(EngineName.MUSICGEN, ["facebook/musicgen-small", "ACE-Step/Ace-Step1.5"])
    names = tuple(each.name for each in models)
    async with world(replace(plan, about=about, models=names, cards=models)) as w:
        assert "/tier" not in card(await w.alice.slash(w.music, "help"))
        assert "/tier" in card(await w.admin.slash(w.music, "help"))
        text = card(await w.alice.slash(w.music, "about"))
        licences = "MusicGen small: CC-BY-NC 4.0 (no commercial use)\nACE-Step 1.5: MIT"
        for told_ in ("Fantasia 9.9", licences, "https://example.org/code"):
            assert told_ in text


async def test_the_choices_follow_what_the_member_may_choose(plan: Plan) -> None:
    async with selling(plan) as (w, role):

        async def offered(option: str, typed: str) -> list[str]:
            filled = {"prompt": "x"} | ({"duration": 2} if option == "model" else {})
            found = await w.alice.autocomplete(w.music, "generate", option, typed, **filled)
            return [choice["name"] for choice in found]

        assert await offered("duration", "") == ["5 s", "8 s"]
        assert await offered("duration", "30") == ["8 s: the longest your Free tier allows"]
        await w.change_role(w.alice, role, has=True)
        assert await offered("duration", "") == ["5 s", "8 s", "15 s", "30 s"]
        assert await offered("duration", "21") == ["21 s"]
        absent = ["ace: not available here", "medium: not available here"]
        assert await offered("model", "") == ["small", *absent]


async def unposted(w: World) -> simcord.InteractionResult:
    """Ask for 8 s that Discord takes nowhere, and let it take things again."""
    w.env.inject_error("POST", "/channels/*/messages", status=403, code=50013, times=None)
    w.env.inject_error("POST", "/webhooks/*", status=404, code=10015, times=None)
    shown = await w.generate("play", 8)
    await w.status(shown, "could not be posted")
    w.env.backend.faults.clear()
    return shown


async def test_a_piece_that_could_not_be_posted_is_charged_when_it_is_posted_again(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        shown = await unposted(w)
        assert shown.response
        message = shown.response.message
        clock.turn(days=1)
        assert "Only the member who requested" in told(
            await w.bob.click(message, label="Post again")
        )
        await w.alice.click(message, label="Post again")
        await w.gone(shown)
        job = await w.ended(1, Status.DELIVERED)
        assert await charged(job, w) == 8
        assert "0 s of 8 s left today" in told(await w.generate("play", 2))


async def test_posting_again_is_refused_where_nothing_is_left(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await unposted(w)
        await w.gone(await w.generate("play", 8))
        assert shown.response
        clicked = await w.alice.click(shown.response.message, label="Post again")
        assert "0 s of 8 s left today" in told(clicked)
        assert (await w.studio.job(1)).status is Status.UNDELIVERABLE


async def test_a_server_that_is_not_allowed_is_told_once_and_then_nothing(plan: Plan) -> None:
    closed = replace(plan, limits=Limits(servers=frozenset({1})))
    async with world(closed) as w:
        guild = w.bot.get_guild(w.guild.id)
        for _ in range(2):
            w.bot.dispatch("guild_join", guild)

            async def said() -> bool:
                return bool(w.messages())

            await until(said)
        assert [message.content for message in w.messages()] == [quota.NOT_ALLOWED]
        await w.restart(closed)
        assert len(w.messages()) == 1
        assert told(await w.generate("play")) == quota.NOT_ALLOWED
