"""What admins and the bot's owner do, and what becomes of it."""

import csv
import io
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import discord
import pytest
import simcord

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.rules import tiers
from bot.values import Limits, Status
from tests.support.clock import Clock
from tests.support.shown import answered, card, told
from tests.support.studio import member
from tests.support.world import World, world

ADMINS = ("quota", "tier", "member", "channel", "words", "log")
OWNER = 987654321098765432


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


async def do(w: World, command: str, **options: Any) -> str:
    """What an admin's command answers."""
    shown = await w.admin.slash(w.music, command, **options)
    assert shown.response
    return card(shown) if shown.response.embeds else told(shown)


async def test_others_are_refused_in_code_as_well(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        for command in await w.bot.tree.fetch_commands():
            w.guild.set_command_permissions(command, {w.alice: True})
        for name in ("tier list", "channel list", "words list", "member list", "log"):
            text = told(await w.alice.slash(w.music, name))
            assert "Manage Server" in text
        asked = {"member": w.alice, "seconds": 999, "reason": "I am nice"}
        assert "Manage Server" in told(await w.alice.slash(w.music, "quota grant", **asked))
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).grants == ()


async def test_admins_commands_are_hidden_from_others_and_in_direct_messages(plan: Plan) -> None:
    async with world(plan) as w:
        names = {command.name: command for command in await w.bot.tree.fetch_commands()}
        for name in ADMINS:
            assert names[name].default_member_permissions == discord.Permissions(manage_guild=True)
            contexts = names[name].allowed_contexts
            assert not contexts or not contexts.dm_channel
        with pytest.raises(simcord.SetupError):
            await w.alice.slash(w.music, "tier list")


async def test_an_allowance_of_ones_own_comes_before_the_tiers(plan: Plan) -> None:
    async with world(plan) as w:
        assert "already on their tier's daily" in await do(w, "quota clear", member=w.alice)
        await do(w, "quota set", member=w.alice, **{"seconds-per-day": 20})
        text = await do(w, "quota show", member=w.alice)
        assert "**20 s** of 20 s" in text
        assert "daily seconds set by an admin" in text
        for _ in range(2):
            await w.gone(await w.generate("play", 8))
        await do(w, "quota clear", member=w.alice)
        assert "**0 s** of 8 s" in await do(w, "quota show", member=w.alice)
        asked = await w.admin.slash(w.music, "quota reset", member=w.alice)
        await w.admin.click(answered(asked).message, label="Reset")
        assert "16 s" in told(asked)
        assert "**8 s** of 8 s" in await do(w, "quota show", member=w.alice)
        await do(w, "quota set", member=w.alice, **{"seconds-per-day": 0})
        assert "0 s of 0 s left" in told(await w.generate("play", 1))


async def test_a_tier_is_given_for_some_days_and_taken(plan: Plan, clock: Clock) -> None:
    async with world(plan) as w:
        assert "no tier with that name. Its tiers: Free, Starter" in await do(
            w, "tier give", member=w.alice, tier="Gold"
        )
        await do(w, "tier give", member=w.alice, tier="starter", days=2)
        assert "**Starter**, given to you by an admin until <t:" in card(
            await w.alice.slash(w.music, "usage")
        )
        clock.turn(days=2)
        assert "**Free**" in card(await w.alice.slash(w.music, "usage"))
        await do(w, "tier give", member=w.bob, tier="Pro")
        await do(w, "tier take", member=w.bob)
        assert "was not given a tier" in await do(w, "tier take", member=w.bob)


async def test_an_edited_tier_holds_for_the_next_request_only(plan: Plan) -> None:
    async with world(plan) as w:
        await w.status(await w.generate("slow once", 8, by=w.bob), "Rendering #1")
        waiting = await w.generate("play", 8)
        text = await do(w, "tier edit", tier="Free", longest=5, name="Gratis", models="*")
        assert "**Gratis**: pieces up to 5 s, 1 take per request" in text
        assert "Gratis tier allows up to 5 s per piece" in told(await w.generate("play", 6))
        await w.studio.cancel(1, member(w.bob.id, w.guild.id))
        await w.gone(waiting)
        assert (await w.studio.job(2)).tier == "Free"
        log = await do(w, "log")
        assert "longest\\: 8" in log
        assert "longest\\: 5" in log


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "at least one option"),
        ({"name": "Pro"}, "already a tier with that name"),
        ({"link": "http://x.org"}, "begin with https://"),
        ({"models": "small; drop"}, "There is no model “small;”. Name models like this"),
    ],
)
async def test_a_wrong_edit_is_explained(
    plan: Plan, options: dict[str, str], sentence: str
) -> None:
    async with world(plan) as w:
        assert sentence in await do(w, "tier edit", tier="Free", **options)


