"""Which pieces a viewer may know about: any other is answered as if it did not exist."""

from dataclasses import replace

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
    if not answers_for(viewer, found.origin):
        raise Refusal(f"Only the member who requested #{number} or a manager can {verb} it.")
    return found


def answers_for(viewer: Viewer, origin: Origin) -> bool:
    """Whether a viewer requested a piece or manages where it was requested."""
    return viewer.manager or viewer.user == origin.user_id


def without_lyrics(job: Job, viewer: Viewer) -> Job:
    """Return a piece as a viewer may read it: of another's song they know only that it is one."""
    if job.request.lyrics is None or answers_for(viewer, job.origin):
        return job
    return replace(job, request=replace(job.request, lyrics="", language=None))


def absent(number: int) -> str:
    """Say that there is no such piece."""
    return f"There is no piece #{number} here."


def sees(viewer: Viewer, origin: Origin) -> bool:
    """Whether a viewer may have the words and the music of what was asked for there."""
    if origin.guild_id != viewer.guild:
        return False
    return answers_for(viewer, origin) or viewer.views(origin)
