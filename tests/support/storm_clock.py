"""The clock of a storm, and the bot that goes by it."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.app import Plan
from bot.engine.placement import Placement
from bot.values import Limits
from tests.support.studio import GENEROUS


class StormClock:
    """The time, which jumps now and then, and is wrong on the bot's machine for a while."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self.wrong_by = timedelta()

    def __call__(self) -> datetime:
        return self.of_discord() + self.wrong_by

    def of_discord(self) -> datetime:
        """Return the time that everybody else goes by."""
        return datetime.now(UTC) + self._ahead

    def ticks(self) -> float:
        """Return the seconds of a clock that nobody sets, and that stops while a machine sleeps."""
        return time.monotonic()

    def turn(self, **by: float) -> None:
        """Let time pass, as on a machine that slept."""
        self._ahead += timedelta(**by)


def stormy(plan: Plan, clock: StormClock) -> Plan:
    """Return a plan whose members have used up their day now and then."""
    tier = replace(GENEROUS, per_day=150, waiting=8)
    return replace(
        plan,
        placements=(Placement("cpu-0"), Placement("cpu-1")),
        defaults=(tier,),
        silence=2.0,
        clock=clock,
        limits=Limits(idle_lane=True),
    )
