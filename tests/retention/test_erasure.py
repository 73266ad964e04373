"""Who is forgotten leaves neither name nor words, here or in what the bot posted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import discord
import pytest
import simcord

from bot.app import Plan
from bot.values import Keep, Status, Wish
from tests.support.clock import Clock, until
from tests.support.deliveries import held, posted
from tests.support.erased import NAME, WORDS, everything, forget, reply, said, swept
from tests.support.shown import card, told
from tests.support.studio import origin
from tests.support.world import World, world


def told_of_it(w: World) -> int:
    """Count the messages with alice's words."""
    return sum("secret" in said([message]) for message in w.messages())


async def followed(w: World, done: simcord.InteractionResult) -> str:
    """Wait for the second answer."""

    async def look() -> str | None:
        w.bot.dispatch("look")
        texts = [str(each.content) for each in done.followups]
        return texts[-1] if texts else None

    return await until(look)


async def test_neither_name_nor_words_stay_in_any_row(plan: Plan) -> None:
    async with world(plan) as w:
        because = f"{NAME} said {WORDS}"
        await w.generate(WORDS)
        await posted(w)
        await w.admin.slash(w.music, "quota grant", member=w.alice, seconds=9, reason=because)
        await w.admin.slash(w.music, "member block", member=w.alice, reason=because)
        await w.admin.slash(w.music, "member unblock", member=w.alice)
        await w.admin.slash(w.music, "member block", member=w.alice, reason=because)
        await w.admin.slash(w.music, "quota grant", member=w.bob, seconds=9, reason="a prize")
        await w.admin.slash(w.music, "member block", member=w.bob, reason="loud nights")
        assert NAME in await everything(w)
        await forget(w)
        kept = await everything(w)
        assert NAME not in kept
        assert WORDS not in kept
        others = card(await w.bob.slash(w.music, "usage"))
        assert "a prize" in others
        assert "loud nights" in others
        log = card(await w.admin.slash(w.music, "log"))
        assert "a prize" in log
        assert "loud nights" in log
        assert f"`/member block` <@{w.alice.id}>" in log
        usage = card(await w.alice.slash(w.music, "usage"))
        assert "**9 s** of 9 s" in usage
        assert "Reason:" not in usage
        assert "blocked you from requesting" in told(await w.generate("play"))


async def test_what_was_typed_into_a_refused_form_is_erased(plan: Plan, clock: Clock) -> None:
    async with world(replace(plan, clock=clock)) as w:
        archive, erasure = w.services.archive, w.services.erasure
        await w.admin.slash(w.music, "panel")
        (panel,) = w.messages()

        async def typed() -> None:
            form = await w.alice.click(panel, label="Generate")
            await w.alice.submit_modal(form, {"prompt": WORDS, "seconds": "0"})
            assert WORDS in await everything(w)

        await typed()
        await archive.forget(w.bob.id)
        await archive.left(w.guild.id + 1)
        clock.turn(minutes=14)
        await erasure.age(Keep())
        assert WORDS in await everything(w)
        await archive.forget(w.alice.id)
        assert WORDS not in await everything(w)
        await typed()
        await archive.left(w.guild.id)
        assert WORDS not in await everything(w)
        await typed()
        clock.turn(minutes=15, seconds=1)
        await erasure.age(Keep())
        assert WORDS not in await everything(w)


async def test_what_a_forgotten_admin_changed_stays_without_their_name(plan: Plan) -> None:
    async with world(plan) as w:
        manage = discord.Permissions(manage_guild=True)
        keeper = w.guild.create_role("Keepers", permissions=manage)
        carol = w.guild.add_member(w.env.create_user("carol"), roles=[keeper])
        await carol.slash(w.music, "quota grant", member=w.bob, seconds=9, reason="a prize")
        await carol.slash(w.music, "member block", member=w.bob, reason="carol says so")
        await w.admin.slash(w.music, "member unblock", member=w.bob)
        shown = await carol.slash(w.music, "forget me")
        assert shown.response
        await carol.click(shown.response.message, label="Erase everything")
        rows = await w.database.fetch("SELECT * FROM audit WHERE actor_id = ?", (carol.id,))
        assert [(row["actor_name"], row["reason"]) for row in rows] == [("", None)] * 2
        assert "carol says so" not in await everything(w)
        log = card(await w.admin.slash(w.music, "log"))
        assert "**a forgotten user** `/quota grant`" in log
        assert "9 s" in log


