"""Which pieces a viewer may know about: any other is answered as if it did not exist."""

from bot.errors import Refusal
from bot.values import Job, Origin, Viewer


def seen(job: Job | None, number: int, viewer: Viewer) -> Job:
    """Return a piece that the viewer may know about; raise Refusal for any other."""
    if job is None or not sees(viewer, job.origin):
        raise Refusal(absent(number))
    return job


def theirs(job: Job | None, number: int, viewer: Viewer, verb: str) -> Job:
    """Return a piece that the viewer requested or manages; raise Refusal if it is another's."""
    found = seen(job, number, viewer)
    if viewer.user != found.origin.user_id and not viewer.manager:
        raise Refusal(f"Only the member who requested #{number} or a manager can {verb} it.")
    return found


def absent(number: int) -> str:
    """Say that there is no such piece."""
    return f"There is no piece #{number} here."


def sees(viewer: Viewer, origin: Origin) -> bool:
    """Whether a viewer may have the words and the music of what was asked for there."""
    if origin.guild_id != viewer.guild:
        return False
    return viewer.manager or origin.user_id == viewer.user or viewer.views(origin)