async def test_tiers_are_added_and_removed_with_all_that_leads_to_them(plan: Plan) -> None:
    async with world(plan) as w:
        fields = {"price": "€3", "longest": 12, "seconds-per-day": 200, "models": "small, large"}
        assert "Added **\u2068Gold ✨ ذهب\u2069**" in await do(
            w, "tier add", name="Gold ✨ ذهب", **fields
        )
        role = w.guild.create_role("Golden")
        await do(w, "tier map", role=role, tier="gold ✨ ذهب")
        await do(w, "tier give", member=w.bob, tier="Gold ✨ ذهب")
        await w.change_role(w.alice, role, has=True)
        listed = await do(w, "tier list")
        gold = "**\u2068Gold ✨ ذهب\u2069** · €3"
        allowed = "pieces up to 12 s, 1 take per request, 3 min 20 s a day, up to 1 waiting"
        assert f"{gold} · {allowed}, 3 starred pieces, small, large" in listed
        assert "↳ @Golden · weight 2" in listed
        asked = await w.admin.slash(w.music, "tier remove", tier="Gold ✨ ذهب")
        assert "1 role and 1 member lose it" in told(asked)
        assert "Gold" in await do(w, "tier list"), "nothing is removed by asking"
        await w.admin.click(answered(asked).message, label="Remove")
        assert "from 1 role and 1 member." in told(asked)
        await w.gone(await w.generate("play", 8))
        assert "**Free**" in card(await w.bob.slash(w.music, "usage"))
        assert "the default tier" in await do(w, "tier remove", tier="Free")


async def test_a_map_to_a_tier_that_is_gone_breaks_nothing(plan: Plan) -> None:
    async with world(plan) as w:
        role = w.guild.create_role("Ghosts")
        async with w.database.transaction() as tx:
            values = (w.guild.id, role.id, "Ghosts", "no such tier")
            await tx.execute("INSERT INTO role_tiers VALUES (?, ?, ?, ?)", values)
        await w.change_role(w.alice, role, has=True)
        await w.gone(await w.generate("play", 8))
        for command in ("usage", "plans"):
            assert "Free" in card(await w.alice.slash(w.music, command))
        assert "no role" in await do(w, "tier list")


async def test_forty_roles_are_mapped_and_a_deleted_one_is_forgotten(plan: Plan) -> None:
    async with world(plan) as w:
        roles = [w.guild.create_role(f"Role {number}") for number in range(40)]
        for role in roles:
            await do(w, "tier map", role=role, tier="Plus")
        listed = await do(w, "tier list")
        assert re.search(r"@Role 7, .*@Role \d+, and \d+ more", listed)
        offered = await w.admin.autocomplete(w.music, "tier unmap", "role", "@role 3")
        assert [choice["name"] for choice in offered][:2] == ["@Role 3", "@Role 30"]
        assert "The role @Role 3 no longer grants" in await do(
            w, "tier unmap", role=offered[0]["value"]
        )
        assert "grants no tier" in await do(w, "tier unmap", role="Role 3")
        await w.change_role(w.alice, roles[5], has=True)
        assert "**Plus**" in card(await w.alice.slash(w.music, "usage"))
        await w.bot.http.delete_role(w.guild.id, roles[5].id)
        await w.env.settle()
        assert roles[5].id not in await w.bot.services.tier_admin.role_names(w.guild.id)
        assert "**Free**" in card(await w.alice.slash(w.music, "usage"))
        assert "Discord \\(role deleted\\)" in await do(w, "log")


