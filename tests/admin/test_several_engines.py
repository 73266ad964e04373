"""Several engines as the bot's owner sees them, and one of them taken out for a while."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import discord
import pytest
import simcord

from bot.app import Plan
from bot.client import NotAllowed
from bot.engine.placement import Placement
from bot.errors import Refusal
from bot.parsing import MOST_ENGINES
from bot.values import EngineState, EngineStatus, Speed, Stats, Status
from cogs.ui import studio_embeds
from tests.support.clock import until
from tests.support.limits import problems
from tests.support.rows import put
from tests.support.world import World, world

TWO = (Placement("gpu-0"), Placement("gpu-1"))


@pytest.fixture
def both(plan: Plan) -> Plan:
    """A bot over two scripted children."""
    return replace(plan, placements=TWO)


@asynccontextmanager
async def owned(plan: Plan) -> AsyncIterator[tuple[World, simcord.MemberActor]]:
    """A world whose bot has an owner, once all its engines are ready."""
    async with world(plan) as w:
        root = administrator(w, "root")
        await restarted(w, plan, root)
        yield w, root


def administrator(w: World, name: str) -> simcord.MemberActor:
    everything = discord.Permissions(administrator=True)
    role = w.guild.create_role(name, permissions=everything)
    return w.guild.add_member(w.env.create_user(name), roles=[role])


async def restarted(w: World, plan: Plan, root: simcord.MemberActor) -> None:
    await w.restart(replace(plan, owner_guild_id=w.guild.id))
    w.bot.owner_id = root.id

    async def ready() -> bool:
        found = await w.services.operations.engines()
        states = [engine.state for engine in found]
        return states == [EngineState.READY] * len(plan.placements)

    await until(ready)


async def studio(w: World, root: simcord.MemberActor, command: str, **options: Any) -> str:
    shown = await root.slash(w.music, f"studio {command}", **options)
    assert shown.response
    assert shown.ephemeral
    embeds = "".join(str(embed.to_dict()) for embed in shown.response.embeds)
    return (shown.response.content + embeds).replace("\\", "")


async def test_an_engine_that_is_paused_ends_what_it_renders_and_starts_nothing_else(
    both: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with owned(both) as (w, root):
        await w.generate("pause")
        taken = (await w.ended(1, Status.RUNNING)).engine
        other = "gpu-1" if taken == "gpu-0" else "gpu-0"
        told = await studio(w, root, "engine pause", name=taken)
        assert f"{taken} is paused: it finishes what it renders" in told
        assert (await w.ended(1, Status.DELIVERED)).attempts == 1
        for number in (2, 3):
            await w.generate("play")
            assert (await w.ended(number, Status.DELIVERED)).engine == other
        await restarted(w, both, root)
        await w.generate("play")
        assert (await w.ended(4, Status.DELIVERED)).engine == other
        assert f"{taken} has resumed" in await studio(w, root, "engine resume", name=taken)
        await studio(w, root, "engine pause", name=other)
        await w.generate("play")
        assert (await w.ended(5, Status.DELIVERED)).engine == taken
    changes = [vars(record) for record in caplog.records if "state" in vars(record)]
    began = [each["engine"] for each in changes if each["state"] == "running"]
    assert began == [taken, other, other, other, taken]
    lines = [record.getMessage() for record in caplog.records]
    assert any(f", engine {taken}; spent " in line for line in lines)
    assert f"engine {taken} paused" in lines
    assert f"engine {taken} resumed" in lines


async def test_what_an_engine_that_is_paused_has_next_starts_on_another(both: Plan) -> None:
    async with owned(both) as (w, root):
        await w.generate("slow", 8)
        taken = (await w.ended(1, Status.RUNNING)).engine
        async with w.database.transaction() as tx:
            job = {"prompt": "slow", "model": "scripted", "takes": 1, "attempts": 1}
            alone = await put(tx, "jobs", **job, engine=taken)
            await put(tx, "takes", job_id=alone)
        assert "it finishes what it renders" in await studio(w, root, "engine pause", name=taken)
        assert (await w.ended(alone, Status.RUNNING)).engine != taken


async def test_the_owner_sees_each_engine_and_reads_why_one_cannot_be_paused(both: Plan) -> None:
    async with owned(both) as (w, root):
        assert await studio(w, root, "engine pause", name="gpu-7") == (
            "There is no engine gpu-7. Engines: gpu-0, gpu-1."
        )
        assert "There is no engine *x*" in await studio(w, root, "engine resume", name="*x*")
        assert await studio(w, root, "engine resume", name="gpu-0") == "gpu-0 is not paused."
        await studio(w, root, "engine pause", name="gpu-0")
        assert await studio(w, root, "engine pause", name="gpu-0") == "gpu-0 is paused already."
        told = await studio(w, root, "stats")
        assert "**gpu-0** ready, paused · cpu in float32 · scripted (loaded)" in told
        assert "**gpu-1** ready · cpu in float32 · scripted (loaded)" in told
        assert "gpu-0 0.25, gpu-1 0.25 s of work per second of music" in told

        async def offered(member: simcord.MemberActor, command: str) -> dict[str, str]:
            found = await member.autocomplete(w.music, f"studio engine {command}", "name", "")
            return {choice["value"]: choice["name"] for choice in found}

        for command in ("pause", "resume"):
            assert await offered(root, command) == {"gpu-0": "gpu-0, paused", "gpu-1": "gpu-1"}
        another = administrator(w, "another")
        w.tolerated = (Refusal, NotAllowed)
        assert await offered(another, "pause") == {}
        shown = await another.slash(w.music, "studio engine pause", name="gpu-1")
        assert shown.response
        assert "Only the owner" in shown.response.content


async def test_members_read_that_the_studio_is_paused_once_every_engine_is(both: Plan) -> None:
    async with owned(both) as (w, root):
        await studio(w, root, "engine pause", name="gpu-0")
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        await studio(w, root, "engine pause", name="gpu-1")
        shown = await w.generate("play")
        card = await w.status(shown, "Queued")
        assert "The studio is paused. New requests are queued" in (card.description or "")
        await studio(w, root, "engine resume", name="gpu-1")
        await w.ended(2, Status.DELIVERED)


def test_what_the_owner_sees_fits_with_the_most_engines() -> None:
    wide, models = 100 * "*", tuple(f"{number}{30 * '-'}" for number in range(20))
    speeds = {
        model: Speed(model=model, pace=9999, slots=1, fits=0, too_long=None, too_long_at=None)
        for model in models
    }
    engine = EngineStatus(
        name=wide,
        state=EngineState.LOST,
        trouble=10 * wide,
        device=wide,
        precision="float32",
        models=models,
        unfit=models[1:],
        speeds=speeds,
    )
    stats = Stats(
        engines=tuple(replace(engine, name=f"{wide}{number}") for number in range(MOST_ENGINES)),
        paused=20 * "*",
        draining=False,
        jobs={},
        faults={},
        waited=0,
        owed=0,
        rendered=(0, 0),
        files=0,
        kept_bytes=0,
        free_bytes=0,
    )
    embed = studio_embeds.stats(stats, 0.1).to_dict()
    assert problems("POST", "/messages", {"embeds": [embed]}) == []
