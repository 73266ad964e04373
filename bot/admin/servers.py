"""What admins and the operator can do for a whole server: its channels, its words, its limits."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from bot.admin.audited import Audited
from bot.errors import Refusal
from bot.rules import wordfilter
from bot.rules.markup import LISTED, escape, some
from bot.rules.wording import span
from bot.tables import servers, state
from bot.tables.database import Transaction
from bot.values import Actor, Limits

LONGEST_WORD = 50
MOST_WORDS = 500
MOST_CHANNELS = 100


class ServerAdmin(Audited):
    """Where music can be requested and in which words; and how much the operator allows."""

    async def channels(self, guild: int) -> list[int]:
        """Return the ids of the channels where music can be requested; none means everywhere."""
        return await servers.channels(self._database, guild)

    async def allow_channel(self, guild: int, actor: Actor, channel: Actor) -> bool:
        """Allow requests in a channel; return whether it is the only one that is allowed now."""
        async with self._database.transaction() as tx:
            before = await servers.channels(tx, guild)
            if len(before) >= MOST_CHANNELS:
                raise Refusal(f"At most {MOST_CHANNELS} channels can be allowed.")
            if not await servers.channel_allowed(tx, guild, channel.id):
                raise Refusal("That channel is already allowed.")
            await self._note(tx, guild, actor, "channel allow", f"#{channel.name}")
        return not before

    async def forget_channel(self, guild: int, actor: Actor, channel: Actor) -> bool:
        """Remove a channel from the list; return whether others are left on it."""
        async with self._database.transaction() as tx:
            if not await servers.channel_forgotten(tx, guild, channel.id):
                channels = [f"<#{each}>" for each in await servers.channels(tx, guild)]
                known = some(channels, LISTED)
                raise Refusal(f"That channel is not on the list: {known or 'it is empty'}.")
            await self._note(tx, guild, actor, "channel forget", f"#{channel.name}")
            return bool(await servers.channels(tx, guild))

    async def words(self, guild: int) -> list[str]:
        """Return the words that a server blocks in prompts."""
        return await servers.words(self._database, guild)

    async def add_word(self, guild: int, actor: Actor, word: str) -> str:
        """Block a word, or words in that order; return it as it is matched."""
        folded = wordfilter.folded(word)
        if not 1 <= len(folded) <= LONGEST_WORD:
            raise Refusal(f"A word must have 1 to {LONGEST_WORD} letters or digits.")
        async with self._database.transaction() as tx:
            if len(await servers.words(tx, guild)) >= MOST_WORDS:
                raise Refusal(f"At most {MOST_WORDS} words can be blocked.")
            if not await servers.word_added(tx, guild, folded):
                raise Refusal("That word is already blocked.")
            await self._note(tx, guild, actor, "words add", folded)
        return folded

    async def remove_word(self, guild: int, actor: Actor, word: str) -> str:
        """Unblock a word; return it."""
        wanted = wordfilter.folded(word)
        async with self._database.transaction() as tx:
            # Words listed by an earlier version may have been folded differently.
            listed = [each for each in await servers.words(tx, guild) if each in (word, wanted)]
            if not listed or not await servers.word_removed(tx, guild, listed[0]):
                known = some([escape(each) for each in await servers.words(tx, guild)], LISTED)
                raise Refusal(f"That word is not on the list: {known or 'it is empty'}.")
            await self._note(tx, guild, actor, "words remove", listed[0])
        return listed[0]

    async def limits(self, guild: int) -> Limits:
        """Return the operator's limits as they hold for a server."""
        return await servers.limits(self._database, guild, self._terms.limits)

    async def known_servers(self) -> list[int]:
        """Return the ids of the servers with settings of their own."""
        return list(await servers.known(self._database))

    async def allow_server(self, guild: int, actor: Actor, allowed: bool | None) -> None:
        """Allow or refuse a server, whatever the list says; None follows the list again."""

        def word(limits: Limits) -> str:
            return "allowed" if limits.allows(guild) else "refused"

        async with self._limiting(guild, actor, word) as tx:
            await servers.allowed(tx, guild, allowed)

    async def limit_server(
        self, guild: int, actor: Actor, changes: Mapping[str, int | None]
    ) -> None:
        """Set a server's own limits; None changes nothing, too small a number means as in .env."""
        async with self._limiting(guild, actor, described) as tx:
            await servers.limited(tx, guild, changes)

    @asynccontextmanager
    async def _limiting(
        self, guild: int, actor: Actor, told: Callable[[Limits], str]
    ) -> AsyncIterator[Transaction]:
        """Note what a block changes of a server's limits, as these are `told`."""
        async with self._database.transaction() as tx:
            before = told(await servers.limits(tx, guild, self._terms.limits))
            yield tx
            after = told(await servers.limits(tx, guild, self._terms.limits))
            await self._note(tx, guild, actor, "studio server", str(guild), before, after)

    async def turned_away(self, guild: int) -> bool:
        """Whether a server has yet to be told that it may not use the studio."""
        limits = await self.limits(guild)
        return not (limits.allows(guild) or await servers.was_told(self._database, guild))

    async def told(self, guild: int) -> None:
        """Note that a server was told that it may not use the studio."""
        await self._database.transact(servers.told, guild, self._clock())

    async def welcomes_since(self) -> datetime:
        """Return since when servers that the bot joins are welcomed."""
        return await self._database.transact(state.welcomes_since, self._clock())

    async def welcome(self, guild: int) -> bool:
        """Whether a server that the bot joined has yet to be welcomed."""
        limits = await self.limits(guild)
        return limits.allows(guild) and not await servers.was_welcomed(self._database, guild)

    async def welcomed(self, guild: int, *, told: bool) -> None:
        """Note that a server was welcomed; not `told`: that it has no channel for it."""
        async with self._database.transaction() as tx:
            await servers.welcomed(tx, guild, self._clock())
            if told:
                await servers.introduced(tx, guild, self._clock())

    async def introduce(self, guild: int) -> bool:
        """Note that a manager is told of the set-up; return False if one was before."""
        return await self._database.transact(servers.introduced, guild, self._clock())


def described(limits: Limits) -> str:
    """Say what the operator allows a server."""
    per_day = limits.server_seconds_per_day
    return (
        f"pieces up to {limits.max_seconds} s, up to {limits.waiting_per_server} waiting, "
        f"{'no daily limit' if per_day is None else f'{span(per_day)} a day'}"
    )
