"""Signs of life while a step lasts."""

import io
import queue
import time

import pytest

from bot.engine import messages, pulse, worker
from bot.engine.messages import Alive
from bot.engine.pulse import PULSE_LEEWAY
from bot.engine.sketch.engine import Sketch


class LastStep(Exception):
    """The end of a worker, which has none."""


class Labouring(Sketch):
    """An engine whose one step takes half a second, and should take as long as it says."""

    def __init__(self, expects: float) -> None:
        super().__init__()
        self._expects = expects

    def expected(self) -> float:
        return self._expects

    def step(self) -> None:
        time.sleep(0.5)
        raise LastStep


@pytest.mark.parametrize(
    ("expects", "least", "most"), [(60.0, 2, 25), (0.05, 1, 5), (0.005, 0, 0), (0.0, 0, 0)]
)
def test_a_long_step_shows_signs_of_life_for_as_long_as_it_should_last(
    monkeypatch: pytest.MonkeyPatch, expects: float, least: int, most: int
) -> None:
    monkeypatch.setattr(pulse, "PULSE_INTERVAL", 0.02)
    out, inbox = io.BytesIO(), queue.Queue[messages.Command]()
    inbox.put(messages.Cancel(id=1))
    with pytest.raises(LastStep):
        worker.Worker(Labouring(expects), inbox, out).run()
    reports = [messages.report(line) for line in out.getvalue().splitlines()][1:]
    assert least <= len(reports) <= most
    left = [said.left for said in reports if isinstance(said, Alive)]
    assert len(left) == len(reports)
    assert left == sorted(left, reverse=True)
    assert all(0 < each < PULSE_LEEWAY * expects for each in left)
