"""What members typed into forms that were refused, so that they need not type it again."""

from collections.abc import Callable, Mapping
from datetime import datetime

from bot.errors import Refusal
from bot.tables import drafts
from bot.tables.database import Database
from bot.tables.drafts import LIFE
from bot.values import Draft


class Drafts:
    """Keeps the newest of each member for 15 minutes, restarts included."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def keep(self, guild: int, user: int, form: str, said: Mapping[str, str]) -> None:
        """Keep what a member typed, by the names of the fields, instead of what was kept before."""
        await self._database.transact(drafts.put, guild, user, form, said, self._clock())

    async def last(self, guild: int, user: int) -> Draft:
        """Return what a member typed last; raise Refusal if that is no longer kept."""
        draft = await drafts.find(self._database, guild, user, self._clock() - LIFE)
        if draft is None:
            raise Refusal("What you typed is kept for 15 minutes only. Please open the form again.")
        return draft
