"""The ways through the house: from room to room, and never back into one that was left."""

from dataclasses import replace
from typing import Any

import pytest

from bot.app import Plan
from bot.rules.tiers import DEFAULTS
from bot.values import Limits, Status
from tests.support.walks import recorded
from tests.support.world import world

LIMITED = Limits(server_seconds_per_day=1000, idle_lane=True)
"""Limits of every kind, so that all of them are asked."""

REQUEST = """
    cogs.generate cogs.ui.submit bot.client bot.discord_api.invitation cogs.ui.permissions
    bot.studio bot.rules.bounds bot.rules.markup bot.engine.cards bot.clock bot.tables.interactions
    bot.admission bot.rules.days bot.tables.servers bot.tables.members bot.tables.server_tiers
    bot.rules.terms bot.tables.backlog bot.tables.ledger bot.tables.grants
    bot.tables.engines bot.tables.speeds bot.rules.wordfilter bot.rules.quota bot.tables.jobs
"""
"""From the option of /generate to the INSERT."""


@pytest.mark.parametrize("options", [{}, {"duration": 5, "model": "small", "seed": 3}], ids=len)
async def test_a_request_goes_from_its_option_to_its_row_through_each_room_once(
    plan: Plan, options: dict[str, Any]
) -> None:
    plan = replace(plan, limits=LIMITED, defaults=DEFAULTS, models=("small",))
    async with world(plan) as w:
        with recorded() as recording:
            await w.alice.slash(w.music, "generate", prompt="play", **options)
    walk = recording.walk("cogs.generate:command.<locals>.generate", "bot.tables.jobs:add")
    assert walk.entered_twice == [], str(walk)
    assert walk.rooms == REQUEST.split(), str(walk)


DELIVERY = """
    cogs.delivery cogs.ui.letters cogs.ui.attachments bot.retention.copies cogs.ui.embeds
    bot.rules.markup bot.engine.cards cogs.ui.views
    bot.outbox bot.clock bot.tables.posts cogs.ui.routes
"""
"""From what is owed to the message."""


async def test_what_is_owed_goes_to_its_message_through_each_room_once(plan: Plan) -> None:
    async with world(plan) as w:
        with recorded() as recording:
            await w.alice.slash(w.music, "generate", prompt="draw", duration=2, takes=2)
            await w.ended(1, Status.DELIVERED)
        assert len((await w.result()).attachments) == 3
    walk = recording.walk("cogs.delivery:Delivery._deliver_to", "cogs.ui.routes:send")
    assert walk.entered_twice == [], str(walk)
    assert walk.rooms == DELIVERY.split(), str(walk)
    # What follows is decided by one call, in one transaction.
    after = recording.walk("cogs.ui.routes:send", "bot.logs:change")
    asked = [call.function for call in after.calls if call.module == "bot.outbox"]
    begun = [call for call in after.calls if call.function == "Database.transaction"]
    assert (asked, len(begun)) == (["Outbox.settle"], 1), str(after)
