"""From the message that a server reads when the bot joins it to a member's first piece."""

from dataclasses import replace
from datetime import UTC, datetime

import discord
import pytest
import simcord

from bot.app import Plan, compose
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.rules import quota, tiers
from bot.values import Limits
from cogs.ui import setup_view
from tests.support.clock import Clock, until
from tests.support.shown import answered, card, told, values
from tests.support.world import World, world

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""Before SimCord's servers are joined, which is at the start of its own time."""


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with, which is there already."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


@pytest.fixture
def fresh(plan: Plan, clock: Clock) -> Plan:
    """A bot that is older than any server."""
    clock.time = LONG_AGO
    return plan


def said(channel: simcord.ChannelHandle) -> list[str]:
    return [message.content for message in channel.history()]


def joined(w: World) -> None:
    """Tell the bot of its server what SimCord tells it as of one that is available again."""
    w.bot.dispatch("guild_join", w.bot.get_guild(w.guild.id))


async def welcomed(channel: simcord.ChannelHandle) -> discord.Message:
    async def look() -> discord.Message | None:
        return next((m for m in channel.history() if m.content == setup_view.WELCOME), None)

    return await until(look)


async def chosen(
    who: simcord.MemberActor, shown: simcord.InteractionResult, about: str, *found: object
) -> None:
    await who.select(answered(shown).message, values=[*found], custom_id=about)


async def test_a_fresh_server_is_set_up_by_its_welcome_and_a_member_makes_a_piece(
    fresh: Plan,
) -> None:
    async with world(fresh) as w:
        w.tolerated = (Refusal, NotAllowed)
        joined(w)
        message = await welcomed(w.music)
        assert "Manage Server" in told(await w.alice.click(message, label="Set up"))
        assert "Free tier allows up to 8 s" in told(await w.generate("play", 20))
        patrons = w.guild.create_role("Patrons")
        await w.change_role(w.bob, patrons, has=True)
        shown = await w.admin.click(message, label="Set up")
        assert "Every channel where I can post" in card(shown)
        await chosen(w.admin, shown, "setup:everybody", "plus")
        assert "**Plus**: pieces up to 30 s" in card(shown)
        await w.restart(fresh)
        await chosen(w.admin, shown, "setup:role", patrons)
        assert f"<@&{patrons.id}> grants no tier." in told(shown)
        await chosen(w.admin, shown, f"setup:role:{patrons.id}", "pro")
        assert "@Patrons → **Pro**" in card(shown)
        await chosen(w.admin, shown, "setup:where", w.music)
        assert f"3 · Where: <#{w.music.id}>" in card(shown)
        await w.admin.click(answered(shown).message, label="Post the panel here")
        assert f"The panel is posted in <#{w.music.id}>." in told(shown)
        await w.admin.click(answered(shown).message, label="Done")
        summary = card(shown)
        assert "What is set up" in summary
        assert not answered(shown).components
        for known in ("**Plus**: pieces", "@Patrons → **Pro**", f"<#{w.music.id}>", "/setup"):
            assert known in summary
        log = card(await w.admin.slash(w.music, "log"))
        for line in (
            "`/channel allow` \\#music",
            "`/tier map` \\@Patrons",
            "`/tier map` \\@everyone",
        ):
            assert line in log
        panel = next(
            m for m in w.messages() if m.embeds and "Press" in str(m.embeds[0].description)
        )
        form = await w.alice.click(panel, label="Generate")
        shown = await w.alice.submit_modal(form, values(form) | {"prompt": "play", "seconds": "20"})
        assert not shown.ephemeral
        await w.result()
        assert "**Pro**" in card(await w.bob.slash(w.music, "usage"))


async def test_each_step_can_be_undone(fresh: Plan) -> None:
    async with world(fresh) as w:
        patrons = w.guild.create_role("Patrons")
        shown = await w.admin.slash(w.music, "setup")
        await chosen(w.admin, shown, "setup:everybody", "plus")
        await chosen(w.admin, shown, "setup:where", w.music)
        await chosen(w.admin, shown, "setup:role", patrons)
        await chosen(w.admin, shown, f"setup:role:{patrons.id}", "pro")
        begun = card(shown)
        await chosen(w.admin, shown, "setup:everybody", "free")
        await chosen(w.admin, shown, "setup:where")
        await chosen(w.admin, shown, "setup:role", patrons)
        await w.admin.click(answered(shown).message, label="Back")
        assert "@Patrons → **Pro**" in card(shown)
        await chosen(w.admin, shown, "setup:role", patrons)
        await chosen(w.admin, shown, f"setup:role:{patrons.id}", "-")
        assert card(shown) != begun
        assert card(shown) == card(await w.admin.slash(w.music, "setup"))
        assert "**Free**: pieces up to 8 s" in card(shown)
        assert "No role grants more yet" in card(shown)
        assert "Every channel where I can post" in card(shown)


async def test_a_server_is_welcomed_once_and_its_managers_need_no_more_lines(fresh: Plan) -> None:
    async with world(fresh) as w:
        joined(w)
        await welcomed(w.music)
        joined(w)
        await w.restart(fresh)
        joined(w)
        await w.env.settle()
        assert said(w.music).count(setup_view.WELCOME) == 1
        assert not (await w.admin.slash(w.music, "log")).followups


