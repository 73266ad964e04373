"""Every change of a post: from which states it happens, to which columns, and to no other row."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.tables import posts
from bot.tables.database import Database, Transaction
from bot.values import PostKind, Route, Share
from tests.support.rows import Call, changes, put

NOW = datetime.fromtimestamp(1000, UTC)
LATER = datetime.fromtimestamp(2000, UTC)

POSTED: dict[str, dict[str, Any]] = {
    "new": {},
    "tried": {"tried_at": 50.0},
    "delivered": {"tried_at": 50.0, "delivered_at": 60.0, "message_id": 9},
    "refused": {"refused_at": 70.0},
    "withdrawn": {"tried_at": 50.0, "withdrawn_at": 55.0},
}

UNKNOWN = {"new", "tried", "withdrawn"}
WANTED = {"new", "tried"}


async def again(tx: Transaction) -> bool:
    (post, *_) = await posts.of(tx, 1)
    return await posts.rerouted(tx, post, Route.DIRECT, 200)


async def untried(tx: Transaction) -> None:
    (post, *_) = await posts.of(tx, 1)
    await posts.untried(tx, replace(post, tried_at=LATER))


async def split(tx: Transaction) -> bool:
    (post, *_) = await posts.of(tx, 1)
    return await posts.split(tx, post, [Share(1), Share(2, 3)], NOW)


POSTS: list[tuple[str, Call, set[str], dict[str, dict[str, Any]]]] = [
    (
        "delivered",
        lambda tx: posts.delivered(tx, 1, 77, NOW),
        {*POSTED} - {"delivered"},
        {"posts 1": {"message_id": 77, "delivered_at": 1000.0}},
    ),
    ("tried", lambda tx: posts.tried(tx, 1, NOW), {"new"}, {"posts 1": {"tried_at": 1000.0}}),
    (
        "another route",
        again,
        WANTED,
        {"posts 1": {"route": "direct", "place": 200, "attempts": 0, "holds": 0}},
    ),
    ("refused for its size", untried, {*POSTED}, {"posts 1": {"tried_at": 2000.0}}),
    (
        "postponed",
        lambda tx: posts.postponed(tx, 2, LATER),
        {*POSTED},
        {"posts 2": {"attempts": 4, "due_at": 2000.0, "holds": 1}},
    ),
    (
        "our own fault",
        lambda tx: posts.failed(tx, 1, LATER),
        {*POSTED},
        {"posts 1": {"faults": 1, "due_at": 2000.0, "holds": 0}},
    ),
    (
        "replaced",
        lambda tx: posts.replaced(tx, 2, NOW),
        {*POSTED},
        {"posts 2": {"replaced_at": 1000.0}},
    ),
    ("refused", lambda tx: posts.refused(tx, 1, NOW), UNKNOWN, {"posts 1": {"refused_at": 1000.0}}),
]


async def with_posts(database: Database, state: str) -> None:
    """Posts of each kind of one job, the same of another one, all in one state."""
    async with database.transaction() as tx:
        for job in (1, 2):
            await put(tx, "jobs", id=job, status="rendered")
            for kind in PostKind.RESULT, PostKind.PREVIEW, PostKind.FAILURE:
                holds = int(kind is not PostKind.PREVIEW)
                more = POSTED[state] | {"attempts": 3, "holds": holds, "due_at": 5000.0}
                await put(tx, "posts", job_id=job, kind=kind, **more)


@pytest.mark.parametrize("state", POSTED)
@pytest.mark.parametrize(
    ("call", "leaves", "written"), [row[1:] for row in POSTS], ids=[row[0] for row in POSTS]
)
async def test_a_post_goes_on_from_the_right_state_and_alone(
    database: Database, call: Call, leaves: set[str], written: dict[str, Any], state: str
) -> None:
    await with_posts(database, state)
    made = await changes(database, call)
    assert made == (written if state in leaves else {})


UNWANTED: list[tuple[Call, tuple[int, ...]]] = [
    (lambda tx: posts.superfluous(tx, 1, NOW), (2,)),
    (lambda tx: posts.withdrawn(tx, [1], NOW), (1, 2, 3)),
]


@pytest.mark.parametrize("state", POSTED)
@pytest.mark.parametrize(("call", "meant"), UNWANTED)
async def test_what_may_stand_there_is_looked_for_though_nobody_wants_it(
    database: Database, call: Call, meant: tuple[int, ...], state: str
) -> None:
    ended = "refused_at" if state == "new" else "withdrawn_at"
    written = {f"posts {post}": {ended: 1000.0, "due_at": 1000.0} for post in meant}
    await with_posts(database, state)
    assert await changes(database, call) == (written if state in UNKNOWN else {})


async def test_what_is_due_before_stays_so(database: Database) -> None:
    await with_posts(database, "new")
    written = await changes(database, lambda tx: posts.withdrawn(tx, [1], LATER.replace(year=2100)))
    assert "due_at" not in written["posts 1"]


@pytest.mark.parametrize("state", POSTED)
async def test_a_result_is_cut_if_it_is_wanted(database: Database, state: str) -> None:
    await with_posts(database, state)
    written = await changes(database, split)
    if state in ("refused", "withdrawn"):
        assert written == {}
        async with database.transaction() as tx:
            assert not await split(tx)
        return
    assert written["posts 1"] == {}
    new = [row for row in written.values() if row.get("take")]
    assert [(row["job_id"], row["take"], row["part"], row["kind"]) for row in new] == [
        (1, 1, 0, "result"),
        (1, 2, 3, "result"),
    ]
    assert len({row["nonce"] for row in new}) == 2
    assert {(row["due_at"], row["place"], row["tried_at"]) for row in new} == {(1000.0, 100, None)}
    assert len(written) == 3


@pytest.mark.parametrize("state", POSTED)
async def test_what_is_wanted_again_is_a_new_message(database: Database, state: str) -> None:
    await with_posts(database, state)
    written = await changes(database, lambda tx: posts.wanted_again(tx, 1, NOW))
    if state == "delivered":
        assert written == {}
        return
    assert written["posts 1"] == written["posts 3"] == {}
    (new,) = (row for row in written.values() if row)
    assert (new["job_id"], new["kind"], new["part"], new["due_at"]) == (1, "result", 0, 1000.0)
    assert (new["tried_at"], new["attempts"], new["refused_at"]) == (None, 0, None)


@pytest.mark.parametrize("kind", [PostKind.PREVIEW, PostKind.FAILURE])
async def test_what_is_told_of_each_attempt_is_owed_by_itself(
    database: Database, kind: PostKind
) -> None:
    await with_posts(database, "delivered")
    written = await changes(database, lambda tx: posts.add_another(tx, 1, kind, NOW))
    (new,) = written.values()
    assert (new["job_id"], new["kind"], new["part"]) == (1, kind, 1)


async def test_what_is_owed_already_is_owed_once(database: Database) -> None:
    await with_posts(database, "new")
    assert await changes(database, lambda tx: posts.add(tx, 1, PostKind.RESULT, NOW)) == {}