@asynccontextmanager
async def told_everywhere(plan: Plan) -> AsyncIterator[World]:
    """A world in which alice has a piece, posted twice, one that failed, and bob has one."""
    async with world(plan) as w:
        await w.generate(WORDS)
        await posted(w)
        await w.alice.slash(w.music, "resend", number=1)
        await w.generate("fail our secret")
        await w.ended(2, Status.FAILED)
        await w.generate("play on", by=w.bob)
        await w.ended(3, Status.DELIVERED)

        async def settled() -> bool:
            return not await w.services.outbox.notices() and not await w.bot.services.outbox.owed()

        await until(settled)
        yield w


async def test_the_bots_own_messages_about_it_are_deleted(plan: Plan) -> None:
    async with told_everywhere(plan) as w:
        before, mine = len(w.messages()), told_of_it(w)
        done = await forget(w)
        assert f"Erased: 2 pieces. I am now deleting my {mine} messages" in reply(done)
        await swept(w)
        assert told_of_it(w) == 0
        assert len(w.messages()) == before - mine
        assert await followed(w, done) == f"Deleted: {mine} messages about your pieces."


async def test_messages_are_deleted_after_a_restart_too(plan: Plan) -> None:
    async with told_everywhere(plan) as w:
        w.env.inject_error("DELETE", "/channels/*/messages/*", status=503, times=None)
        mine = told_of_it(w)
        await forget(w)
        assert await w.bot.services.erasure.left() == mine
        w.env.backend.faults.clear()
        await w.restart(plan)
        await swept(w)
        assert "secret" not in said(w.messages())


async def test_what_is_unwell_is_tried_again_after_growing_pauses(plan: Plan, clock: Clock) -> None:
    async with told_everywhere(replace(plan, clock=clock)) as w:
        w.env.inject_error("DELETE", "/channels/*/messages/*", status=503, times=None)
        await forget(w)
        for tries in range(1, 5):

            async def tried(tries: int = tries) -> bool:
                w.bot.dispatch("look")
                rows = await w.database.fetch("SELECT attempts FROM removals")
                return {row["attempts"] for row in rows} == {tries}

            await until(tried)
            clock.turn(seconds=2 ** (tries - 1))
        w.env.backend.faults.clear()
        clock.turn(hours=1)
        await swept(w)
        assert "secret" not in said(w.messages())


@pytest.mark.parametrize(
    ("status", "code", "lost"), [(403, 50001, True), (400, 50083, True), (404, 10008, False)]
)
async def test_what_cannot_be_deleted_is_told_and_logged(
    plan: Plan,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: int,
    lost: bool,
) -> None:
    async with told_everywhere(plan) as w:
        w.env.inject_error("DELETE", "/channels/*/messages/*", status=status, code=code, times=None)
        mine = told_of_it(w)
        text = await followed(w, await forget(w))
        assert f"Deleted: {0 if lost else mine} messages about your pieces" in text
        assert (f"I could not delete {mine}," in text) == lost
        assert await w.bot.services.erasure.left() == 0
        assert caplog.text.count("cannot be deleted and stays") == (mine if lost else 0)


async def test_the_second_answer_does_not_wait_for_longer_than_discord_takes_it(
    plan: Plan, clock: Clock
) -> None:
    async with told_everywhere(replace(plan, clock=clock)) as w:
        w.env.inject_error("DELETE", "/channels/*/messages/*", status=503, times=None)
        mine = told_of_it(w)
        done = await forget(w)
        clock.turn(minutes=13)
        assert f"Still to go: {mine}." in await followed(w, done)


