"""What some members should have used and hold: counted straightforwardly, beside the bot."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from bot.rules import days
from bot.values import Actor, Presence, Tier
from tests.support.domain import Domain

T = TypeVar("T")


ADMIN = Actor(id=9, name="admin")


SKU, ROLE = 777, 55
GUILDS, USERS = (10, 11), (1, 2)


MEMBERS = [(guild, user) for guild in GUILDS for user in USERS]


def tier(key: str, per_day: int) -> Tier:
    return Tier(
        key=key,
        name=key.title(),
        price="free",
        longest=8,
        takes=3,
        per_day=per_day,
        waiting=4,
        stars=3,
        models=frozenset({"*"}),
        weight=1,
    )


SMALL = (tier("free", 5), tier("plus", 30))


@dataclass(kw_only=True)
class Given:
    """A grant as the recount knows it."""

    seconds: int
    ends: datetime | None
    drawn: int = 0


@dataclass(kw_only=True)
class Bill:
    """A job as the recount knows it: what it is charged, and which grants pay how much of that."""

    guild: int
    user: int
    day: str
    cost: int
    everywhere: bool
    charged: int
    draws: list[tuple[Given, int]] = field(default_factory=list)
    forgiven: bool = False
    unposted: str = ""
    """The day on which it turned out undeliverable."""
    idle: bool = False
    """Whether it is made for nothing, since its member has used up the day."""

    def from_allowance(self) -> int:
        return self.charged - sum(seconds for _, seconds in self.draws)

    def lower(self, charged: int) -> None:
        """Refund down to this: to grants first, to the last drawn first."""
        charged = 0 if self.idle else charged
        back = self.charged - charged
        self.charged = charged
        for place, (grant, seconds) in reversed(list(enumerate(self.draws))):
            returned = min(back, seconds)
            grant.drawn -= returned
            self.draws[place] = (grant, seconds - returned)
            back -= returned


class Recount(Domain):
    """A bot without an engine, and what each member should have used of what they hold."""

    def __init__(self) -> None:
        super().__init__(*SMALL, skus={SKU: "plus"})
        self.bills: dict[int, Bill] = {}
        self.grants: dict[tuple[int, int], list[Given]] = {member: [] for member in MEMBERS}
        self.overrides: dict[tuple[int, int], int] = {}
        self.given: set[tuple[int, int]] = set()
        self.subscribers: set[int] = set()
        self.with_role: set[tuple[int, int]] = set()
        self.plus = dict.fromkeys(GUILDS, 30)
        for guild in GUILDS:
            role = Actor(id=ROLE, name="patrons")
            self.do(self.tier_admin.map_role(guild, ADMIN, role, "plus"))

    # What the recount says.

    def presence(self, guild: int, user: int) -> Presence:
        return Presence(
            roles=frozenset({ROLE} if (guild, user) in self.with_role else ()),
            user_skus=frozenset({SKU} if user in self.subscribers else ()),
        )

    def holds(self, guild: int, user: int) -> tuple[int, bool]:
        """Return a member's seconds a day and whether they count over all servers."""
        member = (guild, user)
        ways = [(5, 0, False)]
        if member in self.given:
            ways.append((self.plus[guild], 1, False))
        if member in self.with_role:
            ways.append((self.plus[guild], 1, False))
        if user in self.subscribers:
            ways.append((30, 1, True))
        per_day, _, everywhere = max(ways, key=lambda way: way[:2])
        override = self.overrides.get(member)
        if override is None:
            return per_day, everywhere
        return (30, True) if user in self.subscribers and override <= 30 else (override, False)

    def used(self, guild: int, user: int) -> int:
        today = days.day(self.clock())
        everywhere = self.holds(guild, user)[1]
        here = [bill for bill in self.bills.values() if (bill.user, bill.day) == (user, today)]
        return sum(
            bill.from_allowance()
            for bill in here
            if (bill.guild == guild and not bill.forgiven)
            or (everywhere and bill.everywhere and bill.guild != guild)
        )

    def open_grants(self, guild: int, user: int) -> list[Given]:
        now = self.clock()
        alive = [
            grant
            for grant in self.grants[guild, user]
            if grant.drawn < grant.seconds and (grant.ends is None or now < grant.ends)
        ]
        return sorted(alive, key=lambda grant: (grant.ends is None, grant.ends or now))

    def charge(self, guild: int, user: int, cost: int) -> list[tuple[Given, int]] | None:
        """Return what each grant pays of a cost, None if all of it is not enough."""
        due = max(0, cost - max(0, self.holds(guild, user)[0] - self.used(guild, user)))
        draws = []
        for grant in self.open_grants(guild, user):
            seconds = min(due, grant.seconds - grant.drawn)
            draws += [(grant, seconds)] if seconds else []
            due -= seconds
        return None if due else draws
