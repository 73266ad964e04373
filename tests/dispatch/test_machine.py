"""What is known of the models that the engine has loaded."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.dispatch.deadlines import Deadlines
from bot.dispatch.machine import Machine
from bot.dispatch.openings import EngineSlots
from bot.engine.messages import Loaded, Ready
from bot.tables import engines, speeds
from bot.tables.opening import open_database
from tests.support.clock import Clock
from tests.support.one_engine import ENGINE
from tests.support.scripted_child import READY


def running(*wanted: tuple[str, int]) -> Any:
    """Jobs of these models and numbers of takes."""
    requests = [SimpleNamespace(model=model, takes=takes) for model, takes in wanted]
    return {
        number: SimpleNamespace(job=SimpleNamespace(request=request))
        for number, request in enumerate(requests)
    }


def loaded(*models: str, slots: int) -> Loaded:
    """What is said as the first of some models is loaded beside the others."""
    return Loaded(
        id=1,
        model=models[0],
        models=models,
        precision="float32",
        slots=slots,
        pace=0.5,
        confirms=READY["confirms"],
    )


async def test_each_model_is_full_by_slots_of_its_own(tmp_path: Path, clock: Clock) -> None:
    async with open_database(tmp_path / "test.db") as database:
        slots = EngineSlots(ENGINE)
        machine = Machine(database, slots, Deadlines(clock.ticks))

        def full(*wanted: tuple[str, int]) -> set[str]:
            slots.running = running(*wanted)
            return slots.full()

        await machine.loaded(Ready(**READY | {"models": ("small", "ace", "large"), "slots": 2}))
        (engine,) = await engines.every(database)
        assert engine.loaded == ("small",)
        assert full(("small", 1)) == set()
        assert full(("small", 1), ("small", 1)) == {"small"}
        assert full(("ace", 1), ("small", 1)) == {"ace"}, "it is not loaded yet"
        slots.work.clear()
        await machine.swapped(loaded("ace", "small", slots=3))
        assert slots.work.is_set(), "two more may begin"
        assert full(("ace", 2), ("small", 1)) == set()
        assert full(("ace", 3), ("small", 2)) == {"ace", "small"}
        known = await speeds.of(database, ENGINE)
        assert {model: speed.slots for model, speed in known.items()} == {"small": 2, "ace": 3}
        await machine.swapped(loaded("large", slots=1))
        assert full(("small", 1)) == {"small"}, "it has to be loaded again"
        (engine,) = await engines.every(database)
        assert engine.loaded == ("large",)


async def test_a_speed_is_of_the_precision_that_its_own_model_has(
    tmp_path: Path, clock: Clock
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        machine = Machine(database, EngineSlots(ENGINE), Deadlines(clock.ticks))
        await machine.loaded(Ready(**READY | {"models": ("small", "ace"), "precision": "int8"}))
        await machine.swapped(loaded("ace", slots=1))
        rows = await database.fetch("SELECT model, precision FROM speeds ORDER BY model")
    assert [tuple(row) for row in rows] == [("ace", "float32"), ("small", "int8")]


async def test_an_engine_that_is_ready_goes_by_what_its_models_were_seen_to_do(
    tmp_path: Path, clock: Clock
) -> None:
    ready = Ready(**READY | {"models": ("small", "ace")})
    async with open_database(tmp_path / "test.db") as database:
        before = Machine(database, EngineSlots(ENGINE), Deadlines(clock.ticks))
        await before.loaded(ready)
        await before.swapped(loaded("ace", slots=1))
        async with database.transaction() as tx:
            await speeds.made(tx, ENGINE, "small", 1.25, 30)
            await speeds.ran_out(tx, ENGINE, "ace", 60, clock())
        slots = EngineSlots(ENGINE)
        slots.declined(())
        machine = Machine(database, slots, Deadlines(clock.ticks))
        await machine.loaded(ready)
        assert slots.begins() == {"small", "ace"}, "whatever it declined before it was lost"
        assert slots.paces == {"small": pytest.approx(0.45), "ace": 0.5}
        assert slots.too_long == {"ace": 60}
        async with database.transaction() as tx:
            await speeds.made(tx, ENGINE, "ace", 1.5, 60)
        await machine.learns("ace")
        assert slots.paces["ace"] == pytest.approx(0.7)
        assert slots.too_long == {}, "one as long was made since"
        await machine.learns("large")
        assert slots.paces.keys() == {"small", "ace"}