async def test_a_blocked_member_is_told_until_when_and_why(plan: Plan, clock: Clock) -> None:
    async with world(plan) as w:
        await w.status(await w.generate("slow", 8, by=w.bob), "Rendering #1")
        queued = await w.generate("play", 2)
        await do(w, "member block", member=w.alice, reason="too loud", days=1)
        refusal = told(await w.generate("play", 2))
        until = int(clock().timestamp()) + 86400
        assert f"until <t:{until}:f>" in refusal
        assert "Reason: too loud" in refusal
        assert "too loud" in card(await w.alice.slash(w.music, "usage"))
        await w.studio.cancel(1, member(w.bob.id, w.guild.id))
        await w.gone(queued)
        clock.turn(days=1)
        await w.gone(await w.generate("play", 2))
        await do(w, "member block", member=w.alice, reason="still")
        assert "indefinitely" in told(await w.generate("play", 2))
        await do(w, "member unblock", member=w.alice)
        assert "is not blocked" in await do(w, "member unblock", member=w.alice)
        assert not (await w.generate("play", 2)).ephemeral


async def test_someone_who_left_can_still_be_seen_to(plan: Plan) -> None:
    async with world(plan) as w:
        gone = w.env.create_user("gone")
        await do(w, "quota grant", member=gone, seconds=5, reason="for later")
        await do(w, "member block", member=gone, reason="left in anger")
        text = await do(w, "quota show", member=gone)
        assert "**5 s** of 5 s: for later" in text
        assert "left in anger" in text


async def test_music_is_asked_for_in_the_allowed_channels_only(plan: Plan) -> None:
    async with world(plan) as w:
        studio = w.guild.create_text_channel("studio")
        await do(w, "channel allow", channel=studio)
        assert "already allowed" in await do(w, "channel allow", channel=studio)
        assert f"request music in <#{studio.id}>" in told(await w.generate("play", 2))
        shown = await w.alice.slash(studio, "generate", prompt="play", duration=2)
        assert not shown.ephemeral
        assert f"<#{studio.id}>" in await do(w, "channel list")
        offered = await w.admin.autocomplete(w.music, "channel forget", "channel", "stu")
        assert [choice["name"] for choice in offered] == ["#studio"]
        assert "everywhere" in await do(w, "channel forget", channel=offered[0]["value"])
        assert "not on the list" in await do(w, "channel forget", channel="studio")
        await w.ended(1, Status.DELIVERED)
        assert not (await w.generate("play", 2)).ephemeral
        assert "every channel" in await do(w, "channel list")


async def test_a_category_allows_all_that_lies_in_it(plan: Plan) -> None:
    async with world(plan) as w:
        category = w.guild.create_category("Arts")
        inside = w.guild.create_text_channel("inside", category=category)
        await do(w, "channel allow", channel=category)
        shown = await w.alice.slash(inside, "generate", prompt="play", duration=2)
        assert not shown.ephemeral
        assert "request music in" in told(await w.generate("play", 2, by=w.bob))


async def test_a_thread_of_an_allowed_channel_is_allowed(plan: Plan) -> None:
    async with world(plan) as w:
        await do(w, "channel allow", channel=w.music)
        other = w.guild.create_text_channel("other")
        http = w.bot.http
        for parent in (w.music, other):
            await http.start_thread_without_message(
                parent.id, name="songs", auto_archive_duration=60, type=11
            )
        (inside,), (outside,) = w.music.threads, other.threads
        shown = await w.alice.slash(inside, "generate", prompt="play", duration=2)
        assert not shown.ephemeral
        shown = await w.bob.slash(outside, "generate", prompt="play", duration=2)
        assert f"request music in <#{w.music.id}>" in told(shown)


async def test_refused_words_are_whole_folded_and_not_repeated(plan: Plan) -> None:
    async with world(plan) as w:
        for word in ("Trübsal", "heavy  metal", "ÄRGER!"):
            await do(w, "words add", word=word)
        assert "already blocked" in await do(w, "words add", word="TRÜBSAL")
        assert "letters or digits" in await do(w, "words add", word="!?")
        for prompt in ("a TRÜBSAL waltz", "heavy, metal", "ärger"):
            refusal = told(await w.generate(prompt, 2))
            assert "a word that this server blocks" in refusal
            assert prompt not in refusal
        for prompt in ("play trübsale", "play heavymetal"):
            await w.gone(await w.generate(prompt, 2))
        assert "heavy metal\ntrübsal\närger" in await do(w, "words list")
        await do(w, "words remove", word="trübsal")
        assert "not on the list" in await do(w, "words remove", word="trübsal")


