"""What grows old is erased: tokens, words, and the names of servers that left."""

from dataclasses import replace

import discord
import pytest

from bot.app import Plan
from bot.retention import archive, erasure
from bot.values import Keep, Origin, Status, Wish
from tests.support.clock import Clock
from tests.support.deliveries import posted
from tests.support.erased import NAME, WORDS, everything, forget, reply, row, said, swept
from tests.support.shown import card, told
from tests.support.studio import member, origin
from tests.support.world import world


async def test_dead_tokens_are_erased_and_living_ones_stay(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.generate("play")
        await posted(w)
        await w.bot.services.erasure.age(Keep())
        assert (await row(w))["token"]
        clock.turn(minutes=15, seconds=1)
        await w.generate("play")
        await w.bot.services.erasure.age(Keep())
        assert (await row(w, 1))["token"] == ""
        assert (await row(w, 2))["token"]


async def test_words_go_after_the_days_that_the_operator_keeps_them(
    plan: Plan, clock: Clock
) -> None:
    keep = Keep(days=5, words=10)
    async with world(replace(plan, clock=clock)) as w:
        await w.generate(WORDS)
        await posted(w)
        clock.turn(days=11)
        await w.bot.services.erasure.age(keep)
        assert (await row(w))["prompt"] == WORDS, "its music is kept, and what names it"
        await w.bot.services.archive.prune(keep)
        await w.bot.services.erasure.age(Keep(days=5))
        assert (await row(w))["prompt"] == WORDS
        await w.generate("play on")
        await w.ended(2, Status.DELIVERED)
        await w.bot.services.erasure.age(keep)
        erased, other = await row(w, 1), await row(w, 2)
        assert (erased["prompt"], erased["user_name"]) == ("", "")
        assert other["prompt"] == "play on"
        (charged,) = await w.database.fetch(
            "SELECT SUM(charged_seconds) AS seconds FROM takes WHERE job_id = 1"
        )
        assert charged["seconds"] == 2
        assert told(await w.bob.slash(w.music, "piece", number=1)) == "There is no piece #1 here."
        assert "my 2 messages" in reply(await forget(w))
        await swept(w)
        assert "secret" not in said(w.messages())


async def test_words_stay_as_long_as_any_file_that_is_named_after_them(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.generate("draw a secret")
        await posted(w)
        clock.turn(days=40)
        for gone in ("takes SET audio", "takes SET codes", "jobs SET picture"):
            await w.bot.services.erasure.age(Keep(words=30))
            assert (await row(w))["prompt"] == "draw a secret"
            async with w.database.transaction() as tx:
                await tx.execute(f"UPDATE {gone} = NULL")
        await w.bot.services.erasure.age(Keep(words=30))
        assert (await row(w))["prompt"] == ""


async def test_a_server_that_removed_the_bot_leaves_no_names_either(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "JOBS_PER_TRANSACTION", 2)
    because = f"{NAME} said {WORDS}"
    async with world(replace(plan, clock=clock)) as w:
        other = w.env.create_guild("Elsewhere")
        manage = discord.Permissions(manage_guild=True)
        managers = other.create_role("Managers", permissions=manage)
        there = other.create_text_channel("music")
        boss = other.add_member(w.env.create_user("boss"), roles=[managers])
        also = other.add_member(w.alice.user)
        for admin, room, member, why in (
            (w.admin, w.music, w.alice, because),
            (boss, there, also, "a prize"),
        ):
            for _ in range(3):
                await admin.slash(room, "quota grant", member=member, seconds=9, reason=why)
            await admin.slash(room, "member block", member=member, reason=why)
        await w.bot.services.archive.left(w.guild.id)
        clock.turn(days=29)
        await w.bot.services.archive.forget_the_left()
        assert because in await everything(w)
        clock.turn(days=2)
        await w.bot.services.archive.forget_the_left()
        kept = await everything(w)
        assert because not in kept
        assert "'admin'" not in kept
        for table, words in (("grants", "reason"), ("members", "block_reason")):
            found = await w.database.fetch(f"SELECT DISTINCT {words} FROM {table}")
            assert sorted(row[0] for row in found) == ["", "a prize"]
        log = card(await boss.slash(there, "log"))
        assert log.count("**boss**") == log.count("a prize") == 4


async def test_many_words_and_tokens_are_erased_in_small_transactions(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        here: Origin = origin(user=w.bob.id, guild=w.guild.id)
        for _ in range(3):
            job = await w.studio.submit(here, Wish(prompt="slow secret", seconds=1))
            await w.studio.cancel(job.id, member(w.bob.id, w.guild.id))
        clock.turn(days=40)
        monkeypatch.setattr(erasure, "ROWS_PER_TRANSACTION", 2)
        await w.bot.services.erasure.age(Keep(words=30))
        kept = await everything(w)
        assert "secret" not in kept
        assert "'t'" not in kept
