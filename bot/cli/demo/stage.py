"""What the demo simulates: two servers, their channels and members, and the bot in them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import discord
import simcord
from simcord._clock import Clock

from bot.app import Plan, compose
from bot.client import Fantasia, NotAllowed
from bot.clock import utc_now
from bot.errors import Refusal
from bot.rules.tiers import DEFAULTS, FREE
from bot.values import Actor

FIRST_TIER = "Starter"
"""The tier of the member that the page begins as, who has 120 s a day."""

PATIENCE = 60.0
"""Seconds that SimCord may wait for the bot, which works beside an engine that takes every core."""

OWNERS_SERVER = 1456000000000000000
"""The id of the second server, which has the owner's commands."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """A channel to look at, and who may look at it."""

    channel: simcord.ChannelHandle
    members: list[simcord.MemberActor]

    @property
    def name(self) -> str:
        """The channel, and its server."""
        assert self.channel.guild
        return f"#{self.channel.name} of {self.channel.guild.name}"


@dataclass(kw_only=True)
class Stage:
    """The simulated servers and the bot; the first room is where everything begins."""

    env: simcord.Env
    bot: Fantasia
    rooms: list[Room]
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def music(self) -> simcord.ChannelHandle:
        """The channel where everything begins."""
        return self.rooms[0].channel

    def member(self, name: str) -> simcord.MemberActor:
        """Return a member of the first server."""
        return next(member for member in self.rooms[0].members if member.name == name)


@asynccontextmanager
async def staged(plan: Plan) -> AsyncIterator[Stage]:
    """Run the bot in its servers for as long as the block."""
    async with compose(plan) as bot:
        session = _discord(bot)
        env = session._env
        # Before the bot looks, and by SimCord's own clock, so that the ids are those of the last
        # time: with --data the bot may owe what was asked for here then.
        stage = Stage(env=env, bot=bot, rooms=await _rooms(env, bot))
        env.backend.clock = _RealClock()
        env.backend.subscribers.append(lambda *_: stage.changed.set())
        _overlook_what_was_answered(env)
        async with session:
            yield stage


async def _rooms(env: simcord.Env, bot: Fantasia) -> list[Room]:
    first = env.create_guild("Fantasia")
    music = first.create_text_channel("music", topic="Type /generate")
    members = await _members(env, bot, first)
    ideas = first.create_text_channel("ideas", topic="Another channel of the same server")
    rooms = [Room(channel=channel, members=members) for channel in (music, ideas)]

    second = env.create_guild("Second server", id=OWNERS_SERVER)
    lobby = second.create_text_channel("lobby", topic="Nothing is set here; the owner has /studio")
    owner = env.create_user("owner")
    bot.owner_id = owner.id  # SimCord's application belongs to the bot itself
    everything = second.create_role("Owner", permissions=discord.Permissions(administrator=True))
    own = second.add_member(owner, roles=[everything])
    guest = second.add_member(members[0].user)
    return [*rooms, Room(channel=lobby, members=[own, guest])]


async def _members(
    env: simcord.Env, bot: Fantasia, guild: simcord.GuildHandle
) -> list[simcord.MemberActor]:
    """Return a member of each tier, by the role of its name, and an admin."""
    admin = guild.create_role("Admin", permissions=discord.Permissions(manage_guild=True))
    members = []
    for tier in DEFAULTS:
        role = guild.create_role(f"{tier.name} members")
        if tier is not FREE:
            mapped = Actor(id=role.id, name=role.name)
            await bot.services.tier_admin.map_role(
                guild.id, Actor(id=0, name="Demo"), mapped, tier.name
            )
        name = "visitor" if tier.name == FIRST_TIER else tier.name.lower()
        members.append(guild.add_member(env.create_user(name), roles=[role]))
    members.sort(key=lambda member: member.name != "visitor")
    return [*members, guild.add_member(env.create_user("admin"), roles=[admin])]


def _discord(bot: Fantasia) -> simcord.run:
    session = simcord.run(bot, shard_count=1, check_errors=False, settle_timeout=PATIENCE)
    session._env.backend.bot_user.name = "Fantasia"
    be_patient(session._env, PATIENCE)
    return session


def be_patient(env: simcord.Env, seconds: float) -> None:
    """Let a bot take so long at its start and restart, too, for which SimCord has only 5 s."""
    settle = env._settle_internal

    async def settle_patiently(*, timeout: float | None = None, **more: Any) -> None:  # noqa: ANN401, ASYNC109
        await settle(timeout=None if timeout is None else max(timeout, seconds), **more)

    env._settle_internal = settle_patiently  # type: ignore[method-assign]  # SimCord has no hook


def _overlook_what_was_answered(env: simcord.Env) -> None:
    """Let a refusal be no error of the bot's in the page: `on_error` answers it with its sentence.

    SimCord notes what leaves a command before it asks `on_error`.
    """
    note = env._record_error

    def note_faults(error: BaseException) -> None:
        if not isinstance(getattr(error, "original", error), Refusal | NotAllowed):
            note(error)

    env._record_error = note_faults  # type: ignore[method-assign]  # SimCord has no hook


class _RealClock(Clock):
    """Lets the simulated Discord live today, so that times relative to now are right."""

    def now(self) -> datetime:
        return utc_now()
