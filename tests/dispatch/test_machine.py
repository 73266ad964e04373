"""What is known of the models that the engine has loaded."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bot.dispatch.deadlines import Deadlines
from bot.dispatch.machine import Machine
from bot.engine.messages import Loaded, Ready
from bot.tables import speeds
from bot.tables.opening import open_database
from tests.support.clock import Clock
from tests.support.scripted_child import READY


def running(*wanted: tuple[str, int]) -> Iterable[Any]:
    """Jobs of these models and numbers of takes."""
    return [
        SimpleNamespace(request=SimpleNamespace(model=model, takes=takes))
        for model, takes in wanted
    ]


def loaded(*models: str, slots: int) -> Loaded:
    """What is said as the first of some models is loaded beside the others."""
    return Loaded(
        id=1, model=models[0], models=models, slots=slots, pace=0.5, confirms=READY["confirms"]
    )


async def test_each_model_is_full_by_slots_of_its_own(tmp_path: Path, clock: Clock) -> None:
    async with open_database(tmp_path / "test.db") as database:
        machine = Machine(database, Deadlines(clock.ticks))
        await machine.loaded(Ready(**READY | {"models": ("small", "ace", "large"), "slots": 2}))
        assert machine.full(running(("small", 1))) == set()
        assert machine.full(running(("small", 1), ("small", 1))) == {"small"}
        assert machine.full(running(("ace", 1), ("small", 1))) == {"ace"}, "it is not loaded yet"
        await machine.swapped(loaded("ace", "small", slots=3))
        assert machine.full(running(("ace", 2), ("small", 1))) == set()
        assert machine.full(running(("ace", 3), ("small", 2))) == {"ace", "small"}
        known = {speed.model: speed.slots for speed in await speeds.all_here(database)}
        assert known == {"small": 2, "ace": 3}
        await machine.swapped(loaded("large", slots=1))
        assert machine.full(running(("small", 1))) == {"small"}, "it has to be loaded again"
