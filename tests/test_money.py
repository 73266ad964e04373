"""What was heard is paid, what is paid was delivered, and nothing besides."""

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bot import settlement
from bot.app import Plan, compose
from bot.errors import Refusal
from bot.rules import quota
from bot.rules.fairness import is_aged
from bot.tables import jobs, members, takes
from bot.values import Actor, Delivered, Limits, Oversized, Presence, Status, Unsent, Viewer, Wish
from cogs.ui.views import EXTEND, SAVE
from tests.support import inside
from tests.support.books import Books, Only, books, lefts
from tests.support.clock import Clock, until
from tests.support.deliveries import MESSAGES, undeliverable, used
from tests.support.presses import forged, press_again
from tests.support.processes import children
from tests.support.recount import ADMIN
from tests.support.shown import told
from tests.support.studio import GENEROUS, a_studio, member, origin, serve
from tests.support.world import World, world

__all__ = ["books"]


def viewer(w: World) -> Viewer:
    return member(w.alice.id, w.guild.id)


async def test_the_price_is_reckoned_once_and_every_sum_is_over_what_the_rows_say(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "cost", lambda request: 3 * request.work + 1)
    async with compose(plan) as bot:
        asked, studio, accounts = origin(), bot.services.studio, bot.services.accounts
        job = await studio.submit(asked, Wish(prompt="slow", seconds=5, takes=2))
        monkeypatch.undo()
        rows = await takes.of(inside.database(studio), job.id)
        assert [take.charged_seconds for take in rows] == [16, 15]
        usage = await accounts.usage(asked.guild_id, asked.user_id)
        assert (usage.used, [entry.seconds for entry in usage.ledger]) == (31, [-31])
        await studio.cancel(job.id, member(asked.user_id, asked.guild_id))
        usage = await accounts.usage(asked.guild_id, asked.user_id)
        assert (usage.used, [entry.seconds for entry in usage.ledger]) == (0, [31, -31])


@pytest.mark.parametrize("label", ["Save as", "Extend"])
async def test_what_could_not_be_posted_is_neither_saved_nor_extended(
    plan: Plan, label: str
) -> None:
    async with world(plan) as w:
        await undeliverable(w)
        shown = await w.alice.slash(w.music, "piece", number=1)
        assert shown.response
        assert label not in str(shown.response.components)
        button = {"Save as": SAVE, "Extend": EXTEND}[label].of(1).custom_id
        refused = await forged(w, w.alice, w.music, str(button))
        assert "#1 could not be posted, so it was refunded" in refused
        with pytest.raises(Refusal, match="could not be posted"):
            await w.services.pieces.extension(1, 1, 5, viewer(w))
        await press_again(w)
        await w.ended(1, Status.DELIVERED)
        shown = await w.alice.slash(w.music, "piece", number=1)
        assert shown.response
        pressed = await w.alice.click(shown.response.message, label=label)
        assert pressed.response
        assert pressed.response.components, "now there is a choice"
        assert await used(w) == 8


async def test_a_finished_take_is_not_had_while_the_others_render(plan: Plan) -> None:
    async with world(plan) as w:
        await w.alice.slash(w.music, "generate", prompt="half", duration=60, takes=2)

        async def took() -> bool:
            return any(take.audio for take in await takes.of(w.database, 1))

        await until(took)
        shown = await w.alice.slash(w.music, "piece", number=1)
        assert shown.response
        for button in (SAVE, EXTEND):
            assert button.label not in str(shown.response.components)
            refused = await forged(w, w.alice, w.music, str(button.of(1).custom_id))
            assert "#1 is running: it can be saved and extended once it is posted" in refused
        assert "#1 is running" in told(await w.alice.slash(w.music, "resend", number=1))
        job = await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        assert job.status is Status.CANCELLED
        assert await used(w) == 0


