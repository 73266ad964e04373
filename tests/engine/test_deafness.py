"""Renders that are cancelled: an engine that is deaf to it is lost, one that is at work is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.engine.children import Way, start
from bot.engine.conversation import Conversation
from bot.engine.environment import engine_environment
from bot.engine.messages import InterimReport, Part, Render
from bot.errors import EngineError
from tests.support.scripted_child import SCRIPTED


def order(folder: Path, prompt: str) -> Render:
    part = Part(number=1, seed=1, audio=str(folder / "1.wav"), codes=str(folder / "1.npy"))
    return Render(id=1, prompt=prompt, seconds=2, model="scripted", parts=(part,), options={})


@asynccontextmanager
async def attended() -> AsyncIterator[tuple[Conversation, asyncio.Task[None]]]:
    """Run a scripted engine that may be silent for a second, and what hears of it."""
    async with start(Way(command=SCRIPTED, silence=1), engine_environment()) as engine:
        await engine.ready()
        attending = asyncio.create_task(engine.attend())
        try:
            yield engine, attending
        finally:
            attending.cancel()
            await asyncio.wait({attending})


@pytest.mark.parametrize("prompt", ["deaf", "deaf alive"])
async def test_an_engine_that_goes_on_with_what_was_cancelled_is_lost(
    tmp_path: Path, prompt: str
) -> None:
    """Whatever it says meanwhile, and however often it is told."""
    async with attended() as (engine, attending):
        rendering = asyncio.create_task(_all(engine.render(order(tmp_path, prompt))))
        await asyncio.sleep(1.5)
        assert not attending.done()
        for _ in range(9):
            engine.cancel(1)
            await asyncio.sleep(0.3)
        assert attending.done()
        with pytest.raises(EngineError, match="did not end a render that was cancelled"):
            await attending
        rendering.cancel()


@pytest.mark.parametrize("prompt", ["labour", "swap"])
async def test_an_engine_ends_its_step_or_loads_its_model_before_it_heeds_a_cancel(
    tmp_path: Path, prompt: str
) -> None:
    async with attended() as (engine, attending):
        rendering = asyncio.create_task(_all(engine.render(order(tmp_path, prompt))))
        await asyncio.sleep(0.3)
        engine.cancel(1)
        await rendering
        assert not attending.done()


async def _all(reports: AsyncIterator[InterimReport]) -> list[InterimReport]:
    return [said async for said in reports]
