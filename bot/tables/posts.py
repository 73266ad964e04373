"""The table of posts: the messages that members are owed, written before they are sent."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from bot.tables.database import Reader, Row, Transaction, listed, read, stamp
from bot.values import EVERYTHING, Post, PostKind, Route, Share

LONGEST_POST_PAUSE = timedelta(hours=1)
"""The longest pause before a post is tried again."""


async def add(
    tx: Transaction, job: int, kind: PostKind, now: datetime, share: Share = EVERYTHING
) -> None:
    """Owe a message, unless it is already owed.

    Its nonce (24 characters) lets Discord recognise a repeated send.
    """
    # UNIQUE (job_id, kind, take, part) is what makes owing twice the same as owing once.
    await tx.execute(
        """
        INSERT OR IGNORE INTO posts (job_id, take, part, kind, nonce, due_at, place)
        SELECT id, :take, :part, :kind, :nonce, :now, channel_id FROM jobs WHERE id = :job
        """,
        {
            **share._asdict(),
            "kind": kind,
            "nonce": secrets.token_hex(12),
            "now": now.timestamp(),
            "job": job,
        },
    )


async def add_another(tx: Transaction, job: int, kind: PostKind, now: datetime) -> None:
    """Owe the preview of an attempt, or why it failed; the part is the number of earlier ones."""
    rows = await tx.fetch("SELECT id FROM posts WHERE job_id = ? AND kind = ?", (job, kind))
    await add(tx, job, kind, now, Share(part=len(rows)))


async def undelivered(reader: Reader, now: datetime) -> list[Post]:
    """Return the posts that are due, oldest first, but none that would overtake a postponed one.

    One that is due only after the longest pause was postponed by a clock that has been set since:
    it is due now. The `+` keeps SQLite from reading all posts by id to save the sort.
    """
    rows = await reader.fetch(
        """
        SELECT * FROM posts WHERE delivered_at IS NULL AND refused_at IS NULL
        AND NOT (due_at > ?1 AND due_at <= ?2)
        AND NOT EXISTS (
            SELECT 1 FROM posts AS earlier
            WHERE earlier.place = posts.place AND earlier.id < posts.id
            AND earlier.due_at > ?1 AND earlier.due_at <= ?2
            AND earlier.delivered_at IS NULL AND earlier.refused_at IS NULL AND earlier.holds = 1
        )
        ORDER BY +id
        """,
        (now.timestamp(), (now + LONGEST_POST_PAUSE).timestamp()),
    )
    return [_post(row) for row in rows]


async def count_owed(reader: Reader) -> int:
    """Return how many messages are undelivered, due or not."""
    sql = "SELECT COUNT(*) FROM posts WHERE delivered_at IS NULL AND refused_at IS NULL"
    return await reader.value(sql) or 0


async def of(reader: Reader, job: int) -> list[Post]:
    """Return all posts of a job, in the order they were owed."""
    rows = await reader.fetch("SELECT * FROM posts WHERE job_id = ? ORDER BY id", (job,))
    return [_post(row) for row in rows]


async def kept(tx: Transaction, post: Post) -> bool:
    """Whether a post still exists; another one may have taken its id."""
    # The ids are not AUTOINCREMENT: one that is deleted is given again. The nonce never is.
    rows = await tx.fetch("SELECT 1 FROM posts WHERE id = ? AND nonce = ?", (post.id, post.nonce))
    return bool(rows)


async def delivered(tx: Transaction, post: int, message: int, now: datetime) -> bool:
    """Note that Discord accepted the message; return False if that was already known."""
    return await tx.changes(
        "UPDATE posts SET message_id = ?, delivered_at = ? WHERE id = ? AND delivered_at IS NULL",
        (message, now.timestamp(), post),
    )


# The guard and the note are one statement: between looking and sending nobody can withdraw it
# unseen, and after a crash `tried_at` says that it must be looked for before it is sent again.
async def tried(tx: Transaction, post: int, now: datetime) -> bool:
    """Note that it is about to be sent: from now on it may be there, whatever Discord answers.

    Return False if it is no longer wanted.
    """
    return await tx.changes(
        """
        UPDATE posts SET tried_at = COALESCE(tried_at, ?)
        WHERE id = ? AND delivered_at IS NULL AND refused_at IS NULL AND withdrawn_at IS NULL
        """,
        (now.timestamp(), post),
    )


async def untried(tx: Transaction, post: Post) -> None:
    """Discord refused the last try: it is in doubt only if it was before."""
    await tx.execute("UPDATE posts SET tried_at = ? WHERE id = ?", (stamp(post.tried_at), post.id))


# `holds` is cleared: what Discord refused for good must not keep back the rest of that place.
async def rerouted(tx: Transaction, post: Post, route: Route, place: int) -> bool:
    """The last route was refused for good: use another; return False if it is not wanted."""
    return await tx.changes(
        """
        UPDATE posts SET route = ?, place = ?, attempts = 0, holds = 0, tried_at = ?
        WHERE id = ? AND delivered_at IS NULL AND refused_at IS NULL AND withdrawn_at IS NULL
        """,
        (route, place, stamp(post.tried_at), post.id),
    )


async def postponed(tx: Transaction, post: int, due_at: datetime) -> None:
    """There was no clear answer: try the same route with the same nonce again later.

    Later messages to the same place wait until it gets through.
    """
    await tx.execute(
        "UPDATE posts SET attempts = attempts + 1, due_at = ?, holds = 1 WHERE id = ?",
        (due_at.timestamp(), post),
    )


async def failed(tx: Transaction, post: int, due_at: datetime) -> None:
    """A bug kept it from being built or sent: other messages do not wait for the next try."""
    await tx.execute(
        "UPDATE posts SET faults = faults + 1, due_at = ?, holds = 0 WHERE id = ?",
        (due_at.timestamp(), post),
    )


async def split(tx: Transaction, post: Post, shares: Sequence[Share], now: datetime) -> bool:
    """A result is too large for one message: owe several; return False if it is not wanted."""
    # Deleted in the same transaction as its parts are owed: a crash between would lose the music or
    # post it twice.
    if not await tx.changes(
        "DELETE FROM posts WHERE id = ? AND refused_at IS NULL AND withdrawn_at IS NULL", (post.id,)
    ):
        return False
    for share in shares:
        await add(tx, post.job_id, post.kind, now, share)
    return True


async def previews_to_replace(reader: Reader) -> list[Post]:
    """Return the posted previews whose job has ended, or that a later one replaces."""
    rows = await reader.fetch(
        """
        SELECT posts.* FROM posts INDEXED BY posts_to_replace CROSS JOIN jobs ON jobs.id = job_id
        WHERE kind = 'preview' AND delivered_at IS NOT NULL AND replaced_at IS NULL AND (
            status IN ('delivered', 'failed', 'cancelled', 'undeliverable') OR EXISTS (
                SELECT 1 FROM posts AS later
                WHERE later.job_id = posts.job_id AND later.kind = 'preview'
                AND later.part > posts.part AND later.delivered_at IS NOT NULL
            )
        )
        """
    )
    return [_post(row) for row in rows]


async def replaced(tx: Transaction, post: int, now: datetime) -> None:
    """Note that a preview's message is gone."""
    await tx.execute("UPDATE posts SET replaced_at = ? WHERE id = ?", (now.timestamp(), post))


