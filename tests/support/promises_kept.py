"""What must be so whatever happened: asked of the rows, the messages and the files themselves."""

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

PREVIEW = 30
"""Seconds of a long piece that are heard before it is whole."""

OPEN = {"queued", "running", "rendered"}
FOR_GOOD = {"delivered", "failed", "cancelled"}
"""What a job never leaves; one that could not be posted may be posted again."""

Row = sqlite3.Row


@dataclass(frozen=True, slots=True)
class Rows:
    """All that is on record, at one instant."""

    jobs: dict[int, Row]
    takes: dict[int, list[Row]]
    results: dict[int, list[Row]]
    draws: list[Row]
    grants: dict[int, Row]

    @classmethod
    def of(cls, folder: Path) -> "Rows":
        """Read the database of a bot that may be running."""
        with closing(sqlite3.connect(folder / "fantasia.db", isolation_level=None)) as database:
            database.row_factory = sqlite3.Row
            database.execute("BEGIN")
            jobs = database.execute("SELECT * FROM jobs ORDER BY id").fetchall()
            takes = database.execute("SELECT * FROM takes ORDER BY job_id, number").fetchall()
            posts = database.execute(
                "SELECT * FROM posts WHERE kind = 'result' ORDER BY id"
            ).fetchall()
            draws = database.execute("SELECT * FROM draws").fetchall()
            grants = database.execute("SELECT * FROM grants").fetchall()
        return cls(
            jobs={row["id"]: row for row in jobs},
            takes=_by_job(takes),
            results=_by_job(posts),
            draws=draws,
            grants={row["id"]: row for row in grants},
        )

    def charged(self, job: int) -> int:
        """Return what a job is charged in all."""
        return sum(take["charged_seconds"] for take in self.takes[job])

    def open_ones(self) -> list[str]:
        """Return what has not ended yet, or is owed, in a line each."""
        jobs = [dict(job) for job in self.jobs.values() if job["status"] in OPEN]
        posts = [dict(post) for posts in self.results.values() for post in posts if _is_owed(post)]
        return [str(row) for row in (*jobs, *posts)]

    def about(self, job: int) -> str:
        """Return all that is on record of a job, to tell how something went wrong."""
        found = [self.jobs[job], *self.takes[job], *self.results[job]]
        return "\n".join(str(dict(row)) for row in found)


def _is_owed(post: Row) -> bool:
    return post["delivered_at"] is None and post["refused_at"] is None


def _by_job(rows: list[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["job_id"]].append(row)
    return found


def broken_meanwhile(before: Rows, now: Rows) -> Iterator[str]:
    """Yield what is wrong at any time, in a sentence each."""
    for number, was in before.jobs.items():
        job = now.jobs.get(number)
        if job is None:
            yield f"#{number} is gone"
        elif was["status"] in FOR_GOOD and job["status"] != was["status"]:
            yield f"#{number} was {was['status']} and is {job['status']}"
    for number, job in now.jobs.items():
        price = job["seconds"] * job["takes"]
        forgotten = job["heard"] and job["forgotten_at"]
        free = job["status"] in ("failed", "undeliverable", *(() if forgotten else ("cancelled",)))
        most = 0 if free else price
        if not 0 <= now.charged(number) <= most:
            yield f"#{number} is {job['status']} and charged {now.charged(number)} of {price} s"
        if job["priority"] < 0 and now.charged(number):
            yield f"#{number} is of the idle lane and charged {now.charged(number)} s"
    yield from _overdrawn(now)


def _overdrawn(now: Rows) -> Iterator[str]:
    by_grant, by_job = Counter[int](), Counter[int]()
    for draw in now.draws:
        by_grant[draw["grant_id"]] += draw["seconds"]
        by_job[draw["job_id"]] += draw["seconds"]
        if not 0 <= draw["seconds"] <= draw["drawn"]:
            yield f"#{draw['job_id']} draws {draw['seconds']} of {draw['drawn']} s"
    for grant, seconds in by_grant.items():
        if seconds > now.grants[grant]["seconds"]:
            yield f"{seconds} s are drawn from a grant of {now.grants[grant]['seconds']} s"
    for job, seconds in by_job.items():
        if seconds > now.charged(job):
            yield f"#{job} draws {seconds} s from grants and is charged {now.charged(job)} s"


def broken_at_last(rows: Rows, marks: Mapping[str, int], folder: Path) -> Iterator[str]:
    """Yield what is wrong once everything has ended; `marks` counts the posts that members see."""
    for number, job in rows.jobs.items():
        yield from _unfair(rows, number, job)
        yield from _unposted(rows, number, job, marks)
    for mark, count in marks.items():
        if count > 1:
            yield f"{mark} stands in {count} messages"
    yield from _files(rows, folder)


def _unfair(rows: Rows, number: int, job: Row) -> Iterator[str]:
    """What was posted is charged, to the second, and nothing else is."""
    if job["status"] in OPEN:
        yield f"#{number} is {job['status']} for ever"
        return
    for take in rows.takes[number]:
        due = _due(rows, job, take)
        if take["charged_seconds"] not in due:
            yield (
                f"#{number} is {job['status']}: take {take['number']} is charged "
                f"{take['charged_seconds']} s, and {due} s would be right"
            )


def _due(rows: Rows, job: Row, take: Row) -> tuple[int, ...]:
    """Return what a take may be charged: what it adds, or of what is cut the share that stands."""
    if job["priority"] < 0:
        return (0,)
    if job["status"] == "cancelled":  # its beginning was heard before its owner was forgotten
        heard = job["heard"] and job["forgotten_at"] is not None
        return (0, min(PREVIEW, job["seconds"])) if heard else (0,)
    parts = [post for post in rows.results[job["id"]] if post["take"] in (0, take["number"])]
    stands = sum(post["delivered_at"] is not None for post in parts)
    added = math.ceil(round((take["seconds"] or job["before"]) - job["before"], 6))
    return (math.ceil(min(added, job["seconds"]) * stands / max(1, len(parts))),)


def _unposted(rows: Rows, number: int, job: Row, marks: Mapping[str, int]) -> Iterator[str]:
    """Music stands where it is on record as delivered, and nowhere else."""
    ours = [
        mark for mark in marks if mark == f"Piece #{number}" or mark.startswith(f"Piece #{number},")
    ]
    posts = [post for post in rows.results[number] if post["delivered_at"]]
    removable = job["deleted_at"] is not None or job["forgotten_at"] is not None
    if len(ours) > len(posts):
        yield f"#{number} is {job['status']}, {len(posts)} posts are on record, and {ours} stand"
    if len(ours) < len(posts) and not removable:
        yield f"#{number} has {len(posts)} posts on record, and {ours or 'nothing'} stands"
    if (job["status"] == "delivered") != bool(posts):
        yield f"#{number} is {job['status']} with {len(posts)} posts"


def _files(rows: Rows, folder: Path) -> Iterator[str]:
    """Every file is some row's, and the music of what was made is there as long as it is named."""
    made = {number for number, job in rows.jobs.items() if job["rendered_at"]}
    named = {number: set(_names(rows, number)) for number in rows.jobs}
    there = {f"audio/{file.name}" for file in (folder / "audio").iterdir()}
    for name in sorted(there - set().union(*named.values())):
        yield f"{name} is named by no row"
    for number in sorted(made):
        for name in sorted(named[number] - there):
            yield f"{name} is named by a row and not there"


def _names(rows: Rows, number: int) -> Iterator[str]:
    columns = ("audio", "codes", "preview")
    found = [take[column] for take in rows.takes[number] for column in columns]
    yield from filter(None, (*found, rows.jobs[number]["picture"]))
