"""Who is next, how long anybody waits at most, and what is foreseen of it."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import simcord
from hypothesis import given
from hypothesis import strategies as st

from bot import queue
from bot.app import Plan
from bot.lookup.standings import Standings
from bot.rules import forecast
from bot.rules.fairness import AGED, Line, Shares, by_share, ranked
from bot.tables import ledger
from bot.tables.database import Database
from bot.values import NOBODY, Head, Limits, QueuedJob, Status, Wish
from tests.support.clock import Clock
from tests.support.one_engine import ENGINE, opening, runs
from tests.support.rows import put
from tests.support.shown import answered, described, embed
from tests.support.studio import ALL_DAY, GENEROUS, a_studio, member, origin, serve
from tests.support.world import World, world

ENGINES = pytest.mark.parametrize("engines", [1, 2, 5])


@ENGINES
async def test_who_fills_the_queue_is_not_before_a_newcomer(
    tmp_path: Path, clock: Clock, engines: int
) -> None:
    async with a_studio(tmp_path, clock) as (studio, database):
        for _ in range(10):
            await studio.submit(origin(user=1), Wish(prompt="x", seconds=8))
        await serve(database, clock, engines=engines)
        await studio.submit(origin(user=2), Wish(prompt="x", seconds=8))
        served = [await serve(database, clock, engines=engines) for _ in range(4)]
    assert [job.origin.user_id for job in served if job] == [2, 1, 1, 1]


@ENGINES
async def test_servers_have_equal_shares_however_many_ask(
    tmp_path: Path, clock: Clock, engines: int
) -> None:
    async with a_studio(tmp_path, clock) as (studio, database):
        for user in range(20):
            await studio.submit(origin(user=user, guild=10), Wish(prompt="x", seconds=8))
        for _ in range(6):
            await studio.submit(origin(user=99, guild=20), Wish(prompt="x", seconds=8))
        served = [await serve(database, clock, engines=engines) for _ in range(8)]
    guilds = Counter(job.origin.guild_id for job in served if job)
    assert guilds == {10: 5, 20: 3}, "half, but for the two aged turns, which are of the oldest"


@ENGINES
async def test_a_heavier_tier_has_a_larger_share(
    tmp_path: Path, clock: Clock, engines: int
) -> None:
    light, heavy = replace(ALL_DAY, key="free"), replace(ALL_DAY, key="pro", name="Pro", weight=3)
    async with a_studio(tmp_path, clock, light, heavy) as (studio, database):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO members (guild_id, user_id, tier) VALUES (10, 2, 'pro')")
        for _ in range(40):
            await studio.submit(origin(user=1), Wish(prompt="x", seconds=8))
            await studio.submit(origin(user=2), Wish(prompt="x", seconds=8))
        served = [await serve(database, clock, engines=engines) for _ in range(32)]
    by_turn = [job.origin.user_id for turn, job in enumerate(served) if job and turn % AGED != 3]
    assert Counter(by_turn)[2] > 2 * Counter(by_turn)[1]


@given(
    before=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8)), max_size=8),
    later=st.lists(st.tuples(st.integers(4, 9), st.integers(1, 9)), min_size=60, max_size=60),
    turn=st.integers(0, 3),
)
def test_nobody_waits_longer_than_the_formula_says(
    before: list[tuple[int, int, int]], later: list[tuple[int, int]], turn: int
) -> None:
    """However many newcomers that were served nothing arrive before each start."""
    waiting = [
        QueuedJob(id=n, guild=g, user=u, weight=w, server_weight=1, work=8, takes=1, model="m")
        for n, (g, u, w) in enumerate(before)
    ]
    mine = QueuedJob(
        id=100, guild=1, user=99, weight=1, server_weight=1, work=600, takes=5, model="m"
    )
    waiting.append(mine)
    shares = Shares([(1, 99, 1e6, 1e6)])
    for start, (guild, weight) in enumerate(later, start=1):
        new = QueuedJob(
            id=100 + start, guild=guild * 100 + start, user=start, weight=weight,
            server_weight=weight, work=1, takes=1, model="m",
        )  # fmt: skip
        waiting.append(new)
        chosen = Line(waiting, shares).next(turn + start)
        assert chosen
        if chosen is mine:
            assert start <= AGED * (len(before) + 1)
            return
        shares.start(chosen)
        waiting.remove(chosen)
    raise AssertionError("it was never served")


@given(
    jobs=st.lists(
        st.tuples(
            st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5),
            st.booleans(), st.booleans(),
        ),
        max_size=30,
    ),
    served=st.dictionaries(
        st.tuples(st.integers(1, 4), st.integers(1, 4)), st.integers(0, 9).map(float)
    ),
    turn=st.integers(0, 3),
)  # fmt: skip
def test_the_line_is_served_as_its_rules_say(
    jobs: list[tuple[int, int, int, int, bool, bool]],
    served: dict[tuple[int, int], float],
    turn: int,
) -> None:
    """By heaps that are put right when it is needed, against the rules word for word."""
    waiting = [
        QueuedJob(
            id=n, guild=g, user=u, weight=w, server_weight=w if sold else 1, work=s, takes=1,
            model="m", priority=-int(idle),
        )
        for n, (g, u, w, s, idle, sold) in enumerate(jobs)
    ]  # fmt: skip
    shares = Shares([(guild, user, share, 2 * share) for (guild, user), share in served.items()])
    line, servers, members = (
        Line(waiting, shares),
        defaultdict[int, float](float),
        defaultdict(float, served),
    )
    for (guild, _), share in served.items():
        servers[guild] += 2 * share
    while waiting:
        heads: dict[tuple[int, int], QueuedJob] = {}
        for job in waiting:
            if job.idle == all(other.idle for other in waiting):
                heads.setdefault((job.guild, job.user), job)
        rank = (
            (lambda job: job.id)
            if turn % AGED == AGED - 1
            else (lambda job: (servers[job.guild], members[job.guild, job.user], job.id))
        )
        chosen = min(heads.values(), key=rank)
        assert line.next(turn) is chosen
        if turn % AGED != AGED - 1:  # as a claim does it, server by server
            lane = [job for job in heads.values() if job.idle == chosen.idle]
            foremost, *_ = by_share({job.guild for job in lane}, servers)
            at_hand = [
                Head(job.id, job.guild, job.user, job.model, job.priority)
                for job in lane
                if job.guild in foremost
            ]
            had = Shares([(*member, share, 0.0) for member, share in members.items()])
            assert ranked(at_hand, had)[0].id == chosen.id
        line.start(chosen)
        waiting.remove(chosen)
        share, of_server = (chosen.work / w for w in (chosen.weight, chosen.server_weight))
        servers[chosen.guild] += of_server
        members[chosen.guild, chosen.user] += share
        turn += 1
    assert line.next(turn) is None


async def test_what_was_served_more_than_an_hour_ago_does_not_count(
    tmp_path: Path, clock: Clock
) -> None:
    async with a_studio(tmp_path, clock) as (studio, database):
        await studio.submit(origin(user=1), Wish(prompt="x", seconds=120))
        await serve(database, clock)
        clock.turn(minutes=61)
        await studio.submit(origin(user=1), Wish(prompt="x", seconds=8))
        await studio.submit(origin(user=2), Wish(prompt="x", seconds=8))
        first = await serve(database, clock)
    assert first
    assert first.origin.user_id == 1, "the older of two who were served nothing"


async def test_what_runs_side_by_side_is_foreseen_so(tmp_path: Path, clock: Clock) -> None:
    async with a_studio(tmp_path, clock) as (studio, database):
        async with database.transaction() as tx:
            await runs(tx, pace=1.0, slots=4)
        for user in range(3):
            await studio.submit(origin(user=user), Wish(prompt="x", seconds=10))
        for _ in range(2):
            async with database.transaction() as tx:
                assert await queue.claim(tx, opening("small"), clock())
        found = await queue.expected(database, clock())
    assert [at.place for at in found.values()] == [0, 0, 1]
    assert [at.ends_at for at in found.values()] == [clock() + timedelta(seconds=10)] * 3


async def test_the_line_is_foreseen_as_it_is_served_up_to_so_many_places(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "PLACES_FORECAST", 2)
    async with database.transaction() as tx:
        await put(tx, "jobs", status="rendered", started_at=clock().timestamp())
        for user in (1, 1, 2):
            await put(tx, "jobs", user_id=user)
    assert [*await queue.expected(database, clock())] == [4, 2]


async def test_the_steps_of_a_piece_and_what_it_extends_are_foreseen(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        await runs(tx, "ace-base", pace=1.0)
        usual = {"model": "ace-base", "seconds": 20, "takes": 1, "work": 20}
        finer = usual | {"options": '{"steps": 60.0}'}
        await put(tx, "jobs", **finer, status="running", attempts=1, progress=0.5, engine=ENGINE)
        await put(tx, "jobs", **usual, before=40.0)
    found = await queue.expected(database, clock())
    # Twice the usual steps are 1.95 times the work.
    half, whole = timedelta(seconds=19.5), timedelta(seconds=60)
    assert [at.ends_at for at in found.values()] == [clock() + half, clock() + half + whole]


IDLE = Limits(idle_lane=True)


async def test_the_idle_lane_charges_nothing_and_gives_way(plan: Plan) -> None:
    small = replace(GENEROUS, per_day=8)
    async with world(replace(plan, limits=IDLE, defaults=(small,))) as w:
        await w.generate("play", 8)
        await w.ended(1, Status.DELIVERED)
        shown = await w.generate("slow once", 60)
        assert "Idle lane" in str((await w.status(shown, "Queued")).description)
        await w.ended(2, Status.RUNNING)
        refused = await w.generate("play", 8)
        assert answered(refused).embeds, "nobody waits, so another one is let in"
        await w.generate("play", 8, by=w.bob)
        order = [await w.ended(number, Status.DELIVERED) for number in (4, 2, 3)]
        rendered = [job.rendered_at for job in order]
        assert rendered == sorted(rendered, key=lambda at: at or datetime.min)
        usage = await w.services.accounts.usage(w.guild.id, w.alice.id)
        assert usage.used == 8
        assert sum(entry.seconds for entry in usage.ledger) == -8
        (card,) = w.results()[-1].embeds
        assert "idle lane: free" in str(card.footer.text)


async def test_without_the_idle_lane_or_while_somebody_waits_one_is_refused(plan: Plan) -> None:
    small = replace(GENEROUS, per_day=8)
    for limits in (IDLE, Limits()):
        folder = plan.folder / str(limits.idle_lane)
        async with world(replace(plan, folder=folder, limits=limits, defaults=(small,))) as w:
            await w.generate("slow", 8)
            await w.ended(1, Status.RUNNING)
            await w.generate("slow", 8, by=w.bob)
            refused = await w.generate("play", 8)
            assert "left today" in str(answered(refused).content)


async def test_a_free_piece_that_could_not_be_posted_is_posted_again_for_nothing(
    plan: Plan, clock: Clock
) -> None:
    small = replace(GENEROUS, per_day=2)
    async with world(replace(plan, clock=clock, limits=IDLE, defaults=(small,))) as w:
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        for route in ("/channels/*/messages", "/webhooks/*"):
            w.env.inject_error("POST", route, status=403, code=50001, times=None)
        await w.studio.submit(
            origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id),
            Wish(prompt="x", seconds=2),
        )
        job = await w.ended(2, Status.UNDELIVERABLE)
        w.env.backend.faults.clear()
        here, _ = await w.services.accounts.allowed(w.guild.id, w.alice.id, NOBODY)
        assert here.per_day == 2
        await w.studio.post_again(job.id, NOBODY, member(w.alice.id, w.guild.id))
        await w.ended(2, Status.DELIVERED)
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).used == 2


async def lines(w: World, by: simcord.MemberActor) -> str:
    shown = embed(await by.slash(w.music, "queue"))
    return f"{shown.title}\n{shown.description}"


async def test_the_queue_shows_what_each_may_see(plan: Plan) -> None:
    async with world(plan) as w:
        assert await lines(w, w.alice) == "The queue\nNothing is waiting or rendering."
        await w.generate("slow waltz", 8)
        await w.ended(1, Status.RUNNING)
        await w.generate("play a secret", 8, by=w.bob)
        await w.alice.slash(w.music, "generate", prompt="play mine", duration=4, takes=2)
        await w.studio.submit(origin(user=5, guild=77), Wish(prompt="elsewhere", seconds=8))
        seen = await lines(w, w.alice)
        assert "The queue: 3 pieces" in seen
        assert "★ #1 *slow waltz*" in seen
        assert "★ #3 *play mine* · 2 takes of 4 s" in seen
        assert "#2 · 8 s" in seen
        assert "secret" not in seen
        assert "elsewhere" not in seen
        admins = await lines(w, w.admin)
        assert "#2 *play a secret* · 8 s by bob" in admins
        assert "elsewhere" not in admins
        w.bot.owner_id = w.bob.id
        owners = await lines(w, w.bob)
        assert "The queue: 4 pieces" in owners
        assert "#4 *elsewhere* · 8 s by someone in `77`" in owners


async def test_a_piece_is_cancelled_from_the_queue(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("slow", 8)
        await w.ended(1, Status.RUNNING)
        await w.generate("play", 8)
        await w.generate("play", 8, by=w.bob)
        shown = await w.alice.slash(w.music, "queue")
        ((select,),) = (row["components"] for row in answered(shown).components)
        assert [option["value"] for option in select["options"]] == ["1", "2"]
        after = await w.alice.select(answered(shown), values=["2"])
        assert "#2" not in described(after)
        await w.ended(2, Status.CANCELLED)


async def test_more_than_are_counted_are_said_to_be_before_one(
    tmp_path: Path, clock: Clock
) -> None:
    async with a_studio(tmp_path, clock) as (studio, database):
        last = None
        for _ in range(forecast.PLACES_FORECAST // 50 + 1):
            for user in range(50):
                last = await studio.submit(origin(user=user), Wish(prompt="x", seconds=8))
        assert last
        standing = await Standings(database, clock=clock, drain=asyncio.Event()).of_job(last.id)
        assert (standing.place, standing.ends_at) == (None, None)
        assert await ledger.used(database, 10, 1, "2026-11-23") > 0
