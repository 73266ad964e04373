"""How a job ends: what was posted is charged, and the rest is refunded."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.logs import change
from bot.tables import erasures, jobs, ledger, posts, takes
from bot.tables.database import Transaction
from bot.values import UNRENDERED, Fault, Job, Post, PostKind, Status

log = logging.getLogger(__name__)

UNPOSTED_REASONS: Mapping[Fault, str] = {
    Fault.GONE: "Its music is gone from the studio's disk.",
    Fault.POSTING: "The studio failed to post it. The music is saved; Post again tries once more "
    "and charges it.",
}
"""What a member reads when music cannot be posted by a fault of ours."""


async def posted(tx: Transaction, job: Job, now: datetime, fault: Fault | None = None) -> None:
    """End a rendered job once all its results were posted or refused.

    Told is what fails by a `fault` of our own and what is lost of a job that was delivered; that
    Discord refuses all could be told nowhere.
    """
    results = [post for post in await posts.of(tx, job.id) if post.kind is PostKind.RESULT]
    if not all(post.delivered_at or post.refused for post in results):
        return
    reason = UNPOSTED_REASONS[fault] if fault else None
    if any(post.delivered_at for post in results):
        # Guarded: of messages that are settled side by side, one alone ends the job and refunds.
        if await jobs.delivered(tx, job.id, now):
            await _refund_lost(tx, job.id, results, now)
            if not job.forgotten and any(post.refused for post in results):
                await posts.add_another(tx, job.id, PostKind.FAILURE, now)
    elif job.forgotten:
        if await jobs.withdrawn(tx, job.id, now):
            await ledger.returned(tx, job.id, now)
    elif await jobs.undeliverable(tx, job.id, reason, fault, now):
        await ledger.returned(tx, job.id, now)
        if fault:
            await posts.add_another(tx, job.id, PostKind.FAILURE, now)
        why = reason or "every route was refused"
        change(log, job, "is undeliverable", logging.WARNING, because=why)


async def forgotten(tx: Transaction, found: Sequence[Job], heard: float, now: datetime) -> None:
    """Withdraw and erase jobs; what stands delivered stays charged.

    For one that is not rendered yet that is its preview, of `heard` seconds, if it was posted.
    What is being posted at this moment is settled once its outcome is known.
    """
    numbers = [job.id for job in found]
    await posts.withdrawn(tx, numbers, now)
    await erasures.forgotten(tx, numbers, now)
    for job in found:
        if job.status is Status.RENDERED:
            await posted(tx, replace(job, forgotten=True), now)
        elif job.status in UNRENDERED and await jobs.withdrawn(tx, job.id, now):
            await ledger.heard(tx, job.id, heard if job.heard else 0.0, now)
    await takes.erased(tx, numbers)


async def unheard(tx: Transaction, job: int, now: datetime) -> None:
    """A preview could not be posted: refund it if nothing else of its job is charged."""
    await jobs.unheard(tx, job)
    found = await jobs.find(tx, job)
    if found and found.forgotten and found.status is Status.CANCELLED and not found.heard:
        await ledger.returned(tx, job, now)


async def _refund_lost(tx: Transaction, job: int, results: Sequence[Post], now: datetime) -> None:
    """Refund the takes, or of one in parts the share, that Discord refused."""
    for take in sorted({post.share.take for post in results if post.refused}):
        parts = [post for post in results if post.share.take == take]
        stands = sum(post.delivered_at is not None for post in parts)
        await ledger.take_lost(tx, job, take, stands, len(parts), now)
