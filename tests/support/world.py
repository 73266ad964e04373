"""A simulated Discord with the real bot in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import simcord
from aiohttp import ClientSession
from discord.http import Route
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

from bot.app import Plan, compose
from bot.cli.demo.stage import be_patient
from bot.client import Fantasia, Services
from bot.errors import Refusal
from bot.studio import Studio
from bot.tables.database import Database
from bot.values import Job, Status, Wish
from tests.support import inside
from tests.support.clock import until
from tests.support.limits import problems
from tests.support.studio import origin

OPEN = (Status.QUEUED, Status.RUNNING, Status.RENDERED)
"""States of a job that has not ended."""


PATIENCE = 60.0
"""Seconds that an answer may take: what gives way to all else does so on a busy machine."""


class LateAdapter(AsyncWebhookAdapter):
    """Lets the composition's tasks, made before SimCord runs, use its webhooks as well."""

    def __init__(self) -> None:
        self.adapter: Any = None

    async def request(self, route: Route, session: ClientSession, **options: Any) -> Any:
        return await self.adapter.request(route, session, **options)


@dataclass(kw_only=True)
class World:
    """A simulated Discord with a server, its #music and three members, and our bot in it."""

    env: simcord.Env
    stack: AsyncExitStack
    folder: Path
    guild: simcord.GuildHandle
    music: simcord.ChannelHandle
    alice: simcord.MemberActor
    bob: simcord.MemberActor
    admin: simcord.MemberActor
    tolerated: tuple[type[Exception], ...] = (Refusal,)

    @property
    def bot(self) -> Fantasia:
        assert isinstance(self.env.bot, Fantasia)
        return self.env.bot

    @property
    def services(self) -> Services:
        return self.bot.services

    @property
    def studio(self) -> Studio:
        return self.services.studio

    @property
    def database(self) -> Database:
        return inside.database(self.studio)

    def path(self, name: str) -> Path:
        """Return where a file of the data folder lies."""
        return self.folder / name

    def messages(self) -> list[discord.Message]:
        return self.music.history()

    def results(self) -> list[discord.Message]:
        return [message for message in self.messages() if message.attachments]

    async def generate(
        self, prompt: str, duration: int = 2, by: simcord.MemberActor | None = None
    ) -> simcord.InteractionResult:
        member = by or self.alice
        return await member.slash(self.music, "generate", prompt=prompt, duration=duration)

    async def status(self, shown: simcord.InteractionResult, title: str) -> discord.Embed:
        """Wait until the status message of a /generate has a title that contains this."""

        async def look() -> discord.Embed | None:
            # Of what was chosen under a question it is a message of its own.
            message = next(iter(shown.followups), shown.response)
            assert message
            (embed,) = message.embeds
            return embed if title in (embed.title or "") else None

        return await until(look)

    async def gone(self, shown: simcord.InteractionResult) -> None:
        """Wait until the status message of a /generate has been removed: its music stands."""
        assert shown._interaction.message_id

        async def look() -> bool:
            return shown.response is None or bool(
                shown._interaction.followup_ids and not shown.followups
            )

        await until(look)

    async def result(self, number: int = 1) -> discord.Message:
        """Wait until so many messages of the channel have attachments, and return the last.

        The bot has it on record by then: no member is quick enough to press a button before that.
        """

        async def look() -> discord.Message | None:
            found = self.results()
            unrecorded = "SELECT 1 FROM jobs WHERE status = 'rendered'"
            if len(found) < number or await self.database.fetch(unrecorded):
                return None
            return found[number - 1]

        return await until(look)

    async def admin_deletes(self, message: discord.Message) -> None:
        """Delete a message as its channel's moderators can."""
        await self.env.bot.http.delete_message(message.channel.id, message.id)

    async def change_role(
        self, member: simcord.MemberActor, role: simcord.RoleHandle, *, has: bool
    ) -> None:
        http = self.bot.http
        change = http.add_role if has else http.remove_role
        await change(self.guild.id, member.id, role.id)

    def direct_messages(self, member: simcord.MemberActor) -> list[discord.Message]:
        return member.user.dm_channel.history()

    async def ended(self, number: int, status: Status) -> Job:
        """Wait until a job has this status; fail if it ends in another one."""

        async def look() -> Job | None:
            job = await self.studio.job(number)
            assert job.status in (status, *OPEN), (job.status, job.reason)
            return job if job.status is status else None

        return await until(look)

    def refused(self) -> list[str]:
        """What Discord would refuse of all that the bot ever sent, by its documented limits."""
        return [
            f"{request.method} {request.path}: {problem}"
            for request in self.env.backend.http_requests
            for problem in problems(request.method, request.path, request.json)
        ]

    async def look(self) -> None:
        """Let the bot look, and wait until it has done what it saw."""
        self.bot.dispatch("look")
        await asyncio.sleep(0)  # it has begun
        while looks := inside.looks(self.bot):
            await asyncio.wait(looks)

    async def restart(self, plan: Plan) -> None:
        """Stop everything, and start another bot on the same data in the same Discord."""
        await self.stack.aclose()
        await self.env.restart_bot(await self.stack.enter_async_context(compose(plan)))


@asynccontextmanager
async def world(plan: Plan) -> AsyncIterator[World]:
    late = LateAdapter()
    async_context.set(late)
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(compose(plan))
        session = simcord.run(bot, shard_count=1, settle_timeout=PATIENCE)
        be_patient(session._env, PATIENCE)
        async with session as env:
            late.adapter = env._webhook_adapter
            guild = env.create_guild("Conservatory")
            manage = discord.Permissions(manage_guild=True)
            managers = guild.create_role("Managers", permissions=manage)
            w = World(
                env=env,
                stack=stack,
                folder=plan.folder,
                guild=guild,
                music=guild.create_text_channel("music"),
                alice=guild.add_member(env.create_user("alice")),
                bob=guild.add_member(env.create_user("bob")),
                admin=guild.add_member(env.create_user("admin"), roles=[managers]),
            )
            yield w
            await stack.aclose()
            causes = [error.__cause__ or error for error in env.errors]
            assert [cause for cause in causes if not isinstance(cause, w.tolerated)] == []
            assert w.refused() == []


async def asked(w: World, prompt: str, *, seconds: int = 2, takes: int = 1) -> Job:
    """Submit what alice asks for, past Discord."""
    here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
    return await w.studio.submit(here, Wish(prompt=prompt, seconds=seconds, takes=takes))
