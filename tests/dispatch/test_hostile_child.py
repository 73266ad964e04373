"""An engine's process that lies: its word is checked, it is replaced, and the bot goes on."""

import asyncio
import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.app import Plan, compose
from bot.dispatch import render_order
from bot.engine.cards import card
from bot.errors import OperatorError
from bot.tables import takes
from bot.values import Job, Status, Wish
from tests.support.clock import Clock, until
from tests.support.deliveries import MESSAGES, looks
from tests.support.scripted_child import CONFIRMS, SCRIPTED
from tests.support.studio import member, origin, viewer
from tests.support.world import World, world


async def asked(w: World, prompt: str, seconds: int = 2, takes: int = 1) -> Job:
    here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
    return await w.studio.submit(here, Wish(prompt=prompt, seconds=seconds, takes=takes))


LIES = {
    "too many steps": "sent garbage",
    "steps below nothing": "sent garbage",
    "a take of nothing": "sent garbage",
    "another model": "announced other for a render with scripted",
    "unasked": "announced that it loaded a model, which was not due",
    "slower than time": "sent garbage",
    "faster than time": "sent garbage",
    "a stranger's model": "announced {'other'}, which it does not have",
    "a beginning": "announced a preview, which was not due",
    "another beginning": "announced a preview, which was not due",
    "no rate": "cannot be read (its header is wrong)",
    "a header": "cannot be read (its header is wrong)",
    "a folder": "cannot be read",
    "a pipe": "cannot be read",
    "a link": "cannot be read",
    "whose fault it is": "no child reports the fault crash",
    "codes": "left codes in a file of another kind",
    "a picture": "left a picture that cannot be read",
}