async def test_long_lists_are_paged_with_buttons_that_survive_a_restart(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        for number in range(23):
            await do(w, "quota grant", member=w.bob, seconds=number + 1, reason=f"number {number}")
        await do(w, "quota grant", member=w.alice, seconds=99, reason="hers")
        shown = await w.admin.slash(w.music, "quota log", member=w.bob)
        assert "number 22" in card(shown)
        assert "hers" not in card(shown)
        await w.restart(plan)
        assert shown.response
        for _ in range(2):
            await w.admin.click(shown.response.message, label="Older")
        text = card(shown)
        assert "Page 3" in text
        assert "number 0" in text
        assert "number 3" not in text
        await w.admin.click(shown.response.message, label="Newer")
        assert "Page 2" in card(shown)


async def test_the_owner_lets_servers_in_and_limits_them(plan: Plan) -> None:
    async with world(plan) as w:
        owned = replace(plan, owner_guild_id=w.guild.id, limits=Limits(servers=frozenset({1})))
        await w.restart(owned)
        assert "not on the operator's list" in told(await w.generate("play", 2))
        w.tolerated = (Refusal, NotAllowed)
        names = {command.name for command in await w.bot.tree.fetch_commands()}
        assert "studio" not in names
        boss = w.guild.create_role("Root", permissions=discord.Permissions(administrator=True))
        root = w.guild.add_member(w.env.create_user("root"), roles=[boss])
        text = told(await root.slash(w.music, "studio servers"))
        assert "Only the owner of this bot" in text
        w.bot.owner_id = root.id  # SimCord's application belongs to nobody of this server
        options: dict[str, Any] = {"id": str(w.guild.id), "access": "allow", "max-seconds": 5}
        text = told(await root.slash(w.music, "studio server", **options))
        assert "**allowed**, pieces up to 5 s" in text
        assert "up to 5 s" in told(await w.generate("play", 6))
        assert not (await w.generate("play", 5)).ephemeral
        assert "pieces up to 5 s" in card(await root.slash(w.music, "studio servers"))
        again: dict[str, Any] = {"id": str(w.guild.id), "max-seconds": 0, "seconds-per-day": 6}
        text = told(await root.slash(w.music, "studio server", **again))
        assert "pieces up to 120 s, up to 50 waiting, 6 s a day" in text
        assert "number of 15 to 20 digits" in told(
            await root.slash(w.music, "studio server", id="x" * 17)
        )


async def test_the_log_names_tiers_as_people_know_them(plan: Plan) -> None:
    async with world(plan) as w:
        await do(w, "tier add", name="Gold", price="$1", longest=30, **{"seconds-per-day": 300})
        role = w.guild.create_role("Patron")
        for tier in ("Gold", "Plus", "Gold"):
            await do(w, "tier map", role=role, tier=tier)
            await do(w, "tier give", member=w.bob, tier=tier)
        await do(w, "tier take", member=w.bob)
        await do(w, "tier unmap", role=str(role.id))
        found = await w.bot.services.member_admin.log(w.guild.id, None, 0)
        assert [(change.before, change.after) for change in found] == [
            ("Gold", None),
            ("Gold", None),
            ("Plus", "Gold"),
            ("Plus", "Gold"),
            ("Gold", "Plus"),
            ("Gold", "Plus"),
            (None, "Gold"),
            (None, "Gold"),
            (None, found[-1].after),
        ]


async def test_every_change_is_exported_as_csv(plan: Plan) -> None:
    async with world(plan) as w:
        await do(w, "quota grant", member=w.bob, seconds=5, reason="=1+1, “a gift”")
        await do(w, "tier edit", tier="Free", longest=6)
        done = audit(plan, w.guild.id)
        other = audit(plan, w.guild.id + 1)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["action"] for row in rows] == ["quota grant", "tier edit"]
    assert rows[0]["actor"] == "admin"
    assert rows[0]["reason"] == "'=1+1, “a gift”"
    assert (rows[1]["before"], rows[1]["after"]) == ("longest: 8", "longest: 6")
    assert len(other.stdout.splitlines()) == 1


def test_without_a_database_the_export_says_so(plan: Plan) -> None:
    done = audit(plan, 10**17)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no database" in done.stderr
    assert "Traceback" not in done.stderr


def audit(plan: Plan, guild: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", "audit", "--server", str(guild)],
        env={"DATA_DIR": str(plan.folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
