"""Models of several families in one child."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from bot.engine import repertoire, sharing
from bot.engine.contract import Rendering
from bot.engine.hardware import memory
from bot.engine.repertoire import Repertoire
from bot.engine.settings import EngineSettings
from bot.engine.sharing import Need
from bot.errors import OperatorError
from tests.support.engines import Files
from tests.support.scripted_child import ready


class Room:
    """Loads models whose steps take this many seconds of a clock that only they turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: dict[str, float]) -> None:
        self.now, self.steps, self.made = 0.0, steps, Counter[str]()
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(
            repertoire, "FAMILY_ROOMS", dict.fromkeys(repertoire.FAMILY_ROOMS, lambda *_: self)
        )
        monkeypatch.setattr(memory, "free", lambda _: 1e12)

    def trouble(self, name: str) -> str | None:
        return None if name in self.steps else f"{name} is not on disk."

    def need(self, _: str) -> Need:
        return Need(weights=1.0, slot=1.0, fewest=1, most=1)

    def load(self, name: str, _: Sequence[Need]) -> SimpleNamespace:
        def step() -> None:
            self.now += self.steps[name]
            self.made[name] += 1

        def render(*_: object) -> Iterator[None]:
            while True:
                yield None

        return SimpleNamespace(ready=ready, step=step, render=render)


def begun(models: Repertoire, name: str) -> Rendering:
    """Begin a render with a model; it ends when it is closed, or nobody has it any more."""
    render = models.render(replace(Files(Path()).order(1, 7), model=name), lambda: False)
    while next(render) is not None:
        pass
    return render


def test_models_share_the_time_of_the_device_however_long_their_steps_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = Room(monkeypatch, {"quick": 0.02, "slow": 10.0})
    models = Repertoire(["quick", "slow"], EngineSettings(device="cpu"))
    renders = [begun(models, name) for name in ("quick", "slow")]
    while room.made["slow"] < 4:
        models.step()
    spent = [room.made[name] * room.steps[name] for name in room.steps]
    assert spent == pytest.approx([30, 40], abs=10.1)
    assert room.made["quick"] > 1000
    assert len(renders) == 2


def test_some_of_the_models_will_do_where_not_all_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Room(monkeypatch, {"second": 1.0, "third": 1.0})
    wanted, settings = ["first", "second", "third"], EngineSettings(device="cpu")
    with pytest.raises(OperatorError, match="first is not on disk"):
        Repertoire(["second", "first"], settings)
    found = Repertoire(wanted, settings, some=True).ready()
    assert (found.models, found.unfit) == (("second", "third", "first"), ("first",))
    with pytest.raises(OperatorError, match="none is not on disk"):
        Repertoire(["none"], settings, some=True)


def test_who_was_alone_with_the_device_owes_nobody_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(monkeypatch, {"first": 1.0, "second": 1.0})
    models = Repertoire(["first", "second"], EngineSettings(device="cpu"))
    first = begun(models, "first")
    for _ in range(100):
        models.step()
    second = begun(models, "second")
    for _ in range(10):
        models.step()
    assert room.made == {"first": 105, "second": 5}
    first.close()
    for _ in range(100):
        models.step()
    first = begun(models, "first")
    for _ in range(10):
        models.step()
    assert room.made == {"first": 110, "second": 110}
    first.close()
    second.close()


def test_a_model_that_only_waits_for_its_files_does_not_hold_up_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = Room(monkeypatch, {"waiting": 0.0, "slow": 10.0})
    models = Repertoire(["waiting", "slow"], EngineSettings(device="cpu"))
    renders = [begun(models, name) for name in ("waiting", "slow")]
    while room.made["slow"] < 3:
        models.step()
    assert room.made["waiting"] * repertoire.SHORTEST_STEP == pytest.approx(20, abs=0.1)
    assert len(renders) == 2


def test_a_model_that_fits_beside_another_to_the_byte_is_loaded_beside_it() -> None:
    need = Need(weights=6.0, slot=1.0, fewest=2, most=4)
    assert sharing.beside(need, 16.0, [need]) == [need]
    assert sharing.beside(need, 15.9, [need]) == []