async def test_what_joined_while_the_bot_was_off_is_welcomed_where_members_are(
    fresh: Plan,
) -> None:
    async with world(fresh) as w:
        await w.stack.aclose()
        opera = w.env.create_guild("Opera")
        silent = discord.PermissionOverwrite(send_messages=False)
        closed = opera.create_text_channel("rules", overwrites={opera.default_role: silent})
        foyer = opera.create_text_channel("foyer")
        await w.env.restart_bot(await w.stack.enter_async_context(compose(fresh)))
        await welcomed(foyer)
        assert said(closed) == []


async def test_servers_that_were_there_already_read_a_line_once(plan: Plan) -> None:
    async with world(plan) as w:
        assert (await w.alice.slash(w.music, "usage")).followups == []
        (line,) = (await w.admin.slash(w.music, "usage")).followups
        assert line.content == setup_view.INTRODUCTION_TO_MANAGERS
        assert line.ephemeral
        await w.restart(plan)
        assert (await w.admin.slash(w.music, "usage")).followups == []
        assert w.messages() == []


async def test_the_line_stands_below_a_refusal_as_well(plan: Plan) -> None:
    async with world(plan) as w:
        (line,) = (await w.generate("play", 20, by=w.admin)).followups
        assert line.content == setup_view.INTRODUCTION_TO_MANAGERS


async def test_a_server_that_is_not_allowed_is_not_welcomed(fresh: Plan) -> None:
    async with world(replace(fresh, limits=Limits(servers=frozenset({1})))) as w:
        joined(w)

        async def look() -> list[str]:
            return said(w.music)

        assert await until(look) == [quota.NOT_ALLOWED]


async def test_who_can_change_what_keeps_them_out_is_told_how(plan: Plan) -> None:
    async with world(plan) as w:
        refusal = told(await w.generate("play", 20, by=w.admin))
        assert "**Plus** allows it. You manage this server: `/tier give` gives it" in refusal
        refusal = told(await w.generate("play", 20))
        assert refusal.endswith("**Plus** allows it. Ask whoever manages this server for it.")
        await w.admin.slash(w.music, "channel allow", channel=w.guild.create_text_channel("x"))
        assert "You manage this server: `/channel allow`" in told(
            await w.generate("play", by=w.admin)
        )
        assert "You manage" not in told(await w.generate("play"))
        closed = replace(plan, limits=Limits(servers=frozenset({1})))
        await w.restart(closed)
        w.bot.owner_id = w.bob.id
        assert told(await w.generate("play", by=w.bob)) == (
            f"{quota.NOT_ON_THE_LIST} You run this bot: `/studio server` allows it."
        )
        assert told(await w.generate("play")) == quota.NOT_ALLOWED


async def test_a_price_is_shown_where_something_leads_to_the_tier(plan: Plan) -> None:
    async with world(plan) as w:
        for shown in (await w.alice.slash(w.music, "plans"), await w.generate("play", 20)):
            assert "$" not in f"{answered(shown).content}{answered(shown).embeds}"
        assert "$" not in card(await w.alice.slash(w.music, "plans"))
        await w.admin.slash(w.music, "tier map", role=w.guild.default_role, tier="Starter")
        assert "$" not in card(await w.alice.slash(w.music, "plans"))
        assert await w.services.tier_admin.paid() == {}
        role = w.guild.create_role("Patrons")
        await w.admin.slash(w.music, "tier map", role=role, tier="Plus")
        await w.admin.slash(w.music, "tier edit", tier="Pro", link="https://example.org")
        plans = card(await w.alice.slash(w.music, "plans"))
        for price, is_shown in (("$5 /", False), ("$10", True), ("$29", False), ("$100", True)):
            assert (price in plans) is is_shown
        assert "**Plus** ($10 / month) allows it" in told(await w.generate("play", 20))
        assert [*await w.services.tier_admin.paid()] == [w.guild.id]


async def test_all_that_is_set_stands_on_one_page_with_its_command(plan: Plan) -> None:
    async with world(plan) as w:
        page = card(await w.admin.slash(w.music, "settings"))
        assert "Free, Starter, Plus, Premium, Pro (the defaults)" in page
        assert "Where: everywhere" in page
        assert "0 blocked" in page
        role = w.guild.create_role("Patrons")
        await w.admin.slash(w.music, "tier map", role=role, tier="Plus")
        await w.admin.slash(w.music, "tier edit", tier="Free", longest=7)
        await w.admin.slash(w.music, "channel allow", channel=w.music)
        await w.admin.slash(w.music, "words add", word="polka")
        await w.admin.slash(w.music, "member block", member=w.bob, reason="loud")
        await w.admin.slash(w.music, "quota grant", member=w.bob, seconds=5, reason="sorry")
        shown = await w.admin.slash(w.music, "settings")
        page = card(shown)
        for known in (
            *("(changed here)", "**Free**: pieces up to 7 s", "@Patrons → **Plus**"),
            *(f"<#{w.music.id}>", "polka", "1 blocked (`/member unblock`)", "1 open grant"),
            *("no daily limit", "/log shows who changed what"),
        ):
            assert known in page
        for command in ("tier reset", "channel forget", "words remove", "member list"):
            assert command.split()[1] in page
        opened = await w.admin.click(answered(shown).message, label="Set up")
        assert "Set up Fantasia" in card(opened)
