"""A member's own pieces: their titles, and the stars that keep them."""

from bot.errors import Refusal, RefusalKind
from bot.rules import visibility, wordfilter
from bot.rules.markup import clean, escape
from bot.rules.wording import counted
from bot.tables import jobs, servers, shelf
from bot.tables.database import Database, Transaction
from bot.values import Job, Status, Tier, Viewer

LONGEST_TITLE = 60
"""Characters of a title."""


class Shelf:
    """What members change about pieces that were made for them, and nobody else may."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def star(self, number: int, viewer: Viewer, tier: Tier) -> None:
        """Keep a piece at the top of the list and its music from KEEP_DAYS, or raise Refusal."""
        async with self._database.transaction() as tx:
            job = await _own(tx, number, viewer)
            if job.starred or await shelf.starred(tx, number, tier.stars):
                return
            if await shelf.count(tx, viewer.guild, viewer.user) >= tier.stars:
                raise Refusal(
                    f"Your {escape(tier.name)} tier keeps {counted(tier.stars, 'starred piece')}. "
                    "Take the star of another; `/history` shows them first.",
                    RefusalKind.TIER,
                )
            if job.status is not Status.DELIVERED:
                raise Refusal(f"#{number} is {job.status}: it can be starred once it is posted.")
            raise Refusal(f"The music of #{number} is no longer kept.")

    async def unstar(self, number: int, viewer: Viewer) -> None:
        """Let a piece go the way of all others again."""
        async with self._database.transaction() as tx:
            await _own(tx, number, viewer)
            await shelf.unstarred(tx, number)

    async def name(self, number: int, viewer: Viewer, title: str) -> None:
        """Give a piece a title, or none if it is empty; raise Refusal for blocked words."""
        title = clean(title)[:LONGEST_TITLE]
        async with self._database.transaction() as tx:
            await _own(tx, number, viewer)
            if wordfilter.refuses(await servers.words(tx, viewer.guild), title):
                raise Refusal(
                    "That title contains a word that this server blocks.", RefusalKind.RULES
                )
            await shelf.named(tx, number, title or None)

    async def stars(self, guild: int, user: int) -> int:
        """Return how many pieces a member has starred in a server."""
        return await shelf.count(self._database, guild, user)


async def _own(tx: Transaction, number: int, viewer: Viewer) -> Job:
    job = visibility.seen(await jobs.find(tx, number), number, viewer)
    if job.forgotten:
        raise Refusal(visibility.absent(number))
    if job.origin.user_id != viewer.user:
        raise Refusal(f"Only the member who requested #{number} can star it or name it.")
    if job.deleted:
        raise Refusal(f"#{number} was deleted.")
    return job