async def outdate(tx: Transaction, job: int) -> None:
    """Note that the posted results of a job may show takes that are gone."""
    await tx.execute("UPDATE posts SET outdated = 1 WHERE job_id = ? AND kind = 'result'", (job,))


async def outdated(reader: Reader) -> list[Post]:
    """Return the posted results that may show takes that are gone."""
    rows = await reader.fetch(
        """
        SELECT * FROM posts INDEXED BY posts_outdated
        WHERE outdated = 1 AND message_id IS NOT NULL ORDER BY id
        """
    )
    return [_post(row) for row in rows]


async def updated(tx: Transaction, post: int, *, stands: bool) -> None:
    """Note that a result shows what there is, or that its message is gone."""
    await tx.execute(
        "UPDATE posts SET outdated = 0, message_id = IIF(?, message_id, NULL) WHERE id = ?",
        (stands, post),
    )


async def superfluous(tx: Transaction, job: int, now: datetime) -> None:
    """Withdraw an owed preview, as `withdrawn` does."""
    await withdrawn(tx, [job], now, PostKind.PREVIEW)


async def refused(tx: Transaction, post: int, now: datetime) -> bool:
    """No route is left; return False if that was known, or it stands after all."""
    return await tx.changes(
        """
        UPDATE posts SET refused_at = ?
        WHERE id = ? AND delivered_at IS NULL AND refused_at IS NULL
        """,
        (now.timestamp(), post),
    )


async def withdrawn(
    tx: Transaction, jobs: Iterable[int], now: datetime, kind: PostKind | None = None
) -> None:
    """Withdraw the posts of these jobs, all or of a kind.

    Those that may already be there are looked for.
    """
    await tx.execute(
        """
        UPDATE posts SET refused_at = IIF(tried_at IS NULL, ?1, NULL),
            withdrawn_at = IIF(tried_at IS NULL, NULL, ?1), due_at = MIN(due_at, ?1)
        WHERE job_id IN (SELECT value FROM json_each(?2)) AND (?3 IS NULL OR kind = ?3)
        AND delivered_at IS NULL AND refused_at IS NULL
        """,
        (now.timestamp(), listed(jobs), kind),
    )


async def wanted_again(tx: Transaction, job: int, now: datetime) -> None:
    """Try a refused result again from the first route, as a new message.

    What was posted the last time stays posted.
    """
    await tx.execute(
        """
        DELETE FROM posts
        WHERE job_id = ? AND kind IN ('result', 'failure') AND delivered_at IS NULL
        """,
        (job,),
    )
    await add(tx, job, PostKind.RESULT, now)


def _post(row: Row) -> Post:
    return read(
        Post,
        row,
        share=(row["take"], row["part"]),
        refused=row["refused_at"] is not None,
        withdrawn=row["withdrawn_at"] is not None,
    )
