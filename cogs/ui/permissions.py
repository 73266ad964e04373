"""What an interaction says about its member, and who may do what."""

import re
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import discord
from discord import app_commands

from bot.client import Interaction, NotAllowed, Services
from bot.errors import Refusal
from bot.rules.markup import escape
from bot.values import Actor, ChannelKind, Origin, Presence, Viewer

Completion = Callable[
    [discord.Interaction[Any], str], Coroutine[Any, Any, list[app_commands.Choice[str]]]
]
"""Completes what is typed."""


def presence(interaction: Interaction) -> Presence:
    """Return the member's roles, the subscriptions and the place, as they are now."""
    return Presence(
        roles=roles(interaction.user),
        user_skus=_bought(interaction, interaction.entitlements, None),
        server_skus=_bought(interaction, interaction.entitlements, interaction.guild_id or 0),
        places=_places(interaction),
    )


def viewer(interaction: Interaction) -> Viewer:
    """Return who wants to see pieces: whatever shows others' prompts or music checks this.

    Raises Refusal in a direct message, since pieces belong to servers.
    """
    return Viewer(
        guild=guild_of(interaction),
        user=interaction.user.id,
        manager=interaction.permissions.manage_guild,
        views=partial(_views, interaction),
    )


def operator(interaction: Interaction, guild: int) -> Viewer:
    """Return the bot's owner, who sees all pieces of any server."""
    user = interaction.user.id
    return Viewer(guild=guild, user=user, manager=True, views=lambda _: True)


def kind(channel: object) -> tuple[ChannelKind, int | None]:
    """Return the kind of a channel, and the channel that a thread belongs to."""
    if not isinstance(channel, discord.Thread):
        return ChannelKind.CHANNEL, None
    private = channel.is_private()
    return ChannelKind.PRIVATE_THREAD if private else ChannelKind.THREAD, channel.parent_id


async def presence_of(interaction: Interaction, member: discord.User) -> Presence:
    """Return another member's roles and subscriptions; raise Discord's error if it refuses."""
    client, theirs = interaction.client, list[discord.Entitlement]()
    if client.services.terms.skus:  # else there is nothing to buy, so nobody is asked
        theirs = [held async for held in client.entitlements(user=member, exclude_ended=True)]
    bought = _bought(interaction, theirs, None)
    own = presence(interaction)
    return Presence(roles=roles(member), user_skus=bought, server_skus=own.server_skus)


def _bought(
    interaction: Interaction, held: Iterable[discord.Entitlement], guild: int | None
) -> frozenset[int]:
    """Return the SKUs of what was in force for a server, or for the user alone (None), just now.

    That is by Discord's time, as the end of what it sells.
    """
    now = interaction.created_at
    return frozenset(
        each.sku_id
        for each in held
        if each.guild_id == guild
        and not each.deleted
        and (each.ends_at is None or now < each.ends_at)
    )


def roles(user: discord.User | discord.Member) -> frozenset[int]:
    """Return the ids of a user's roles, everybody's included; none for one who left the server.

    They come with each interaction, and are discord.py's private `_roles`: the public `roles` has
    but those that are cached, which is none while a server is unavailable.
    """
    if isinstance(user, discord.Member):
        return frozenset(user._roles) | {user.guild.id}
    return frozenset()


def named_roles(interaction: Interaction) -> dict[int, str]:
    """Return the server's roles by id, as an embed shows them in every client.

    The member's own that are not cached are mentioned: then the client knows the name.
    """
    guild = interaction.guild
    found = guild.roles if guild else ()
    held = {role: f"<@&{role}>" for role in roles(interaction.user)}
    return held | {role.id: f"@{escape(role.name.removeprefix('@'))}" for role in found}


def actor(known: discord.User | discord.Member | discord.Role) -> Actor:
    """Return who a user is, or which role it is, by the name that the audit log keeps."""
    return Actor(id=known.id, name=known.name)


def guild_of(interaction: Interaction) -> int:
    """Return the server's id; raise Refusal in a direct message."""
    # Discord does not offer the commands there, but what was once registered may still be sent.
    if interaction.guild_id is None:
        raise Refusal("Use this command in a server that I am in.")
    return interaction.guild_id


def admin(interaction: Interaction) -> tuple[int, Actor]:
    """Return the server in which an admin changes something, and who that is."""
    return guild_of(interaction), actor(interaction.user)


def snowflake(text: str) -> int | None:
    """Return a Discord id, or None; ids use the highest of 64 bits only after 2084."""
    # SQLite's integers are signed.
    number = int(text) if re.fullmatch("[0-9]{1,20}", text) else 0
    return number if 0 < number < 2**63 else None


def known(number: str) -> int:
    """Return an id of Discord's that a custom id has; raise Refusal for what is none."""
    if (found := snowflake(number)) is None:
        raise Refusal("That does not exist here.")
    return found


def require_manager(interaction: Interaction) -> None:
    """Raise NotAllowed unless the member manages the server."""
    if not interaction.permissions.manage_guild:
        raise NotAllowed("Only members with the Manage Server permission can do that.")


def for_managers(offer: Completion) -> Completion:
    """Offer nothing to others: discord.py skips a group's check when it completes an option."""

    async def offered(
        interaction: discord.Interaction[Any], typed: str
    ) -> list[app_commands.Choice[str]]:
        return await offer(interaction, typed) if interaction.permissions.manage_guild else []

    return offered


async def require_owner(interaction: Interaction) -> None:
    """Raise NotAllowed unless the user owns the bot."""
    if not await interaction.client.is_owner(interaction.user):
        raise NotAllowed("Only the owner of this bot can do that.")


@app_commands.default_permissions(manage_guild=True)
class AdminGroup(app_commands.Group):
    """Commands for server managers; what Discord hides is checked here as well."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        # A server's admins may open commands to anybody in its settings, against the defaults.
        require_manager(interaction)
        return True


def _places(interaction: Interaction) -> frozenset[int]:
    """Return the channel and everything that contains it, as far as that is cached."""
    channel: Any = interaction.channel
    around = [interaction.channel_id]
    if isinstance(channel, discord.Thread):
        around.append(channel.parent_id)
        channel = channel.parent
    around.append(getattr(channel, "category_id", None))
    return frozenset(place for place in around if place)


def _views(interaction: Interaction, origin: Origin) -> bool:
    """Whether the member may look into the channel that a piece was requested in.

    By the server as it is cached; of a thread that is not (an archived one) by what was stored of
    it. Who is in a private thread is not known without a privileged intent, so it is open from
    within and to those who manage threads. What is unknown is not shown.
    """
    if origin.channel_id == interaction.channel_id:
        return True
    guild, member = interaction.guild, interaction.user
    assert guild is not None, "a piece is seen from its server alone"
    assert isinstance(member, discord.Member)
    cached = guild.get_channel_or_thread(origin.channel_id)
    known, parent = kind(cached) if cached else (origin.channel_kind, origin.parent_id)
    within = guild.get_channel(origin.channel_id if parent is None else parent)
    if within is None:
        return False
    may = within.permissions_for(member)
    if isinstance(within, discord.VoiceChannel | discord.StageChannel) and not may.connect:
        return False  # members who may not join cannot read its messages either
    return may.view_channel and (known is not ChannelKind.PRIVATE_THREAD or may.manage_threads)