async def test_direct_messages_go_too(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", "/channels/*/messages", status=403, code=50013, times=1)
        w.env.inject_error("POST", "/webhooks/*", status=404, code=10015, times=1)
        await w.generate(WORDS)
        await posted(w)
        assert "secret" in said(w.direct_messages(w.alice))
        await forget(w)
        await swept(w)
        assert "secret" not in said(w.direct_messages(w.alice))


async def test_a_status_message_that_comes_after_it_goes_as_well(plan: Plan) -> None:
    """Alice is forgotten between the queueing and the answer to the interaction."""
    async with world(plan) as w:
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        job = await w.studio.submit(here, Wish(prompt="slow secret", seconds=2))
        await w.bot.services.archive.forget(w.alice.id)
        message = await w.bot.get_partial_messageable(w.music.id).send("slow secret")
        await w.services.outbox.shown(job, message.id, Status.QUEUED)
        await swept(w)
        assert w.messages() == []


@pytest.mark.parametrize(("prompt", "seconds"), [("play secret", 8), ("long secret", 60)])
async def test_a_message_that_is_posted_meanwhile_goes_as_well(
    plan: Plan, prompt: str, seconds: int
) -> None:
    """Alice is forgotten while a piece, or the beginning of one, is uploaded."""
    async with world(plan) as w:
        with held(w, bool) as (reached, go):
            await w.generate(prompt, seconds)
            await reached.wait()
            await w.bot.services.archive.forget(w.alice.id)
            go.set()

            async def recorded() -> bool:
                sql = "SELECT 1 FROM posts WHERE delivered_at IS NOT NULL"
                return bool(await w.database.fetch(sql))

            await until(recorded)
        await swept(w)
        assert w.messages() == []


async def test_what_resend_posts_meanwhile_goes_as_well(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        await w.generate(WORDS)
        await posted(w)
        noted = w.bot.services.erasure.repeated

        async def late(*message: Any) -> None:
            assert len(w.results()) == 2
            await w.bot.services.archive.forget(w.alice.id)
            await noted(*message)

        monkeypatch.setattr(w.bot.services.erasure, "repeated", late)
        await w.alice.slash(w.music, "resend", number=1)
        await swept(w)
        assert w.messages() == []


async def test_what_stands_no_more_is_not_deleted_again(plan: Plan) -> None:
    """A preview was replaced, and a second /forget me finds nothing that is left to do."""
    async with world(plan) as w:
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        job = await w.studio.submit(here, Wish(prompt="slow secret", seconds=2))
        async with w.database.transaction() as tx:
            await tx.execute(
                """
                INSERT INTO posts (
                    job_id, part, kind, nonce, due_at, place, message_id, delivered_at, replaced_at
                ) VALUES (?1, 0, 'preview', 'a', 0, ?2, 7, 1, 2),
                    (?1, 1, 'preview', 'b', 0, ?2, 8, 1, NULL)
                """,
                (job.id, w.music.id),
            )
        assert (await w.bot.services.archive.forget(w.alice.id)).messages == {8}
        await swept(w)
        assert (await w.bot.services.archive.forget(w.alice.id)).messages == frozenset()


@pytest.mark.parametrize("error", [OSError("unreachable"), discord.RateLimited(99.0)])
async def test_who_cannot_be_written_to_is_forgotten_all_the_same(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with world(plan) as w:
        await w.generate("play", 2)
        await w.ended(1, Status.DELIVERED)

        async def unreached(_: object) -> None:
            raise error

        monkeypatch.setattr(w.bot, "create_dm", unreached)
        shown = await w.alice.slash(w.music, "forget me")
        assert shown.response
        await w.alice.click(shown.response.message, label="Erase everything")
        assert (await w.studio.job(1)).forgotten
