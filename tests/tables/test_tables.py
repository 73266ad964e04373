"""Every change of a job or take: from which states it happens, and to no other column or row."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.tables import backlog, erasures, jobs, ledger, notices, state, takes
from bot.tables.database import Database, Transaction
from bot.values import Fault, Membership, Promise, Request, Source, Status
from tests.support.one_engine import ENGINE
from tests.support.rows import Call, changes, put
from tests.support.studio import GENEROUS

NOW = datetime.fromtimestamp(1000, UTC)


async def pair(database: Database, status: str, **columns: Any) -> None:
    """Make two jobs that are the same, each with two takes, one of which is made."""
    went = {
        "attempts": 2,
        "progress": 0.5,
        "started_at": 10.0,
        "ended_at": 20.0,
        "deaths": 1,
        "care": 1,
        "passed": 3,
        "reason": "why",
        "before": 2.0,
    }
    made = {"state": "rendered", "seconds": 7.25, "added": 6, "audio": "a", "codes": "c"}
    async with database.transaction() as tx:
        for job in (1, 2):
            await put(tx, "jobs", id=job, status=status, **(went | columns))
            await put(tx, "takes", job_id=job, **made)
            await put(tx, "takes", job_id=job, number=2)


ANY = {*Status}
EARLY = {Status.QUEUED, Status.RUNNING}

JOBS: list[tuple[str, Call, set[Status], dict[str, Any]]] = [
    (
        "start",
        lambda tx: jobs.start(tx, 1, ENGINE, NOW),
        {Status.QUEUED},
        {
            "status": "running",
            "attempts": 3,
            "progress": 0.0,
            "started_at": 1000.0,
            "engine": ENGINE,
        },
    ),
    ("awaits", lambda tx: backlog.awaits(tx, 1, "gpu-0"), {Status.QUEUED}, {"engine": "gpu-0"}),
    ("passed", lambda tx: jobs.passed(tx, 1), ANY, {"passed": 4}),
    ("stopped", lambda tx: jobs.stopped(tx, 1), EARLY, {"stopping": 1}),
    ("heard", lambda tx: jobs.heard(tx, 1), ANY, {"heard": 1}),
    ("drawn", lambda tx: jobs.drawn(tx, 1, "new"), ANY, {"picture": "new"}),
    ("deleted", lambda tx: erasures.deleted(tx, 1, NOW), ANY, {"deleted_at": 1000.0}),
    (
        "forgotten",
        lambda tx: erasures.forgotten(tx, [1], NOW),
        ANY,
        {
            "prompt": "",
            "user_name": "",
            "token": "",
            "reason": None,
            "deleted_at": 1000.0,
            "forgotten_at": 1000.0,
        },
    ),
    ("progressed", lambda tx: jobs.progressed(tx, 1, 0.7), {Status.RUNNING}, {"progress": 0.7}),
    (
        "rendered",
        lambda tx: jobs.rendered(tx, 1, NOW, 4.0),
        {Status.RUNNING},
        {"status": "rendered", "progress": 1.0, "rendered_at": 1000.0, "spent": 4.0},
    ),
    (
        "failed",
        lambda tx: jobs.failed(tx, 1, "broke", Fault.TIME, NOW),
        {Status.RUNNING},
        {"status": "failed", "reason": "broke", "fault": "time", "ended_at": 1000.0},
    ),
    (
        "cancelled",
        lambda tx: jobs.cancelled(tx, 1, NOW),
        EARLY,
        {"status": "cancelled", "ended_at": 1000.0},
    ),
    (
        "queued again",
        lambda tx: jobs.queued_again(tx, 1, attempts=0, deaths=1, care=2),
        {Status.RUNNING},
        {
            "status": "queued",
            "progress": 0.0,
            "started_at": None,
            "attempts": 1,
            "deaths": 2,
            "care": 2,
        },
    ),
    (
        "delivered",
        lambda tx: jobs.delivered(tx, 1, NOW),
        {Status.RENDERED},
        {"status": "delivered", "ended_at": 1000.0},
    ),
    (
        "undeliverable",
        lambda tx: jobs.undeliverable(tx, 1, "ours", Fault.POSTING, NOW),
        {Status.RENDERED},
        {"status": "undeliverable", "reason": "ours", "fault": "posting", "ended_at": 1000.0},
    ),
    (
        "withdrawn",
        lambda tx: jobs.withdrawn(tx, 1, NOW),
        {*EARLY, Status.RENDERED},
        {"status": "cancelled", "ended_at": 1000.0},
    ),
    (
        "wanted again",
        lambda tx: jobs.wanted_again(tx, 1),
        {Status.UNDELIVERABLE},
        {"status": "rendered", "reason": None},
    ),
    (
        "status message",
        lambda tx: notices.shown(tx, 1, 9, Status.DELIVERED),
        ANY,
        {"status_message_id": 9, "shown": "delivered"},
    ),
]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(
    ("call", "leaves", "written"), [row[1:] for row in JOBS], ids=[row[0] for row in JOBS]
)
async def test_a_job_changes_its_state_from_the_right_one_and_alone(
    database: Database, call: Call, leaves: set[Status], written: dict[str, Any], status: Status
) -> None:
    await pair(database, status)
    assert await changes(database, call) == ({"jobs 1": written} if status in leaves else {})


HELD: list[tuple[str, Call, dict[str, Any]]] = [
    ("stopped twice", lambda tx: jobs.stopped(tx, 1), {"status": "running", "stopping": 1}),
    ("slower than known", lambda tx: jobs.progressed(tx, 1, 0.3), {"status": "running"}),
    (
        "deleted twice",
        lambda tx: erasures.deleted(tx, 1, NOW),
        {"status": "delivered", "deleted_at": 50.0},
    ),
    (
        "deleted and wanted again",
        lambda tx: jobs.wanted_again(tx, 1),
        {"status": "undeliverable", "deleted_at": 50.0},
    ),
]


@pytest.mark.parametrize(
    ("call", "columns"), [row[1:] for row in HELD], ids=[row[0] for row in HELD]
)
async def test_what_is_so_already_or_past_stays(
    database: Database, call: Call, columns: dict[str, Any]
) -> None:
    await pair(database, **columns)
    assert await changes(database, call) == {}


async def test_more_care_is_never_taken_back(database: Database) -> None:
    await pair(database, "running", care=3)
    written = await changes(
        database, lambda tx: jobs.queued_again(tx, 1, attempts=1, deaths=0, care=2)
    )
    assert written == {"jobs 1": {"status": "queued", "progress": 0.0, "started_at": None}}


async def test_what_was_deleted_before_its_owner_was_forgotten_was_deleted_then(
    database: Database,
) -> None:
    await pair(database, "delivered", deleted_at=50.0)
    written = await changes(database, lambda tx: erasures.forgotten(tx, [1], NOW))
    assert written["jobs 1"].keys() == {"prompt", "user_name", "token", "reason", "forgotten_at"}


@pytest.mark.parametrize(
    ("attempts", "beside", "starts"),
    [(0, None, True), (1, None, True), (0, 1, True), (1, 1, False), (0, 2, False)],
)
async def test_what_was_tried_before_renders_alone(
    database: Database, attempts: int, beside: int | None, starts: bool
) -> None:
    async with database.transaction() as tx:
        await put(tx, "jobs", attempts=attempts)
        if beside:
            await put(tx, "jobs", status="running", attempts=beside, engine=ENGINE)
    written = await changes(database, lambda tx: jobs.start(tx, 1, ENGINE, NOW))
    assert bool(written) == starts


async def test_without_music_nothing_is_wanted_again(database: Database) -> None:
    await pair(database, "undeliverable")
    async with database.transaction() as tx:
        await tx.execute("UPDATE takes SET audio = NULL WHERE job_id = 1")
    assert await changes(database, lambda tx: jobs.wanted_again(tx, 1)) == {}


@pytest.mark.parametrize(
    ("kind", "delivered_at", "job", "unheard"),
    [
        ("preview", None, 1, True),
        ("preview", 50.0, 1, False),
        ("result", 50.0, 1, True),
        ("preview", 50.0, 2, True),
    ],
)
async def test_a_beginning_that_was_posted_was_heard(
    database: Database, kind: str, delivered_at: float | None, job: int, unheard: bool
) -> None:
    await pair(database, "running", heard=1)
    async with database.transaction() as tx:
        await put(tx, "posts", job_id=job, kind=kind, delivered_at=delivered_at)
    written = await changes(database, lambda tx: jobs.unheard(tx, 1))
    assert written == ({"jobs 1": {"heard": 0}} if unheard else {})


async def written_to_takes(
    database: Database, call: Call, status: str = "running", **columns: Any
) -> dict[str, Any]:
    await pair(database, status, **columns)
    return await changes(database, call)


@pytest.mark.parametrize("status", Status)
async def test_a_take_is_made_once_while_its_job_runs(database: Database, status: Status) -> None:
    async def made(tx: Transaction) -> None:
        for number in (1, 2):
            await takes.rendered(tx, 1, number, 5.5, "new", "more")

    written = {"state": "rendered", "seconds": 5.5, "audio": "new", "codes": "more", "added": 4}
    expected = {"takes 2": written} if status is Status.RUNNING else {}
    assert await written_to_takes(database, made, status) == expected


async def test_whole_seconds_are_no_more_than_they_are(database: Database) -> None:
    made = await written_to_takes(database, lambda tx: takes.rendered(tx, 1, 2, 6.0, "n", None))
    assert made["takes 2"]["added"] == 4


@pytest.mark.parametrize("status", Status)
async def test_a_beginning_is_kept_while_its_job_runs(database: Database, status: Status) -> None:
    written = await written_to_takes(database, lambda tx: takes.previewed(tx, 1, 2, "p"), status)
    assert written == ({"takes 2": {"preview": "p"}} if status is Status.RUNNING else {})


TAKES: list[tuple[str, Call, dict[str, Any]]] = [
    (
        "settled",
        lambda tx: takes.settled(tx, 1),
        {"takes 1": {"charged_seconds": 6}, "takes 2": {"state": "dropped", "charged_seconds": 0}},
    ),
    ("charged", lambda tx: takes.charged(tx, 1), {"takes 1": {"charged_seconds": 6}}),
    (
        "returned",
        lambda tx: takes.returned(tx, 1),
        {"takes 1": {"charged_seconds": 0}, "takes 2": {"charged_seconds": 0}},
    ),
    (
        "one part of four stands",
        lambda tx: takes.lost(tx, 1, 1, 1, 4),
        {"takes 1": {"state": "dropped", "charged_seconds": 2}},
    ),
    (
        "three parts of four stand",
        lambda tx: takes.lost(tx, 1, 1, 3, 4),
        {"takes 1": {"state": "dropped", "charged_seconds": 6}},
    ),
    (
        "no part stands",
        lambda tx: takes.lost(tx, 1, 1, 0, 1),
        {"takes 1": {"state": "dropped", "charged_seconds": 0}},
    ),
    ("what was never made is not lost", lambda tx: takes.lost(tx, 1, 2, 0, 1), {}),
    (
        "heard",
        lambda tx: takes.heard(tx, 1, 3.9),
        {
            "takes 1": {"state": "dropped", "charged_seconds": 3},
            "takes 2": {"state": "dropped", "charged_seconds": 3},
        },
    ),
    (
        "heard, of a short one",
        lambda tx: takes.heard(tx, 1, 30),
        {"takes 1": {"state": "dropped"}, "takes 2": {"state": "dropped"}},
    ),
    (
        "reset",
        lambda tx: takes.reset(tx, 1),
        {
            "takes 1": {
                "state": "waiting",
                "seconds": None,
                "added": None,
                "audio": None,
                "codes": None,
            }
        },
    ),
]


@pytest.mark.parametrize(
    ("call", "expected"), [row[1:] for row in TAKES], ids=[row[0] for row in TAKES]
)
async def test_takes_are_charged_for_what_they_are(
    database: Database, call: Call, expected: dict[str, Any]
) -> None:
    assert await written_to_takes(database, call) == expected


async def test_each_take_has_a_seed_of_its_own_and_its_share_of_the_price(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        job = await jobs.find(tx, await put(tx, "jobs", seed=7, takes=3))
        assert job
        await takes.add(tx, job, price=25)
    made = await takes.of(database, job.id)
    charged = [(take.number, take.seed, take.charged_seconds) for take in made]
    assert charged == [(1, 7, 9), (2, 8, 8), (3, 9, 8)]


@pytest.mark.parametrize("before", [0, 3])
async def test_numbers_go_on_above_the_highest_that_was_ever_given(
    database: Database, before: int
) -> None:
    async with database.transaction() as tx:
        for _ in range(before):
            await put(tx, "jobs")
        for number in (9, 5):  # a lower one changes nothing
            await state.numbered_above(tx, number)
        assert await put(tx, "jobs") == 10


async def test_of_the_idle_lane_nothing_is_charged_again(database: Database) -> None:
    written = await written_to_takes(database, lambda tx: takes.charged(tx, 1), priority=-1)
    assert written == {"takes 1": {"charged_seconds": 0}}


async def test_what_is_charged_again_goes_by_the_promise_of_now(database: Database) -> None:
    await pair(database, "undeliverable", returned_at=9.0, forgiven=1)
    bought = Membership(tier=GENEROUS, source=Source.USER_SUBSCRIPTION, per_day=300)
    request = Request(prompt="", seconds=8, model="m", seed=0)
    promise = Promise(request=request, membership=bought, day="2026-11-24", price=8)
    written = await changes(database, lambda tx: ledger.charged_again(tx, 1, promise, NOW))
    assert written["jobs 1"] == {
        "day": "2026-11-24",
        "charged_at": 1000.0,
        "price": 8,
        "returned_at": None,
        "forgiven": 0,
        "tier": "Generous",
        "source": "user subscription",
        "everywhere": 1,
        "allowance_seconds": 300,
    }
    assert "jobs 2" not in written


async def test_what_was_charged_less_stays_so(database: Database) -> None:
    await pair(database, "running")
    async with database.transaction() as tx:
        await tx.execute("UPDATE takes SET charged_seconds = 0")
    written = await changes(database, lambda tx: takes.settled(tx, 1))
    assert written == {"takes 2": {"state": "dropped"}}


async def test_files_that_no_row_needs_are_named_for_removal(database: Database) -> None:
    await pair(database, "delivered", picture="png")
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO unneeded (name) VALUES ('c')")  # it could not be removed yet
        await tx.execute("UPDATE takes SET preview = 'p' WHERE id = 2")
        await tx.execute("UPDATE takes SET audio = 'b', codes = 'd' WHERE job_id = 2")
        await tx.execute("UPDATE jobs SET picture = 'another' WHERE id = 2")
    written = await changes(database, lambda tx: takes.erased(tx, [1]))
    assert {name for name in written if name.startswith("unneeded")} == {
        f"unneeded {name}" for name in ("a", "p", "png")
    }
    assert written["takes 1"] == {"audio": None, "codes": None}
    assert written["takes 2"] == {"preview": None}
    assert written["jobs 1"] == {"picture": None}
    assert not {"takes 3", "takes 4", "jobs 2"} & written.keys()
