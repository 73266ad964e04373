"""What admins did is listed and taken back, and what is lost by that is asked about first."""

from dataclasses import replace

import discord
import pytest
from discord import app_commands

from bot.app import Plan
from bot.rules import tiers
from tests.support.clock import Clock
from tests.support.shown import answered, card, described, told
from tests.support.world import World, world


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


async def test_every_option_of_every_command_says_what_it_is(plan: Plan) -> None:
    async with world(plan) as w:
        await w.restart(replace(plan, owner_guild_id=w.guild.id))
        found = [*w.bot.tree.walk_commands(), *w.bot.tree.walk_commands(guild=w.bot.owner_guild)]
        options = {
            f"{command.qualified_name} {option.display_name}": str(option.description)
            for command in found
            if isinstance(command, app_commands.Command)
            for option in command.parameters
        }
        assert len(options) > 50
        assert {name for name, text in options.items() if len(text) < 5} == set()


async def test_members_with_something_set_are_listed_while_it_holds(
    plan: Plan, clock: Clock
) -> None:
    async with world(plan) as w:
        assert "Nothing here" in card(await w.admin.slash(w.music, "member list"))
        grant = {"seconds": 20, "reason": "a gift"}
        await w.admin.slash(w.music, "quota grant", member=w.alice, **grant)
        await w.admin.slash(w.music, "tier give", member=w.alice, tier="Plus", days=2)
        await w.admin.slash(w.music, "quota set", member=w.bob, **{"seconds-per-day": 90})
        await w.admin.slash(w.music, "member block", member=w.bob, reason="too loud", days=1)
        shown = described(await w.admin.slash(w.music, "member list"))
        hers, his = shown.splitlines()
        assert f"<@{w.alice.id}> given **Plus** until <t:" in hers
        assert "20 s left of 1 grant" in hers
        assert f"<@{w.bob.id}> blocked until <t:" in his
        assert "too loud · 90 s a day" in his
        clock.turn(days=2)
        shown = described(await w.admin.slash(w.music, "member list"))
        assert "Plus" not in shown
        assert f"<@{w.bob.id}> 90 s a day" in shown


async def test_a_grant_is_taken_back_but_not_what_was_used_of_it(plan: Plan) -> None:
    async with world(plan) as w:
        nothing = await w.admin.slash(w.music, "quota revoke", member=w.alice)
        assert told(nothing) == "alice has no open grant."
        slip = {"seconds": 1_000_000, "reason": "a slip"}
        await w.admin.slash(w.music, "quota grant", member=w.alice, **slip)
        await w.gone(await w.generate("play", 8))
        await w.gone(await w.generate("play", 5))
        shown = await w.admin.slash(w.music, "quota revoke", member=w.alice)
        await w.admin.select(answered(shown).message, values=["1"])
        assert "a slip" in told(shown)
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).grants
        await w.admin.click(answered(shown).message, label="Revoke")
        assert "277 h 46 min 35 s less" in told(shown)
        usage = await w.services.accounts.usage(w.guild.id, w.alice.id)
        assert (usage.grants, usage.left) == ((), 0)
        assert "0 s of 8 s left" in told(await w.generate("play", 5))
        assert "quota revoke" in card(await w.admin.slash(w.music, "log"))


