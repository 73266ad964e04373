"""What a request costs, what pays for it, and which tier would allow a refused one."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from bot.engine.cards import card
from bot.errors import Problems, Refusal, RefusalKind
from bot.rules.days import resets_at
from bot.rules.markup import LISTED, escape, some
from bot.rules.wording import counted, span
from bot.values import Block, Grant, Limits, Membership, Offer, Request, Tier

NOT_ON_THE_LIST = "This server is not on the operator's list, so I cannot make music here."
ASK_THE_OPERATOR = "Ask whoever runs this bot to allow it."
NOT_ALLOWED = f"{NOT_ON_THE_LIST} {ASK_THE_OPERATOR}"

BY_THE_OWNER = "`/studio server` sets what this server is allowed."
"""What the bot's owner reads of their own limits."""

MOST_UNPOSTED = 2
"""How many undeliverable pieces a member may have on a UTC day before they must wait."""


class Remedy(NamedTuple):
    """Which tier would allow what is refused, and how to get it; see Refusal."""

    text: str
    ask: str
    change: str


class UsedUp(Refusal):
    """The member's daily seconds and grants are not enough.

    `left` is what remains of both, in seconds of music.
    """

    def __init__(self, text: str, remedy: Remedy, left: int) -> None:
        said, ask, change = remedy
        super().__init__(f"{text} {said}", RefusalKind.DAY, ask=ask, change=change)
        self.left = left


def cost(request: Request) -> int:
    """Return the seconds of music that a request is charged."""
    return request.work


def includes(tier: Tier, model: str) -> bool:
    """Whether a tier may use a model."""
    return bool(tier.models & {"*", model}) or card(model).stands_in


def check_model(held: Membership, model: str, offers: Sequence[Offer]) -> None:
    """Raise Refusal, naming a tier that would do, if a member's tier does not include a model."""
    if not includes(held.tier, model):
        text = f"Your {escape(held.tier.name)} tier does not include the model {model}."
        raise _beyond(text, remedy(offers, lambda other: includes(other, model)))


def check(held: Membership, request: Request, offers: Sequence[Offer]) -> None:
    """Raise Refusal, naming a tier that would do, if a member's tier never allows a request.

    It says all that the tier does not allow.
    """
    tier, wrong = held.tier, Problems()

    def require(fits: Callable[[Tier], bool], begun: str, ended: str) -> None:
        if not fits(tier):
            text = f"{begun} {escape(tier.name)} tier {ended}"
            wrong.add(_beyond(text, remedy(offers, fits)))

    require(
        lambda other: request.length <= other.longest,
        f"You asked for {request.length:g} s; your",
        f"allows up to {tier.longest} s per piece.",
    )
    require(
        lambda other: request.takes <= other.takes,
        f"You asked for {request.takes} takes; your",
        f"allows {tier.takes} per request.",
    )
    with wrong.noted():
        check_model(held, request.model, offers)
    wrong.tell()


def _beyond(text: str, remedy: Remedy, kind: RefusalKind = RefusalKind.TIER) -> Refusal:
    return Refusal(f"{text} {remedy.text}", kind, ask=remedy.ask, change=remedy.change)


def remedy(offers: Sequence[Offer], fits: Callable[[Tier], bool]) -> Remedy:
    """Name the lowest tier that fits, and how to get it; with a price only what can be got."""
    found = next((offer for offer in offers if fits(offer.tier)), None)
    if found is None:
        none = "No tier on this server allows more."
        return Remedy(none, "", "`/tier edit` changes that, and so does `/tier add`.")
    how = [f"get the role {' or '.join(f'<@&{role}>' for role in found.roles[:3])}"]
    how = how if found.roles else []
    how += [f"get it at <{found.tier.link}>"] if found.tier.link else []
    how += ["subscribe (see `/plans`)"] if found.sku else []
    price = f" ({escape(found.tier.price)})" if found.sold else ""
    way = f": {', or '.join(how)}" if how else ""
    return Remedy(
        f"**{escape(found.tier.name)}**{price} allows it{way}.",
        "" if how else "Ask whoever manages this server for it.",
        "`/tier give` gives it to you or any member, `/setup` to everybody.",
    )


