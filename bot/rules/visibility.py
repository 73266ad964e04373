"""Which pieces somebody may know of: for any other the answer is the same as for none."""

from bot.errors import Refusal
from bot.values import Job, Viewer


def seen(job: Job | None, number: int, viewer: Viewer) -> Job:
    """Return a piece that they may know of; raise Refusal for one that is none to them."""
    if job is None or not viewer.sees(job.origin):
        raise Refusal(absent(number))
    return job


def theirs(job: Job | None, number: int, viewer: Viewer, verb: str) -> Job:
    """Return a piece that they asked for or manage; raise Refusal if they may not `verb` it."""
    found = seen(job, number, viewer)
    if viewer.user != found.origin.user_id and not viewer.manager:
        raise Refusal(f"Only the member who requested #{number} or a manager can {verb} it.")
    return found


def absent(number: int) -> str:
    """Say that there is no such piece."""
    return f"There is no piece #{number} here."
