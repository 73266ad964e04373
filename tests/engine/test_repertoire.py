"""Models of several families in one child."""

import os
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from bot.engine import repertoire, sharing
from bot.engine.contract import Idle, Rendering
from bot.engine.hardware import devices, memory
from bot.engine.messages import Loaded, Loading
from bot.engine.repertoire import Repertoire
from bot.engine.settings import EngineSettings
from bot.engine.sharing import Need
from bot.errors import JobError, OperatorError
from tests.support.engines import Files
from tests.support.scripted_child import ready


class Room:
    """Loads models whose steps take this many seconds of a clock that only they turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: dict[str, float]) -> None:
        self.now, self.steps, self.made = 0.0, steps, Counter[str]()
        self.beside: dict[str, int] = {}
        self.crowded: Callable[[str], bool] = lambda _: False
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(
            repertoire, "FAMILY_ROOMS", dict.fromkeys(repertoire.FAMILY_ROOMS, lambda *_: self)
        )
        monkeypatch.setattr(memory, "free", lambda _: 1e12)

    def trouble(self, name: str) -> str | None:
        return None if name in self.steps else f"{name} is not on disk."

    def need(self, _: str) -> Need:
        return Need(weights=1.0, slot=1.0, fewest=1, most=1)

    def load(self, name: str, others: Sequence[Need]) -> SimpleNamespace:
        if self.crowded(name):
            raise OperatorError(f"{name} is too large.")
        self.beside[name] = len(others)

        def step() -> None:
            self.now += self.steps[name]
            self.made[name] += 1

        def render(*_: object) -> Iterator[None]:
            while True:
                yield None

        return SimpleNamespace(
            ready=ready, step=step, render=render, expected=lambda: self.steps[name]
        )


def asked(models: Repertoire, name: str) -> Rendering:
    """Ask for a render with a model."""
    return models.render(replace(Files(Path()).order(1, 7), model=name), lambda: False)


def begun(models: Repertoire, name: str) -> Rendering:
    """Begin a render with a model; it ends when it is closed, or nobody has it any more."""
    render = asked(models, name)
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
    wanted, settings = ["me/first", "second", "third"], EngineSettings(device="cpu")
    with pytest.raises(OperatorError, match="first is not on disk"):
        Repertoire(["second", "first"], settings)
    found = Repertoire(wanted, settings, some=True).ready()
    assert (found.models, found.unfit) == (("second", "third", "first"), ("first",))
    with pytest.raises(OperatorError, match="none is not on disk"):
        Repertoire(["none"], settings, some=True)


def test_no_model_is_looked_for_before_the_hub_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its library reads once whether it may ask the hub, which the bot would wait for."""
    room, seen = Room(monkeypatch, dict.fromkeys("ab", 1.0)), list[str | None]()
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(room, "trouble", lambda _: seen.append(os.environ.get("HF_HUB_OFFLINE")))
    Repertoire("ab", CPU)
    assert seen == ["1"]


def test_who_was_alone_with_the_device_owes_nobody_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(monkeypatch, {"first": 1.0, "second": 1.0})
    waits: list[object] = []
    monkeypatch.setattr(devices, "wait", waits.append)
    models = Repertoire(["first", "second"], EngineSettings(device="cpu"))
    first = begun(models, "first")
    for _ in range(100):
        models.step()
    assert waits == [], "which would let the device idle"
    second = begun(models, "second")
    for _ in range(10):
        models.step()
    assert room.made == {"first": 105, "second": 5}
    assert len(waits) == 10, "or a step's work would count as the other's"
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


CPU = EngineSettings(device="cpu")


def test_the_model_that_was_used_least_recently_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    Room(monkeypatch, dict.fromkeys("abc", 1.0))
    models = Repertoire("abc", CPU, most=2)
    for name in "aba":
        begun(models, name).close()
    assert [*models.loaded] == ["b", "a"]
    begun(models, "c").close()
    assert [*models.loaded] == ["a", "c"]


def test_what_makes_room_is_gone_before_another_is_loaded_and_what_is_loaded_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Weights:
        def __init__(self) -> None:
            self.owner = self  # as the parts of a model know each other

    Room(monkeypatch, dict.fromkeys("ab", 1.0))
    models = Repertoire("ab", CPU, most=1)
    weights = Weights()
    models.loaded["a"].weights = weights  # type: ignore[attr-defined]
    gone, left = weakref.ref(weights), list[object]()
    del weights
    monkeypatch.setattr(memory, "give_back", lambda: left.append(gone()))
    begun(models, "b").close()
    assert left == [None]
    assert next(asked(models, "b")) is None, "as it need not be loaded"


def test_an_order_that_waits_for_room_is_not_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    Room(monkeypatch, dict.fromkeys("ab", 1.0))
    models = Repertoire("ab", CPU, most=1)
    first = begun(models, "a")
    waiting, later = asked(models, "b"), asked(models, "a")
    assert (next(waiting), next(later)) == (Idle(), Idle())
    first.close()
    assert next(later) == Idle(), "though its model is the one that is loaded"
    assert isinstance(next(waiting), Loading)
    said = next(waiting)
    assert isinstance(said, Loaded)
    assert (said.model, said.models, [*models.loaded]) == ("b", ("b",), ["b"])
    assert next(waiting) is None
    assert next(later) == Idle()
    waiting.close()
    assert isinstance(next(later), Loading)


def test_what_cannot_be_loaded_beside_others_is_loaded_alone_or_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = Room(monkeypatch, dict.fromkeys("ab", 1.0))
    models = Repertoire("ab", CPU)
    room.crowded = lambda _: bool(models.loaded)
    used = begun(models, "b")
    assert [*models.loaded] == ["b"]
    with pytest.raises(JobError, match="The model a could not be loaded: a is too large"):
        begun(models, "a")
    assert [*models.loaded] == ["b"], "which is in use"
    used.close()
    with pytest.raises(JobError, match="The model c is not available here"):
        begun(models, "c")


@pytest.mark.parametrize(("most", "beside"), [(None, 2), (2, 1), (1, 0)])
def test_a_model_leaves_room_for_as_many_as_are_loaded_beside_it(
    monkeypatch: pytest.MonkeyPatch, most: int | None, beside: int
) -> None:
    room = Room(monkeypatch, dict.fromkeys("abc", 1.0))
    models = Repertoire("abc", CPU, most=most)
    begun(models, "b")
    assert room.beside == {"a": beside, "b": max(0, beside - 1)}
    assert (models.slots("b"), models.slots("c")) == (ready().slots, 1)


def test_a_model_that_the_whole_memory_cannot_hold_is_unfit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Room(monkeypatch, dict.fromkeys("ab", 1.0))
    models = Repertoire("ab", CPU)
    for total, unfit in ((1.0, ()), (0.5, ("b",))):
        monkeypatch.setattr(memory, "total", lambda _, total=total: memory.RESERVED_BYTES + total)
        assert models.ready().unfit == unfit


def test_a_step_is_expected_to_last_as_long_as_that_of_whose_turn_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Room(monkeypatch, {"quick": 1.0, "slow": 3.0})
    models = Repertoire(["quick", "slow"], CPU)
    assert models.expected() == 0
    models.step()  # which nobody needs
    renders = [begun(models, name) for name in ("quick", "slow")]
    expected = []
    for _ in range(5):
        expected.append(models.expected())
        models.step()
    assert expected == [1, 3, 1, 1, 1]
    assert len(renders) == 2
