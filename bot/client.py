"""The discord.py bot: what it loads, how it registers its commands, how errors become replies."""

import asyncio
import contextlib
import hashlib
import json
import logging
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.admin.members import MemberAdmin
from bot.admin.owner import Operations
from bot.admin.panels import Panels
from bot.admin.servers import ServerAdmin
from bot.admin.tiers import TierAdmin
from bot.belongings.drafts import Drafts
from bot.belongings.shelf import Shelf
from bot.clock import Clock
from bot.discord_api.errors import UNREACHED, brief, definite, json_only
from bot.discord_api.replies import ReturnedRefusal, reply
from bot.errors import OperatorError, Refusal, RefusalKind, StorageError
from bot.lookup.accounts import Accounts
from bot.lookup.pieces import Pieces
from bot.lookup.standings import Standings
from bot.monitoring.metrics import Metrics
from bot.outbox import Outbox
from bot.retention.archive import Archive
from bot.retention.copies import Copies
from bot.retention.erasure import Erasure
from bot.rules.terms import Terms
from bot.studio import Studio
from bot.tables import state
from bot.tables.database import Database
from bot.values import About

log = logging.getLogger(__name__)

EXTENSIONS = tuple(
    module.name
    for module in pkgutil.iter_modules([str(resources.files("cogs"))], "cogs.")
    if not module.ispkg
)
"""The groups of commands: a file each."""

# The bot never joins voice channels, so nobody needs the warning that it could not.
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False

Interaction = discord.Interaction["Fantasia"]

LONGEST_MESSAGE = 2000
"""Characters of a message's text."""

LONGEST_RATE_LIMIT = 60.0
"""The longest rate limit, in seconds, that a call waits out; longer ones make it fail."""


NO_MEMBER = (
    "I am not a member of this server, so I cannot make music here; nothing was charged. Whoever "
    "manages the server can add me."
)


class NotAllowed(app_commands.CheckFailure):
    """The member lacks a permission; the text is the reply."""

    kind = RefusalKind.PERMISSION


