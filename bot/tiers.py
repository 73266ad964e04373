"""The tiers as data, and the rules over them: pure functions, no clock and no database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bot.errors import Refusal
from bot.models import Request, Tier

FREE = Tier(
    name="Free",
    price="free",
    longest=8,
    takes=1,
    per_day=8,
    waiting=1,
    models=frozenset({"*"}),
    weight=1,
)


LONGEST_PROMPT = 500
MOST_TAKES = 5


def ask(
    prompt: str, *, seconds: int, takes: int, model: str, seed: int, max_seconds: int
) -> Request:
    """Return a request within the hard bounds that hold for all; raise Refusal outside them."""
    words = " ".join(prompt.split())
    if not 1 <= len(words) <= LONGEST_PROMPT:
        raise Refusal(f"The prompt must have 1 to {LONGEST_PROMPT} characters.")
    if not 1 <= seconds <= max_seconds:
        raise Refusal(f"A piece may be 1 to {max_seconds} s long here.")
    if not 1 <= takes <= MOST_TAKES:
        raise Refusal(f"One request may have 1 to {MOST_TAKES} takes.")
    if not 0 <= seed < 2**32 - MOST_TAKES:
        raise Refusal("A seed is a whole number from 0 to 4294967290.")
    return Request(prompt=words, seconds=seconds, takes=takes, model=model, seed=seed)


def cost(request: Request) -> int:
    """Return the seconds of music that a request is charged."""
    return request.seconds * request.takes


def day(now: datetime) -> str:
    """Return the UTC day that `now` counts towards, as YYYY-MM-DD."""
    return now.astimezone(UTC).date().isoformat()


def resets_at(now: datetime) -> datetime:
    """Return when the day's allowance starts anew: the next midnight UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)


def check(tier: Tier, request: Request) -> None:
    """Raise Refusal if the tier never allows such a request."""
    if request.seconds > tier.longest:
        raise Refusal(
            f"You asked for {request.seconds} s; the {tier.name} tier allows pieces of at most "
            f"{tier.longest} s."
        )
    if request.takes > tier.takes:
        raise Refusal(
            f"You asked for {request.takes} takes; the {tier.name} tier allows {tier.takes}."
        )
    if not tier.models & {"*", request.model}:
        raise Refusal(f"The {tier.name} tier does not include the model {request.model}.")


def check_waiting(tier: Tier, waiting: Sequence[int]) -> None:
    """Raise Refusal if the member's waiting jobs, given by number, fill what the tier allows."""
    if len(waiting) >= tier.waiting:
        numbers = ", ".join(f"#{job}" for job in waiting)
        raise Refusal(
            f"You already have {numbers} waiting, and the {tier.name} tier allows "
            f"{tier.waiting} at a time. Cancel one or wait until it is done."
        )


def check_allowance(tier: Tier, request: Request, used: int, now: datetime) -> None:
    """Raise Refusal if the request does not fit in what is left of the day's allowance."""
    left = max(0, tier.per_day - used)
    if cost(request) > left:
        raise Refusal(
            f"That takes {cost(request)} s of music and you have {left} s of your "
            f"{tier.per_day} s left today ({tier.name} tier). "
            f"Your allowance starts anew <t:{int(resets_at(now).timestamp())}:R>."
        )
