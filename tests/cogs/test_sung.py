"""A song from the form to its music, by a tiny ACE-Step in a child process as in production."""

import sys
import wave
from dataclasses import replace
from pathlib import Path

import mutagen
import pytest

from bot.app import Plan
from bot.values import Status
from tests.support.deliveries import used
from tests.support.shown import answered, values
from tests.support.world import World, world


@pytest.fixture
def plan(plan: Plan, ace: Path) -> Plan:
    """A bot whose only model sings."""
    engine = ("-m", "bot.engine.worker", "--engine", "musicgen", "--model", str(ace))
    command = (sys.executable, *engine, "--device", "cpu", "--precision", "float32")
    return replace(plan, command=command, models=("ace",))


async def frames(w: World, number: int) -> tuple[int, int, int]:
    """Return the rate, the channels and the frames of a piece's file."""
    (row,) = await w.database.fetch("SELECT audio FROM takes WHERE job_id = ?", (number,))
    with wave.open(str(w.path(row["audio"]))) as file:
        return file.getframerate(), file.getnchannels(), file.getnframes()


async def test_lyrics_are_sung_and_go_on_and_too_many_of_them_cost_nothing(plan: Plan) -> None:
    async with world(plan) as w:
        form = await w.alice.slash(w.music, "song", style="indie pop", language="de", duration=2)
        lyrics = "[verse]\nDer Regen singt\n\n[chorus]\nFantasia"
        await w.gone(await w.alice.submit_modal(form, values(form) | {"lyrics": lyrics}))
        song = await w.result()
        assert await frames(w, 1) == (48_000, 2, 2 * 48_000)
        (row,) = await w.database.fetch("SELECT audio FROM takes WHERE job_id = 1")
        assert str(mutagen.File(w.path(row["audio"])).tags.getall("USLT")[0]) == lyrics

        form = await w.alice.click(song, label="Edit")
        shown = await w.alice.submit_modal(form, values(form) | {"lyrics": "la " * 1300})
        told = await w.status(shown, "could not be rendered")
        assert "3,899 tokens" in str(told.description)
        assert (await w.studio.job(2)).status is Status.FAILED
        assert await used(w) == 2

        question = answered(await w.alice.click(song, label="Extend")).message
        form = await w.alice.click(question, label="With other words")
        await w.alice.submit_modal(form, values(form) | {"lyrics": f"{lyrics}\nnoch einmal"})
        await w.result(2)
        assert await frames(w, 3) == (48_000, 2, 7 * 48_000)
        assert await used(w) == 7