def check_waiting(held: Membership, waiting: Sequence[int], offers: Sequence[Offer]) -> None:
    """Raise Refusal if the member's waiting jobs, given by number, fill what the tier allows."""
    tier = held.tier
    if len(waiting) >= tier.waiting:
        numbers = some([f"#{job}" for job in waiting], LISTED)
        raise _beyond(
            f"You already have {numbers} waiting, and your {escape(tier.name)} tier allows "
            f"{tier.waiting} at a time. Cancel one, or wait for it to finish.",
            remedy(offers, lambda other: other.waiting > len(waiting)),
            RefusalKind.QUEUE,
        )


def pay(
    held: Membership,
    request: Request,
    price: int,
    used: int,
    grants: Sequence[Grant],
    offers: Sequence[Offer],
    now: datetime,
) -> tuple[tuple[int, int], ...]:
    """Return what each grant pays of a price, by id: the day's allowance is used first.

    `price` and `used` are in seconds of music; `grants` are the open ones in the order they are
    drawn from. Raises UsedUp if all of it is not enough.
    """
    left = max(0, held.per_day - used)
    due = max(0, price - left)
    # The grants come soonest end first, so none runs out while one that lasts is spent.
    draws = []
    for grant in grants:
        if drawn := min(due, grant.left):
            draws.append((grant.id, drawn))
            due -= drawn
    if due:
        granted = sum(grant.left for grant in grants)
        more = remedy(
            offers,
            lambda other: (
                other.per_day - used + granted >= price
                and other.rank > held.tier.rank
                and request.length <= other.longest
                and request.takes <= other.takes
                and includes(other, request.model)
            ),
        )
        raise UsedUp(_too_little(held, request, price, left, granted, now), more, left + granted)
    return tuple(draws)


def _too_little(
    held: Membership, request: Request, price: int, left: int, granted: int, now: datetime
) -> str:
    extra = f", and {span(granted)} from grants" if granted else ""
    everywhere = " on all servers" if held.everywhere else ""
    return (
        f"This needs {span(price)}; you have {span(left)} of {span(held.per_day)} left "
        f"today{everywhere} ({escape(held.tier.name)} tier){extra}. "
        f"{_fits(left + granted, request.takes)}"
        f"Your allowance resets <t:{int(resets_at(now).timestamp())}:R>."
    )


def _fits(left: int, takes: int) -> str:
    """Say what the remaining seconds are enough for; nothing if there are none."""
    if left >= takes:
        return f"Up to {left // takes} s{' per take' if takes > 1 else ''} would fit. "
    return f"A single take of up to {left} s would fit. " if left else ""


def check_unposted(unposted: Sequence[int], now: datetime) -> None:
    """Raise Refusal for a member whose pieces, given by number, could not be posted today."""
    if len(unposted) >= MOST_UNPOSTED:
        numbers = " and ".join(f"#{job}" for job in unposted[:MOST_UNPOSTED])
        raise Refusal(
            f"{numbers} could not be posted today. Let me post where you request music, or allow "
            "direct messages, then press **Post again** under one of them. You can request more "
            f"once one is posted, or <t:{int(resets_at(now).timestamp())}:R>.",
            RefusalKind.UNPOSTED,
        )


def check_studio(limits: Limits, waiting: int, waiting_here: int) -> None:
    """Raise Refusal if the operator's limits of waiting jobs are reached."""
    if waiting >= limits.waiting:
        raise Refusal(
            f"The studio's queue is full: it holds {counted(limits.waiting, 'piece')}, the most "
            "the operator allows. Try again later; nothing was charged.",
            RefusalKind.QUEUE,
        )
    if waiting_here >= limits.waiting_per_server:
        raise Refusal(
            f"This server already has {counted(waiting_here, 'piece')} waiting, the most the "
            "operator allows. Try again later; nothing was charged.",
            RefusalKind.QUEUE,
            operate=BY_THE_OWNER,
        )


def check_server_day(limits: Limits, price: int, used: int, now: datetime) -> None:
    """Raise Refusal if the operator's seconds a day for one server are used up."""
    most = limits.server_seconds_per_day
    if most is not None and used + price > most:
        raise Refusal(
            f"This needs {span(price)}; this server has {span(max(0, most - used))} of "
            f"{span(most)} left today, the most the operator allows. It resets "
            f"<t:{int(resets_at(now).timestamp())}:R>.",
            RefusalKind.SERVER,
            operate=BY_THE_OWNER,
        )


def blocked(block: Block) -> str:
    """Tell a blocked member until when and why."""
    why = f" Reason: {escape(block.reason)}" if block.reason else ""
    until = f"until <t:{int(block.until.timestamp())}:f>" if block.until else "indefinitely"
    return f"An admin of this server has blocked you from requesting music {until}.{why}"