async def test_to_cancel_what_was_heard_is_to_stop_it(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("long", 60)
        assert shown.response
        await w.result()

        async def stoppable() -> bool:
            assert shown.response
            return "Stop here" in str(shown.response.components)

        await until(stoppable)
        job = await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        assert (job.status, job.stopping) == (Status.RUNNING, True)
        with pytest.raises(Refusal, match="#1 is already stopping"):
            await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await w.ended(1, Status.DELIVERED)
        (take,) = await takes.of(w.database, 1)
        assert (take.seconds, await used(w)) == (33.5, 34)


async def test_a_stale_cancel_button_says_that_it_stopped(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("PATCH", "/channels/*/messages/*", status=500, times=None)
        shown = await w.generate("long", 60)
        await w.result()
        assert shown.response
        pressed = await w.alice.click(shown.response.message, label="Cancel")
        assert pressed.response
        assert "stops here" in str(pressed.response.embeds[0].title)
        w.env.backend.faults.clear()
        await w.ended(1, Status.DELIVERED)
        assert await used(w) == 34


async def test_what_the_operator_cancels_is_refunded_though_it_was_heard(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("long", 60)
        await w.result()
        await w.studio.cancel(1, member(9, w.guild.id, manager=True), refund=True)
        assert (await w.studio.job(1)).status is Status.CANCELLED
        assert await used(w) == 0


async def test_what_the_studio_fails_is_refunded_though_it_was_heard(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("long", 60)
        for attempt in (1, 2):
            await heard(w, attempt)
            assert await used(w) == 60, "the beginning is not charged besides the piece"
            for child in children(os.getpid()):
                os.kill(child, signal.SIGKILL)
        await w.ended(1, Status.FAILED)
        card = await w.status(shown, "could not be rendered")
        assert "Nothing was charged" in str(card.description)
        assert await used(w) == 0


async def heard(w: World, attempt: int) -> None:
    """Wait until the beginning that an attempt made is posted."""

    async def look() -> bool:
        job = await w.studio.job(1)
        sql = "SELECT 1 FROM posts WHERE delivered_at IS NOT NULL"
        posted = await w.database.fetch(sql)
        return job.attempts == attempt and job.heard and len(posted) == attempt

    await until(look)


async def test_a_beginning_that_cannot_be_posted_was_not_heard(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=403, code=50013, times=1)
        w.env.inject_error("POST", "/webhooks/*", status=404, code=10015, times=1)
        await w.generate("long", 60)

        async def refused() -> bool:
            rows = await w.database.fetch("SELECT refused_at FROM posts")
            return bool(rows and rows[0]["refused_at"])

        await until(refused)
        job = await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        assert job.status is Status.CANCELLED
        assert await used(w) == 0


@pytest.mark.parametrize("end", ["cancel", "fail", "undeliverable", "forget"])
def test_grants_are_refilled_however_a_piece_ends(books: Books, end: str) -> None:
    books.grant((10, 1), 9, None)
    books.submit(10, 1, 4, 2)
    assert lefts(books) == [6]
    if end == "cancel":
        books.cancel(Only(1))
    elif end == "forget":

        async def forget() -> None:
            async with books.database.transaction() as tx:
                job = await jobs.find(tx, 1)
                assert job
                await settlement.forgotten(tx, [job], 30, books.clock())

        books.do(forget())
        books.bills[1].lower(0)
    else:
        books.claim()
        if end == "fail":
            books.fail(Only(books.running[0]))
        else:
            books.finish(Only(books.running[0]), 4.0, whole=True)
            books.deliver(refused=True)
    assert lefts(books) == [9]


def test_a_take_that_is_lost_refunds_its_own_grant(books: Books) -> None:
    books.grant((10, 1), 9, None)
    books.submit(10, 1, 4, 2)
    books.claim()
    books.finish(Only(books.running[0]), 4.0, whole=True)
    (owed,) = books.do(books.outbox.owed())
    books.do(books.outbox.settle(owed, Oversized()))
    first, second = books.do(books.outbox.owed())
    books.do(books.outbox.settle(first, Delivered(7)))
    books.do(books.outbox.settle(second, Oversized()))
    for refused, part in zip(
        (False, True, True, False), books.do(books.outbox.owed()), strict=True
    ):
        if not refused:
            books.do(books.outbox.settle(part, Delivered(8)))
            continue
        for _ in range(3):
            for now in books.do(books.outbox.owed()):
                if now.post.id == part.post.id:
                    books.do(books.outbox.settle(now, Unsent.REFUSED))
    one, two = books.do(takes.of(books.database, 1))
    assert (one.charged_seconds, two.charged_seconds) == (4, 2), "half of its parts stand"
    assert lefts(books) == [8]
    assert books.do(books.studio.job(1)).status is Status.DELIVERED
    books.bills[1].lower(6)


async def test_the_idle_lane_is_for_who_has_used_up_the_day(plan: Plan, clock: Clock) -> None:
    small = replace(GENEROUS, per_day=20, longest=60)
    plan = replace(plan, defaults=(small,), limits=Limits(idle_lane=True), clock=clock)
    async with world(plan) as w:
        refusal = told(await w.generate("play", 21))
        assert "Up to 20 s would fit." in refusal
        await w.generate("play", 19)
        await w.ended(1, Status.DELIVERED)
        asked = await w.alice.slash(w.music, "generate", prompt="play", duration=2, takes=2)
        assert "A single take of up to 1 s would fit." in told(asked)
        await w.generate("play", 1)
        await w.ended(2, Status.DELIVERED)
        assert await used(w) == 20
        await w.generate("play", 30)
        assert (await w.ended(3, Status.DELIVERED)).idle
        assert await used(w) == 20


async def test_who_was_given_no_seconds_is_given_none_in_the_idle_lane(plan: Plan) -> None:
    async with world(replace(plan, limits=Limits(idle_lane=True))) as w:
        alice = Actor(id=w.alice.id, name="alice")
        await w.bot.services.member_admin.allow(w.guild.id, ADMIN, alice, 0)
        assert "0 s of 0 s left" in told(await w.generate("play", 2))


SOLD = (replace(GENEROUS, per_day=8), replace(GENEROUS, key="plus", name="Plus", per_day=300))


@pytest.mark.parametrize(
    ("allowed", "subscription", "per_day"),
    [
        (0, "user", 300),
        (299, "user", 300),
        (299, "server", 300),
        (400, "user", 400),
        (5, None, 5),
    ],
)
async def test_what_is_sold_cannot_be_taken_away(
    plan: Plan, allowed: int, subscription: str | None, per_day: int
) -> None:
    async with world(replace(plan, defaults=SOLD, skus={77: "plus"})) as w:
        alice = Actor(id=w.alice.id, name="alice")
        await w.bot.services.member_admin.allow(w.guild.id, ADMIN, alice, allowed)
        presence = Presence(
            user_skus=frozenset({77} if subscription == "user" else ()),
            server_skus=frozenset({77} if subscription == "server" else ()),
        )
        held, _ = await w.services.accounts.allowed(w.guild.id, w.alice.id, presence)
        assert (held.per_day, held.override) == (per_day, per_day == allowed)


async def test_an_interaction_that_comes_twice_is_one_piece(plan: Plan) -> None:
    async with world(plan) as w:
        asked = replace(origin(w.alice.id, w.guild.id, w.music.id), interaction_id=5)
        first = await w.studio.submit(asked, Wish(prompt="play", seconds=8))
        again = await w.studio.submit(asked, Wish(prompt="play", seconds=8))
        assert first.id == again.id == 1
        await w.ended(1, Status.DELIVERED)
        asked = replace(asked, interaction_id=6)
        wish = await w.services.pieces.extension(1, 1, 5, viewer(w))
        longer = [await w.studio.submit(asked, wish) for _ in range(2)]
        assert [job.id for job in longer] == [2, 2]
        await w.ended(2, Status.DELIVERED)
        assert await used(w) == 13


async def test_admins_buy_no_share_among_servers_and_subscribers_do(
    tmp_path: Path, clock: Clock
) -> None:
    """Server 10 gives weight 6 to who asks there; in 30 a subscriber asks."""
    heavy = replace(GENEROUS, key="pro", name="Pro", weight=6, per_day=80_000)
    async with a_studio(tmp_path, clock, GENEROUS, heavy, skus={77: "pro"}) as (studio, database):
        async with database.transaction() as tx:
            await members.given(tx, 10, 10, "pro", None)
        for guild in (10, 20, 30) * 40:
            skus = frozenset({77} if guild == 30 else ())
            asked = origin(user=guild, guild=guild)
            await studio.submit(asked, Wish(prompt="x", seconds=8), Presence(user_skus=skus))
        served = [await serve(database, clock) for _ in range(40)]
    started = Counter(
        job.origin.guild_id for turn, job in enumerate(served) if job and not is_aged(turn)
    )
    assert abs(started[10] - started[20]) <= 1
    assert started[30] > 4 * started[10]
