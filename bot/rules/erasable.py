"""What of a piece may be erased at a member's wish, and by whom."""

from collections.abc import Sequence

from bot.errors import Refusal
from bot.rules import visibility
from bot.values import Job, Status, Take, Viewer


def whole(job: Job | None, number: int, viewer: Viewer) -> Job:
    """Return a piece that has ended and that the viewer may delete, or raise Refusal."""
    found = visibility.theirs(job, number, viewer, "delete")
    if found.status in (Status.QUEUED, Status.RUNNING, Status.RENDERED):
        raise Refusal(f"#{number} is still {found.status}. Delete it once it has finished.")
    return found


def besides(
    job: Job | None, takes: Sequence[Take], number: int, take: int, viewer: Viewer
) -> tuple[Job, list[Take]]:
    """Return a piece that the viewer may reduce to a take, and the takes that then go.

    Raises Refusal for any other, and where there is no other take, or none of that number.
    """
    found = visibility.theirs(job, number, viewer, "reduce")
    if found.status is not Status.DELIVERED or found.deleted:
        raise Refusal(f"#{number} has no takes to choose from.")
    kept = [each for each in takes if each.audio]
    others = [each for each in kept if each.number != take]
    if len(others) == len(kept):
        raise Refusal(f"Take {take} of #{number} is no longer kept.")
    if not others:
        raise Refusal(f"Only take {take} of #{number} is kept already.")
    return found, others
