"""Steps of several sides in turn, within one run, and what a request of them takes."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch

from bot.engine.musicgen.attention import TextPast
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.slot import Slot
from tests.support.random_lm import LMModel, wish

Curve = dict[int, float]
"""Seconds of a step at a position."""

SECONDS_8, SECONDS_30 = 403, 1503
"""Steps of requests of so many seconds."""

PLACES = (50, 200, 350, 750, 1450)
WARM = 3
PROMPT = "a slow waltz for piano and strings"


Loop = Callable[[int, int, Callable[[], None]], None]
"""Draws from a position on, at most so many steps, and calls back after each."""


class Enough(Exception):
    """Raised to leave a loop that cannot be left."""


def curves(
    theirs: Loop,
    ours: dict[str, Callable[[int], None]],
    steps: int,
    *,
    places: Sequence[int] = PLACES,
    burst: int = 1,
    wait: Callable[[], None] = lambda: None,
) -> dict[str, Curve]:
    """Return the median of each side's steps at some positions, `theirs` under that name.

    After each of their steps our sides are asked for a `burst` of steps from a position on, and
    what `wait` waits for is part of both.
    """
    found: dict[str, Curve] = {name: {} for name in ("theirs", *ours)}
    for place in places:
        times: dict[str, list[float]] = {name: [] for name in found}
        turn = _Turn(times, ours, place, steps + WARM, burst, wait)
        with suppress(Enough):
            theirs(place, steps + WARM + 5, turn)
        for name, spent in times.items():
            found[name][place] = statistics.median(spent[WARM:])
        rates = {name: round(1 / curve[place], 1) for name, curve in found.items()}
        print("steps/s at position", place, rates, flush=True)
    return found


class _Turn:
    """Lets our sides make their steps after each of theirs, and times all of them."""

    def __init__(
        self,
        times: dict[str, list[float]],
        ours: dict[str, Callable[[int], None]],
        place: int,
        most: int,
        burst: int,
        wait: Callable[[], None],
    ) -> None:
        self._times, self._ours, self._place, self._most = times, ours, place, most
        self._burst, self._wait = burst, wait
        self._began = time.perf_counter()

    def __call__(self) -> None:
        self._wait()
        self._times["theirs"].append(time.perf_counter() - self._began)
        for name, step in self._ours.items():
            first = self._place + len(self._times[name])
            begun = time.perf_counter()
            for place in range(first, first + self._burst):
                step(place)
            self._wait()
            self._times[name].append((time.perf_counter() - begun) / self._burst)
        if len(self._times["theirs"]) == self._most:
            raise Enough
        self._began = time.perf_counter()


def audiocraft(model: LMModel, place: int, steps: int, after_each: Callable[[], None]) -> None:
    """Draw as audiocraft does: a `Loop`."""
    device = model.emb[0].weight.device
    model.generate(
        torch.randint(0, model.card, (1, model.num_codebooks, place), device=device),
        [wish(PROMPT)],
        max_gen_len=place + steps,
        top_k=250,
        callback=lambda *_: after_each(),
    )


def admitted(decoder: Decoder, words: TextPast, frames: int, seed: int) -> Slot:
    """Begin a take from nothing."""
    nothing = torch.zeros(decoder.codebooks, 0, dtype=torch.long, device=decoder.device)
    generator = torch.Generator(decoder.device).manual_seed(seed)
    return decoder.admit(words, nothing, frames, Sampling(), generator)


def movable(decoder: Decoder, words: TextPast, takes: int) -> list[Slot]:
    """Return so many takes with tokens everywhere, so that they can be anywhere."""
    frames = decoder.positions - 1 - max(decoder.delays)
    have = list(decoder.slots)
    have += [admitted(decoder, words, frames, seed) for seed in range(takes - len(have))]
    shape = decoder.codebooks, frames
    for slot in have:
        decoder.lay_out(slot, torch.randint(0, decoder.card, shape, device=decoder.device))
    return have[:takes]


def stepped(decoder: Decoder, slots: list[Slot], place: int) -> None:
    """Make a step of some takes at a position; the others are done."""
    for slot in decoder.slots:
        slot.position = place if slot in slots else slot.last
    decoder.step()


def leave(decoder: Decoder) -> None:
    """Let go of all takes."""
    for slot in list(decoder.slots):
        decoder.release(slot)


def seconds(curve: Curve, steps: int, begin: int = 0) -> float:
    """Integrate the seconds of a step over the positions of a request."""
    at = np.arange(begin, steps)
    return float(np.interp(at, list(curve), list(curve.values())).sum())


def rate(curve: Curve, steps: int) -> float:
    """Return the steps per second of a request of so many steps."""
    return steps / seconds(curve, steps)