class Tree(app_commands.CommandTree["Fantasia"]):
    """Who may use the commands at all, and the one place where an exception becomes a reply."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Refuse interactions from servers that the bot is not in; autocompletes silently."""
        if interaction.type is not discord.InteractionType.autocomplete:
            require_membership(interaction)
        return is_member(interaction)

    async def on_error(self, interaction: Interaction, error: Exception, /) -> None:
        """Answer with a refusal's sentence, or with a reference to the log."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if isinstance(cause, discord.NotFound) and cause.code == 10062:  # unknown interaction
            log.warning("interaction %d was answered too late", interaction.id)
            return
        view = {}
        if isinstance(cause, ReturnedRefusal):
            view, cause = {"view": cause.view}, cause.refusal
        if isinstance(cause, Refusal | NotAllowed):
            self.client.services.metrics.refusals.labels(cause.kind).inc()
        try:
            await answer(interaction, await self._reply(interaction, cause), **view)
            if interaction.type is discord.InteractionType.application_command:
                self.client.dispatch("command_refused", interaction)
        except UNREACHED as failure:
            log.warning("interaction %d was not answered: %s", interaction.id, brief(failure))
        except Exception:
            log.exception("interaction %d could not be answered", interaction.id)

    async def _reply(self, interaction: Interaction, cause: Exception) -> str:
        """Return what this member reads of an error: who can change what it tells is told how."""
        if not isinstance(cause, Refusal):
            return reply(cause)
        owner = False
        if cause.operate:  # else it makes no difference, and Discord need not be asked
            with contextlib.suppress(*UNREACHED):
                owner = await self.client.is_owner(interaction.user)
        return cause.told(manager=interaction.permissions.manage_guild, owner=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the cogs ask: what members, admins and the owner may do, and what is kept and owed."""

    terms: Terms
    clock: Clock
    studio: Studio
    drafts: Drafts
    shelf: Shelf
    accounts: Accounts
    pieces: Pieces
    standings: Standings
    outbox: Outbox
    archive: Archive
    copies: Copies
    erasure: Erasure
    member_admin: MemberAdmin
    tier_admin: TierAdmin
    server_admin: ServerAdmin
    panels: Panels
    operations: Operations
    metrics: Metrics
    about: About


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list that is shown page by page, and may be `by_age`, the newest first.

    `lines` gives a page, from 0, of the list about a subject's id (0: none), and whether there are
    more; it checks who may read them. `search` gives of these only what has some words. `items`
    gives what stands under it besides.
    """

    name: str
    lines: Callable[[Interaction, int, int], Awaitable[tuple[discord.Embed, bool]]]
    search: Callable[[Interaction, int, int, str], Awaitable[tuple[discord.Embed, bool]]] | None = (
        None
    )
    items: Callable[[Interaction], Awaitable[Sequence[discord.ui.Item[Any]]]] | None = None
    by_age: bool = False


class Fantasia(commands.AutoShardedBot):
    """The bot; its cogs find the domain in `services`."""

    def __init__(
        self,
        database: Database,
        services: Services,
        *,
        dev_guild_id: int | None = None,
        owner_guild_id: int | None = None,
        sync: bool = False,
        proxy: str | None = None,
    ) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            tree_cls=Tree,
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
            allowed_contexts=app_commands.AppCommandContext(guild=True),
            max_ratelimit_timeout=LONGEST_RATE_LIMIT,
            http_trace=json_only(),
            proxy=proxy,
        )
        self._closing = asyncio.Event()
        self._database = database
        self.services = services
        self.listings: dict[str, Listing] = {}
        self.owner_guild = discord.Object(owner_guild_id) if owner_guild_id else None
        self._dev_guild = discord.Object(dev_guild_id) if dev_guild_id else None
        self._sync = sync

    def add_listing(self, listing: Listing) -> None:
        """Let a list be shown by its name."""
        self.listings[listing.name] = listing

    async def close(self) -> None:
        """Close the connection, and wake whoever waits for one."""
        self._closing.set()
        await super().close()

    async def left_alone(self, seconds: float) -> None:
        """Wait for a time, or until the connection is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def setup_hook(self) -> None:
        """Load the cogs and register the commands; raise OperatorError if a cog does not load."""
        # This runs at each login, and a login that fails is tried again.
        for name in (name for name in EXTENSIONS if name not in self.extensions):
            try:
                await self.load_extension(name)
            except commands.ExtensionError as error:
                raise OperatorError(f"The module {name} cannot be loaded: {error}") from error
        if self._dev_guild:
            self.tree.copy_global_to(guild=self._dev_guild)
        for guild in {self._dev_guild, self.owner_guild or self._dev_guild}:
            await self._register(guild)

    async def on_error(self, event_method: str, /, *arguments: Any, **more: Any) -> None:  # noqa: ANN401
        """Log in one line what failed because of the database or because the bot is closing."""
        error = sys.exception()
        if isinstance(error, StorageError):
            log.error("%s: %s", event_method, error)
        elif self.is_closed():
            log.info("%s ended with the connection: %s", event_method, error)
        else:
            await super().on_error(event_method, *arguments, **more)

    async def _register(self, guild: discord.Object | None) -> None:
        scope = f"{self.application_id} {guild.id if guild else 'everywhere'}"
        digest, known = self._digest(guild), await state.commands(self._database, scope)
        # Discord takes only so many registrations a day (30034), so a restart makes none.
        if digest == known and not self._sync:
            return
        try:
            await self.tree.sync(guild=guild)
        except UNREACHED as error:
            if guild and isinstance(error, discord.Forbidden) and definite(error):
                raise OperatorError(
                    f"Commands cannot be registered in the server {guild.id}: invite the bot there "
                    "first, or correct DEV_GUILD_ID and OWNER_GUILD_ID."
                ) from error
            if known is None:
                raise
            log.error("commands were not registered; the old ones stay: %s", brief(error))
        else:
            log.info(
                "commands registered %s", f"in the server {guild.id}" if guild else "everywhere"
            )
            with contextlib.suppress(StorageError):  # then the next start registers them again
                await self._database.transact(state.note_commands, scope, digest)

    def _digest(self, guild: discord.Object | None) -> str:
        definitions = [
            command.to_dict(self.tree) for command in self.tree.get_commands(guild=guild)
        ]
        return hashlib.sha256(json.dumps(definitions, sort_keys=True).encode()).hexdigest()


def is_member(interaction: Interaction) -> bool:
    """Whether the bot is in the server that an interaction comes from, even if that is unavailable.

    With a user install, or without the scope `bot`, commands come from servers that it is not in.
    """
    guild = interaction.guild_id
    return guild is None or interaction.client.get_guild(guild) is not None


def require_membership(interaction: Interaction) -> None:
    """Raise NotAllowed if the bot is not in the server."""
    if not is_member(interaction):
        raise NotAllowed(NO_MEMBER)


async def answer(interaction: Interaction, text: str = "", **options: Any) -> None:  # noqa: ANN401
    """Tell the member something that only they see, whether or not they already had a reply."""
    text = text[:LONGEST_MESSAGE]
    if interaction.response.is_done():
        await interaction.followup.send(text, ephemeral=True, **options)
    else:
        await interaction.response.send_message(text, ephemeral=True, **options)
