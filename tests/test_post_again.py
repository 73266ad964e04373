"""Post again: it is charged once for what there is, and not to be had without end."""

from dataclasses import replace

import pytest

from bot.app import Plan
from bot.errors import Refusal
from bot.values import NOBODY, Actor, Delivered, Fault, PostKind, Presence, Status, Unsent, Wish
from tests.support.books import Books, Only, books, lefts, play
from tests.support.clock import Clock
from tests.support.deliveries import MESSAGES, looks_until, undeliverable, used
from tests.support.presses import button, delete, press_again
from tests.support.recount import ADMIN
from tests.support.shown import told
from tests.support.studio import member, origin
from tests.support.world import world

__all__ = ["books"]


async def test_what_was_deleted_or_lost_is_not_posted_again(plan: Plan) -> None:
    async with world(plan) as w:
        await undeliverable(w, 1)
        await undeliverable(w, 2)
        await button(w, "post-again:1")
        shown = await w.alice.slash(w.music, "piece", number=1)
        assert shown.response
        await delete(w.alice, shown.response.message)
        w.path("audio/2-1.wav").unlink()
        for number in (1, 2):
            answer = told(await press_again(w, number))
            assert answer == f"The music of #{number} is no longer kept."
            assert (await w.studio.job(number)).status is Status.UNDELIVERABLE
        assert await used(w) == 0


async def test_who_is_blocked_has_nothing_posted_again(plan: Plan) -> None:
    async with world(plan) as w:
        await undeliverable(w)
        alice = Actor(id=w.alice.id, name="alice")
        await w.bot.services.member_admin.block(w.guild.id, ADMIN, alice, "noise", None)
        assert "blocked you" in told(await press_again(w))
        assert (await w.studio.job(1)).status is Status.UNDELIVERABLE
        assert await used(w) == 0


async def test_after_two_undeliverable_pieces_a_day_a_member_waits(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await undeliverable(w, 1)
        await undeliverable(w, 2)
        other = w.env.create_guild("Elsewhere")
        guilds = (w.guild.id, other.id)
        for guild in guilds:
            with pytest.raises(Refusal, match=r"#1 and #2 could not be posted today.*Post again"):
                await w.studio.submit(origin(w.alice.id, guild), Wish(prompt="play", seconds=2))
        await w.generate("play", by=w.bob)
        await w.ended(3, Status.DELIVERED)
        clock.turn(hours=12)
        assert (
            await w.studio.submit(origin(w.alice.id, other.id), Wish(prompt="slow", seconds=2))
        ).id


async def test_a_piece_that_is_posted_again_ends_the_wait(plan: Plan) -> None:
    async with world(plan) as w:
        await undeliverable(w, 1)
        await undeliverable(w, 2)
        assert "Post again" in told(await w.generate("play", 8))
        await press_again(w)
        await w.ended(1, Status.DELIVERED)
        await w.generate("play", 8)
        await w.ended(3, Status.DELIVERED)
        assert await used(w) == 16


async def test_what_is_only_being_posted_again_does_not_end_the_wait(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await undeliverable(w, 1)
        clock.turn(seconds=1)
        await undeliverable(w, 2)
        clock.turn(seconds=1)
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await press_again(w)
        assert "#1 and #2 could not be posted today" in told(await w.generate("play", 8))
        await looks_until(w, clock, 1, Status.DELIVERED, seconds=5)
        await w.generate("play", 8)
        await w.ended(3, Status.DELIVERED)


def test_post_again_costs_what_there_is_also_from_grants_and_after_a_reset(books: Books) -> None:
    books.grant((10, 1), 9, None)
    books.submit(10, 1, 8, 1)
    assert lefts(books) == [6]
    play(books, 6.5)
    assert lefts(books) == [7]
    books.deliver(refused=True)
    assert lefts(books) == [9], "all is back where it came from"
    books.reset((10, 1))
    books.submit(10, 1, 4, 1)
    books.post_again(Only(1))
    usage = books.do(books.accounts.usage(10, 1))
    assert (usage.used, lefts(books)) == (5, [3]), "1 s of the day and 6 s of the grant"
    books.deliver(refused=True)
    assert lefts(books) == [9]


async def test_post_again_that_comes_twice_is_charged_once(plan: Plan) -> None:
    async with world(plan) as w:
        await undeliverable(w)
        for _ in range(2):
            job = await w.studio.post_again(
                1, Presence(), member(w.alice.id, w.guild.id), interaction=7
            )
            assert job.id == 1
        await w.ended(1, Status.DELIVERED)
        assert await used(w) == 8
        assert len(w.results()) == 1


def test_what_is_under_way_as_post_again_is_pressed_is_no_music(books: Books) -> None:
    """Rows that Post again deletes leave their ids to those that are owed next."""
    for user in (1, 2):
        books.submit(10, user, 4, 1)
        books.claim()
        books.finish(Only(books.running[0]), 4.0, whole=True)
    result, other = books.do(books.outbox.owed())
    books.do(books.outbox.settle(result, Unsent.GONE))
    assert books.do(books.studio.job(1)).fault is Fault.GONE
    _, why = books.do(books.outbox.owed())
    assert books.do(books.outbox.trying(why)) is None
    books.do(books.studio.post_again(1, NOBODY, member()))
    books.do(books.outbox.settle(why, Delivered(7)))
    assert books.do(books.outbox.trying(why)) is Unsent.UNWANTED
    wanted = books.do(books.studio.job(1))
    assert (wanted.status, wanted.fault) == (Status.RENDERED, None)
    still, again = books.do(books.outbox.owed())
    assert still == other
    assert (again.post.kind, again.post.tried_at) == (PostKind.RESULT, None)
    assert again.post.id == why.post.id
