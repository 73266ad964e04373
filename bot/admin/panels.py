"""Where a server's panels stand, so that each can be kept near the end of its channel."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from bot.tables import panels, removals
from bot.tables.database import Database
from bot.values import Panel

REST = timedelta(minutes=5)
"""How long a panel stays where it is at least."""


class Panels:
    """One panel a channel, restarts included."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def posted(self, panel: Panel, others: Collection[int] = ()) -> None:
        """Note a channel's panel; the one before, and `others` by their ids, are to be deleted."""
        now = self._clock()
        async with self._database.transaction() as tx:
            before = await panels.find(tx, panel.channel)
            old = {*others, *([before.message] if before else [])} - {panel.message}
            await panels.put(tx, panel, now)
            for message in old:
                await removals.add_message(tx, message, panel.channel, now)

    async def passed(self) -> list[Panel]:
        """Return, once, the panels below which the bot posted something since their last rest."""
        now = self._clock()
        due = await panels.due(self._database, now - REST, now)
        if not due:  # as at nearly every look, which then need not write
            return []
        async with self._database.transaction() as tx:
            return [panel for panel in due if await panels.claimed(tx, panel, now)]

    async def gone(self, panel: Panel) -> None:
        """Note that somebody deleted a panel."""
        await self._database.transact(panels.gone, panel)
