"""Steps a second of a released model's size, beside audiocraft's own loop in the same run."""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks.cuda.cards import Shape
from benchmarks.cuda.stage import PROMPT, Stage, launched
from benchmarks.report import Row
from benchmarks.stepping import (
    SECONDS_8,
    SECONDS_30,
    Curve,
    audiocraft,
    curves,
    movable,
    rate,
    seconds,
    stepped,
)
from bot.engine.musicgen import capacity
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.slot import Slot
from tests.support.random_lm import understood

BURST = 10
"""Steps of ours between two waits for the GPU: the engine does not wait after each."""


def small(stage: Stage) -> Iterator[Row]:
    """Compare the small model's steps; speed is asked of one request and of many."""
    speed = Speed(stage, stage.scale.small)
    many = stage.scale.many
    yield Row(
        name="small: one 8-second request",
        ours=rate(speed.ours[1], SECONDS_8),
        theirs=rate(speed.theirs, SECONDS_8),
        unit="steps/s",
        at_least=stage.bar(8),
        note=f"30 seconds: {seconds(speed.ours[1], SECONDS_30):.2f} s",
    )
    yield Row(
        name=f"small: {many} takes of 8 seconds at once, against one by one",
        ours=many * rate(speed.ours[many], SECONDS_8),
        theirs=rate(speed.theirs, SECONDS_8),
        unit="takes' steps/s",
        at_least=stage.bar(60),
    )
    yield from speed.rows()
    yield speed.graphs()


def large(stage: Stage) -> Iterator[Row]:
    """Compare the large model's steps; one take is asked to read at a share of the bandwidth."""
    speed = Speed(stage, stage.scale.large)
    place = stage.scale.places[0]
    yield Row(
        name=f"large: what a step of one take must read at position {place}, against the bandwidth",
        ours=speed.read(1, place) / 1e12,
        theirs=stage.bandwidth / 1e12,
        unit="TB/s",
        at_least=stage.bar(0.4),
    )
    yield from speed.rows()


class Speed:
    """What a step takes, by takes and places, on both sides."""

    def __init__(self, stage: Stage, shape: Shape) -> None:
        self._stage, self._shape = stage, shape
        self._dtype = getattr(torch, stage.half)
        self._model = stage.sized(shape, self._dtype)
        self._decoder = stage.decoder(self._model, slots=self._room())
        self._decoder.prepare()
        counts = [takes for takes in stage.scale.takes if takes <= self._decoder.free]
        found = curves(
            self._audiocraft,
            {str(takes): partial(stepped, *self._slots(self._decoder, takes)) for takes in counts},
            stage.scale.steps,
            places=stage.scale.places,
            burst=BURST if stage.gpu else 1,
            wait=stage.card.wait,
        )
        self.theirs = found.pop("theirs")
        self.ours: dict[int, Curve] = {int(takes): curve for takes, curve in found.items()}

    def _room(self) -> int:
        """Return how many takes the card has room for beside audiocraft's model."""
        most = self._stage.scale.takes[-1]
        if not self._stage.gpu:
            return most
        loaded: Any = SimpleNamespace(lm=self._model, max_duration=30, frame_rate=50)
        return min(most, capacity.slots(loaded, self._stage.half, self._stage.device))

    def _slots(self, decoder: Decoder, takes: int) -> tuple[Decoder, list[Slot]]:
        words = decoder.read(understood(self._model, PROMPT))
        return decoder, movable(decoder, words, takes)

    def _audiocraft(self, place: int, steps: int, after_each: Callable[[], None]) -> None:
        def step() -> None:
            with torch.autocast(self._stage.device.type, enabled=False):  # theirs is not ours
                after_each()

        with self._stage.autocast(self._stage.half):
            audiocraft(self._model, place, steps, step)

    def read(self, takes: int, place: int) -> float:
        """Return the bytes per second that a step must at least have read."""
        return self._shape.read(takes, place) / self.ours[takes][place]

    def rows(self) -> Iterator[Row]:
        """Tell of every number of takes at every place."""
        for takes, curve in self.ours.items():
            for place, spent in curve.items():
                share = self.read(takes, place) / self._stage.bandwidth
                yield Row(
                    name=f"{self._shape.name}: {takes} at once at position {place}",
                    ours=takes / spent,
                    theirs=1 / self.theirs[place],
                    unit="takes' steps/s",
                    note=f"{1000 * spent:.2f} ms, {share:.0%} of the bandwidth",
                )

    def graphs(self) -> Row:
        """Tell what graphs save: the CPU's part of a step."""
        place = self._stage.scale.places[0]
        kernels = launched(self._stage.decoder(self._model))
        times = [
            self._stage.card.timed(partial(stepped, *self._slots(decoder, 1), place))
            for decoder in (self._decoder, kernels)
        ]
        return Row(
            name=f"{self._shape.name}: a step in a graph, against its kernels launched one by one",
            ours=1000 * times[0],
            theirs=1000 * times[1],
            unit="ms",
        )