@pytest.mark.parametrize(("lie", "words"), LIES.items())
async def test_a_lie_costs_the_engine_its_place_and_nothing_else(
    plan: Plan, lie: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        await asked(w, f"lie {lie}", seconds=40 if lie == "another beginning" else 2)
        job = await w.ended(1, Status.DELIVERED)
        assert (job.attempts, job.deaths) == (2, 1)
        assert "restarting the engine cpu-0: " in caplog.text
        assert words in caplog.text
        await asked(w, "play")
        await w.ended(2, Status.DELIVERED)
        assert len(_music(w)) == 2
        shown = await w.generate("play", 2)
        assert not shown.ephemeral


async def test_a_piece_that_makes_the_engine_lie_twice_fails_and_leaves_nothing(plan: Plan) -> None:
    async with world(plan) as w:
        await asked(w, "lies a folder")
        await w.ended(1, Status.FAILED)
        await until(lambda: asyncio.sleep(0, not list((plan.folder / "audio").iterdir())))


async def test_a_take_that_is_shorter_than_what_it_goes_on_from_is_a_lie(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(plan) as w:
        await asked(w, "play", seconds=8)
        await w.ended(1, Status.DELIVERED)
        async with w.database.transaction() as tx:
            await tx.execute("UPDATE jobs SET prompt = 'lie shorter than before' WHERE id = 1")
        here = origin(user=w.alice.id, guild=w.guild.id, channel=w.music.id)
        longer = await w.services.pieces.extension(1, 1, 5, viewer(guild=w.guild.id))
        await w.studio.submit(here, longer)
        assert (await w.ended(2, Status.DELIVERED)).deaths == 1
        assert "announced 1 s of 13 s; the file holds 1 s, and extends 8 s" in caplog.text


@pytest.mark.parametrize(
    "ready",
    [
        {"slots": 0},
        {"slots": -3},
        {"slots": 10**30},
        {"models": []},
        {"models": [""]},
        {"models": ["x" * 30_000]},
        {"pace": 0},
        {"pace": -5.0},
        {"pace": 1e308},
        {"sample_rate": 32_000},
        {"device": "\0"},
    ],
    ids=str,
)
async def test_an_engine_that_lies_about_itself_does_not_start(
    plan: Plan, ready: dict[str, Any]
) -> None:
    command = ("env", f"SCRIPTED_READY={json.dumps(ready)}", *SCRIPTED)
    with pytest.raises(ExceptionGroup) as stopped:
        async with compose(replace(plan, command=command)):
            await asyncio.Event().wait()
    (error,) = stopped.value.exceptions
    assert isinstance(error, OperatorError)
    assert str(error).startswith("The engine cannot start: sent garbage")


async def test_an_engine_whose_model_is_not_as_its_card_says_does_not_start(plan: Plan) -> None:
    other = replace(card("scripted"), sample_rate=32_000, channels=2)
    with pytest.raises(ExceptionGroup) as stopped:
        async with compose(replace(plan, cards=(other,))):
            await asyncio.Event().wait()
    assert str(stopped.value.exceptions[0]) == (
        "The engine cannot start: The model scripted is not what is known of it: sample rate 8000, "
        "not 32000; channels 1, not 2. Its weights may be others than its name says."
    )
    ready = {"confirms": {**CONFIRMS, "options": {"guidance": 7, "temperature": 1, "steps": 8}}}
    command = ("env", f"SCRIPTED_READY={json.dumps(ready)}", *SCRIPTED)
    with pytest.raises(ExceptionGroup) as stopped:
        async with compose(replace(plan, command=command)):
            await asyncio.Event().wait()
    assert "guidance 7, not 3; top_k none, not 250; steps 8, not none." in str(
        stopped.value.exceptions[0]
    )


async def test_a_model_that_turns_out_to_be_another_when_it_is_loaded_costs_only_its_piece(
    plan: Plan,
) -> None:
    async with world(replace(plan, cards=(replace(card("scripted"), sample_rate=8000),))) as w:
        await asked(w, "swap another")
        job = await w.ended(1, Status.FAILED)
        assert str(job.reason).startswith("The model scripted is not what is known of it")
        await until(lambda: asyncio.sleep(0, not list((plan.folder / "audio").glob("1-*"))))
        await asked(w, "play")
        assert (await w.ended(2, Status.DELIVERED)).deaths == 0


async def test_forgetting_as_a_take_is_looked_at_hurts_nobody_elses_piece(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan, command=("env", "SCRIPTED_SLOTS=4", *plan.command))
    real, looked, go = render_order.verify, threading.Event(), threading.Event()

    def verify(folder: Path, job: Job, number: int, announced: float) -> str | None:
        if job.id == 2:
            looked.set()
            go.wait()
        return real(folder, job, number, announced)

    monkeypatch.setattr(render_order, "verify", verify)
    async with world(plan) as w:
        await w.generate("slow", 60, by=w.bob)
        await w.ended(1, Status.RUNNING)
        await asked(w, "play", takes=3)
        await until(lambda: asyncio.sleep(0, looked.is_set()))
        await w.bot.services.archive.forget(w.alice.id)
        go.set()
        await asked(w, "play")
        await w.ended(3, Status.DELIVERED)
        bob = await w.studio.job(1)
        assert (bob.status, bob.attempts, bob.deaths) == (Status.RUNNING, 1, 0)
        assert [take.audio for take in await takes.of(w.database, 2)] == [None] * 3
        assert not list((plan.folder / "audio").glob("2-*"))


@pytest.mark.parametrize("how", ["cancelled", "late"])
async def test_a_take_that_is_announced_as_its_piece_is_cancelled_does_not_count(
    plan: Plan, how: str
) -> None:
    async with world(replace(plan, grace=0.2 if how == "late" else 60.0)) as w:
        await asked(w, "cross", seconds=1)
        await w.ended(1, Status.RUNNING)
        if how == "cancelled":
            await w.studio.cancel(1, member(w.alice.id, w.guild.id))
            await w.ended(1, Status.CANCELLED)
        else:
            assert (await w.ended(1, Status.FAILED)).attempts == 2
        await asked(w, "play", seconds=100)  # which has so many times longer than the first
        await w.ended(2, Status.DELIVERED)
        (take,) = await takes.of(w.database, 1)
        assert (take.audio, take.codes, take.charged_seconds) == (None, None, 0)
        await until(lambda: asyncio.sleep(0, not list((plan.folder / "audio").glob("1-*"))))
        assert len(_music(w)) == 1


async def test_what_was_announced_as_it_was_forgotten_goes_at_the_next_start(
    plan: Plan, tmp_path: Path
) -> None:
    """The bot is killed before the engine lets go of it."""
    async with world(plan) as w:
        await asked(w, "cross wait")
        await w.ended(1, Status.RUNNING)
        await w.bot.services.archive.forget(w.alice.id)
        written = plan.folder / "audio" / "1-1.npy"
        await until(lambda: asyncio.sleep(0, written.exists()))
        shutil.copytree(plan.folder, tmp_path / "copy")
    async with compose(replace(plan, folder=tmp_path / "copy")):
        assert list((tmp_path / "copy" / "audio").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
async def test_nothing_but_a_file_of_its_own_is_posted(
    plan: Plan, clock: Clock, kind: str, tmp_path: Path
) -> None:
    """However the music was replaced after it was looked at."""
    secret = tmp_path / "secret.wav"
    async with world(replace(plan, clock=clock)) as w:
        await asked(w, "play")
        await w.ended(1, Status.DELIVERED)
        w.env.inject_error("POST", MESSAGES, status=503, times=1)
        await asked(w, "draw")
        await w.ended(2, Status.RENDERED)
        for name in ("2-1.wav", "2-picture.png"):
            file = plan.folder / "audio" / name
            file.replace(secret)
            if kind == "link":
                file.symlink_to(secret)
            elif kind == "pipe":
                os.mkfifo(file)
            else:
                file.mkdir()

        async def over() -> bool:
            await looks(w, clock, 1, minutes=6)
            return (await w.studio.job(2)).status is Status.UNDELIVERABLE

        await until(over)
        assert len(_music(w)) == 1
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).used == 2


def _music(w: World) -> list[discord.Message]:
    """Return the messages with whole pieces."""
    return [found for found in w.results() if "half minute" not in (found.embeds[0].title or "")]
