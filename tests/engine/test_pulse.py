"""Signs of life while a step lasts."""

import io
import queue
import threading
import time
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from bot.engine import messages, pulse, worker
from bot.engine.messages import Alive
from bot.engine.pulse import PULSE_LEEWAY
from bot.engine.sketch.engine import Sketch


class LastStep(Exception):
    """The end of a worker, which has none."""


ENOUGH = 9
"""Signs of life after which a step ends, however long it may last."""


class Labouring(Sketch):
    """An engine whose one step lasts while it shows signs of life, and expects what it is told."""

    def __init__(self, expects: float, out: io.BytesIO) -> None:
        super().__init__()
        self._expects, self._out = expects, out

    def expected(self) -> float:
        return self._expects

    def step(self) -> None:
        while pulses() and self._out.getvalue().count(b"\n") <= ENOUGH:
            time.sleep(0.005)
        raise LastStep


INTERVAL = 0.02


@pytest.mark.parametrize(
    ("expects", "least", "most"), [(60.0, ENOUGH, 99), (0.05, 4, 4), (0.005, 0, 0), (0.0, 0, 0)]
)
def test_a_long_step_shows_signs_of_life_for_as_long_as_it_should_last(
    monkeypatch: pytest.MonkeyPatch, expects: float, least: int, most: int
) -> None:
    monkeypatch.setattr(pulse, "PULSE_INTERVAL", INTERVAL)
    # By its own clock no sign comes late, however busy the machine is.
    clock = SimpleNamespace(monotonic=partial(next, count(0.001, INTERVAL)))
    monkeypatch.setattr(pulse, "time", clock)
    out, inbox, begun = io.BytesIO(), queue.Queue[messages.Command](), time.monotonic()
    inbox.put(messages.Cancel(id=1))
    with pytest.raises(LastStep):
        worker.Worker(Labouring(expects, out), inbox, out).run()
    reports = [messages.report(line) for line in out.getvalue().splitlines()][1:]
    assert least <= len(reports) <= most
    assert len(reports) <= (time.monotonic() - begun) / INTERVAL
    left = [said.left for said in reports if isinstance(said, Alive)]
    assert len(left) == len(reports)
    assert left == sorted(left, reverse=True)
    assert all(0 < each < PULSE_LEEWAY * expects for each in left)


def pulses() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pulse"]


@pytest.mark.parametrize(("expects", "threads"), [(0.0, 0), (9.9, 0), (10.0, 1), (12.0, 1)])
def test_only_a_step_that_may_last_as_long_as_a_silence_costs_a_thread(
    expects: float, threads: int
) -> None:
    with pulse.pulse(lambda _: None, expects):
        assert len(pulses()) == threads


def test_a_step_may_last_longer_than_it_should_and_its_last_sign_of_life_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "PULSE_INTERVAL", 0.02)
    begun, ended = queue.Queue[float](), list[float]()

    def beat(left: float) -> None:
        begun.put(left)
        time.sleep(0.1)
        ended.append(left)

    with pulse.pulse(beat, 60.0):
        assert 60 < begun.get() < 120
    assert len(ended) == 1 + begun.qsize()
    assert pulses() == []