async def test_the_default_tiers_come_back_and_keep_their_roles(plan: Plan) -> None:
    async with world(plan) as w:
        assert "default tiers already" in told(await w.admin.slash(w.music, "tier reset"))
        roles = [w.guild.create_role(name) for name in ("Patrons", "Golden")]
        new = {"name": "Gold", "price": "$1", "longest": 30, "seconds-per-day": 300}
        await w.admin.slash(w.music, "tier add", **new)
        await w.admin.slash(w.music, "tier edit", tier="Free", longest=5)
        for role, tier in zip(roles, ("Plus", "Gold"), strict=True):
            await w.admin.slash(w.music, "tier map", role=role, tier=tier)
        await w.admin.slash(w.music, "tier give", member=w.bob, tier="Gold")
        asked = await w.admin.slash(w.music, "tier reset")
        assert "What was changed of these is lost: Free." in told(asked)
        assert "**Gold** is removed. 1 role and 1 member lose it." in told(asked)
        await w.admin.click(answered(asked).message, label="Reset all tiers")
        offers = await w.services.accounts.offers(w.guild.id)
        assert tuple(offer.tier for offer in offers) == tiers.DEFAULTS
        assert [offer.roles for offer in offers if offer.roles] == [(roles[0].id,)]
        assert "**Free**" in card(await w.bob.slash(w.music, "usage"))
        assert "tier reset" in card(await w.admin.slash(w.music, "log"))


async def test_a_removed_default_tier_comes_back_by_a_reset(plan: Plan) -> None:
    async with world(plan) as w:
        asked = await w.admin.slash(w.music, "tier remove", tier="Plus")
        await w.admin.click(answered(asked).message, label="Remove")
        again = await w.admin.slash(w.music, "tier remove", tier="Plus")
        assert "no tier with that name" in told(again)
        asked = await w.admin.slash(w.music, "tier reset")
        await w.admin.click(answered(asked).message, label="Reset all tiers")
        names = [offer.tier.name for offer in await w.services.accounts.offers(w.guild.id)]
        assert names == [tier.name for tier in tiers.DEFAULTS]


async def blocked(w: World, member: object) -> str:
    return told(await w.admin.slash(w.music, "member block", member=member, reason="enough"))


async def test_nobody_blocks_themselves_another_manager_or_a_bot(plan: Plan) -> None:
    async with world(plan) as w:
        permission = discord.Permissions(manage_guild=True)
        carol = w.guild.add_member(
            w.env.create_user("carol"), roles=[w.guild.create_role("Boss", permissions=permission)]
        )
        machine = w.guild.add_member(w.env.create_user("machine", bot=True))
        assert await blocked(w, w.admin) == "You cannot block yourself."
        assert "manages this server" in await blocked(w, carol)
        assert "is a bot" in await blocked(w, machine)
        assert "Nothing here" in card(await w.admin.slash(w.music, "member list"))
        assert "is blocked." in await blocked(w, w.bob)


async def test_who_allows_the_first_channel_is_told_that_it_is_the_only_one(plan: Plan) -> None:
    async with world(plan) as w:
        first = await w.admin.slash(w.music, "channel allow", channel=w.music)
        assert told(first).endswith("and now nowhere else.")
        other = w.guild.create_text_channel("other")
        second = await w.admin.slash(w.music, "channel allow", channel=other)
        assert told(second).endswith("and in the others in `/channel list`.")


async def test_who_blocks_a_word_reads_how_it_is_stored_and_sees_the_list(plan: Plan) -> None:
    async with world(plan) as w:
        plain = await w.admin.slash(w.music, "words add", word="polka")
        assert "Stored as" not in told(plain)
        shown = await w.admin.slash(w.music, "words add", word="a.b*")
        assert told(shown).startswith("Stored as “a b”.")
        await w.admin.click(answered(shown).message, label="All blocked words")
        assert described(shown) == "a b\npolka"


async def test_tiers_name_only_models_that_there_are(plan: Plan) -> None:
    async with world(replace(plan, models=("small", "my-own"))) as w:
        refusal = told(await w.admin.slash(w.music, "tier edit", tier="Free", models="huge"))
        assert "There is no model “huge”. Name models like this: small, medium" in refusal
        refusal = told(await w.admin.slash(w.music, "tier edit", tier="Free", models=" ,"))
        assert refusal.startswith("Name models like this: small, medium")
        changed = await w.admin.slash(w.music, "tier edit", tier="Free", models="My-Own, small")
        assert "my" in told(changed)
