"""A studio with one engine, as its rows say."""

from collections.abc import Collection
from typing import Any

from bot.queue import Opening
from bot.tables import engines, speeds
from bot.tables.database import Reader, Transaction
from bot.values import Speed

ENGINE = "cpu-0"


def opening(*loaded: str, engine: str = ENGINE, **more: Any) -> Opening:
    """Return what an engine that has these models in memory could begin."""
    return Opening(engine=engine, loaded=loaded, **more)


async def runs(
    tx: Transaction,
    *models: str,
    engine: str = ENGINE,
    pace: float | None = None,
    slots: int = 1,
    unfit: Collection[str] = (),
) -> None:
    """Note that an engine is ready, with its first model in memory at this pace."""
    first, *_ = models or ("small",)
    await engines.runs(
        tx, engine, device="cpu", precision="float32", models=models or (first,), unfit=unfit
    )
    await engines.holds(tx, engine, [first])
    if pace is not None:
        setup = speeds.Setup(engine, first, "cpu", "float32")
        await speeds.found(tx, setup, pace, slots)


async def known_speed(reader: Reader, model: str) -> Speed | None:
    """Return what the engine knows of a model."""
    return (await speeds.of(reader, ENGINE)).get(model)
