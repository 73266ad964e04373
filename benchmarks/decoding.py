"""The slot decoder against audiocraft's loop and transformers', all of the small model's geometry.

Weights are random. A step is timed at some positions, both sides in turn within one run, and
integrated over the steps of a request; one whole request on both sides checks the integration.
"""

import gc
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.report import Row
from benchmarks.stepping import (
    PROMPT,
    SECONDS_8,
    SECONDS_30,
    Curve,
    admitted,
    audiocraft,
    curves,
    leave,
    movable,
    rate,
    seconds,
    stepped,
)
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen.cpu_attention import HalfStep
from bot.engine.musicgen.cpu_step import Fused
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.precisions import Kernels, native
from bot.engine.musicgen.slot import Slot
from tests.support.forced import divergence, error, teacher_forced
from tests.support.operators import operators, operators_of_audiocraft
from tests.support.random_lm import language_model, understood, wish

STEPS = 40
LENGTHS = (30, 8, 15, 10, 25, 8, 20, 12)
"""Seconds of some requests, in the order they came."""

WIDE = 8
BYTES = {"bf16": 2, "int8": 1}
"""Of a weight."""


class Sides:
    """Our decoders beside audiocraft's model, whose weights they were copied from."""

    def __init__(self) -> None:
        self.model = language_model(dim=1024, layers=24, card=2048, dtype=torch.float32)
        self.weights = sum(
            weight.numel()
            for part in (self.model.transformer, self.model.linears)
            for weight in part.parameters()
        )
        self.bf16 = self._decoder(Precision.BFLOAT16, 1)
        self.int8 = self._decoder(Precision.INT8, WIDE)
        self.torchs_bf16 = self._decoder(Precision.BFLOAT16, 1, Kernels.TORCH)
        self.torchs_int8 = self._decoder(Precision.INT8, WIDE, Kernels.TORCH)

    def _decoder(self, precision: Precision, slots: int, kernels: Kernels | None = None) -> Decoder:
        positions = SECONDS_30 + 1
        decoder = Decoder(
            self.model, slots=slots, positions=positions, precision=precision, kernels=kernels
        )
        for cache in decoder.memory.music:
            cache.fill_(0.01)  # memory that was never written is not read from memory either
        return decoder


def rows(bandwidth: float) -> Iterator[Row]:
    """Measure everything and yield a row for each comparison."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sides = Sides()
    theirs, ours = _against_audiocraft(sides)
    limits = Limits(sides, bandwidth)
    step = partial(rate, steps=SECONDS_8)
    for name in ("bf16", "int8"):
        curve = ours[name]
        yield Row(
            name=f"one 8-second request, {name}",
            ours=step(curve),
            theirs=step(theirs),
            unit="steps/s",
            note=limits.note(name, step(curve), 1, SECONDS_8),
        )
    yield Row(
        name="eight 8-second requests at once, int8, against one by one",
        ours=WIDE * 8 / seconds(ours["eight int8"], SECONDS_8),
        theirs=8 / seconds(theirs, SECONDS_8),
        unit="seconds of music/s",
        note=limits.note("int8", step(ours["eight int8"]), WIDE, SECONDS_8),
    )
    yield Row(
        name="one 30-second request, int8",
        ours=rate(ours["int8"], SECONDS_30),
        theirs=rate(theirs, SECONDS_30),
        unit="steps/s",
        note=limits.note("int8", rate(ours["int8"], SECONDS_30), 1, SECONDS_30),
    )
    yield from _against_torchs_kernels(ours)
    yield _operators()
    yield from _mixed(sides, ours["int8"], theirs)
    yield from _whole(sides, ours["int8"], theirs)
    yield from _faithful(sides)
    yield from _against_transformers(sides)


def _against_audiocraft(sides: Sides) -> tuple[Curve, dict[str, Curve]]:
    ours = {
        "bf16": _slots(sides.bf16, sides, 1),
        "int8": _slots(sides.int8, sides, 1),
        "eight int8": _slots(sides.int8, sides, WIDE),
        "bf16, torch's": _slots(sides.torchs_bf16, sides, 1),
        "int8, torch's": _slots(sides.torchs_int8, sides, 1),
        "eight int8, torch's": _slots(sides.torchs_int8, sides, WIDE),
    }
    steps: dict[str, Callable[[int], None]] = {
        name: partial(stepped, *side) for name, side in ours.items()
    }
    found = curves(partial(audiocraft, sides.model), steps, STEPS)
    for decoder in (sides.bf16, sides.int8, sides.torchs_bf16, sides.torchs_int8):
        leave(decoder)
    return found.pop("theirs"), found


def _slots(decoder: Decoder, sides: Sides, takes: int) -> tuple[Decoder, list[Slot]]:
    words = decoder.read(understood(sides.model, PROMPT))
    return decoder, movable(decoder, words, takes)


def _against_torchs_kernels(ours: dict[str, Curve]) -> Iterator[Row]:
    """Compare with `KERNELS=torch`, which a processor without the instructions has as well."""
    for name, least in (("bf16", 1.0), ("int8", 1.0), ("eight int8", 1.3)):
        yield Row(
            name=f"{name}, steps of an 8-second request, against torch's kernels",
            ours=rate(ours[name], SECONDS_8),
            theirs=rate(ours[f"{name}, torch's"], SECONDS_8),
            unit="steps/s",
            at_least=least if native() else None,
        )
    yield Row(
        name="one take in int8 at place 50, against torch's kernels",
        ours=1 / ours["int8"][50],
        theirs=1 / ours["int8, torch's"][50],
        unit="steps/s",
        at_least=1.0 if native() else None,
    )


def _operators() -> Row:
    model = language_model(layers=24, dtype=torch.float32)
    single = Decoder(model, slots=1, positions=40, precision=Precision.BFLOAT16)
    admitted(single, single.read(understood(model, PROMPT)), 30, 0)
    return Row(
        name="operators of a step",
        ours=operators(single).total(),
        theirs=operators_of_audiocraft(model, PROMPT).total(),
        unit="dispatched",
        at_most=0.5,
    )


def _mixed(sides: Sides, ours: Curve, theirs: Curve) -> Iterator[Row]:
    """Compare the mean time to the result of some requests that were asked for at once."""
    decoder = sides.int8
    words = decoder.read(understood(sides.model, PROMPT))
    left = {
        admitted(decoder, words, 50 * length, seed): None for seed, length in enumerate(LENGTHS)
    }
    begun, ends = time.perf_counter(), []
    while left:
        decoder.step()
        for slot in [slot for slot in left if slot.done]:
            ends.append(time.perf_counter() - begun)
            decoder.release(slot)
            del left[slot]
    together = statistics.mean(ends)
    lengths = "8 requests of 8 to 30 s at once, int8, mean time to the result"
    # Against our own it depends on the machine: eight at once read a past of each, one alone hardly
    # more than the weights.
    for name, curve, most in (("our own decoder", ours, 0.75), ("audiocraft", theirs, 0.5)):
        alone = np.cumsum([seconds(curve, 50 * length + 3) for length in LENGTHS])
        yield Row(
            name=f"{lengths}, against {name} one by one",
            ours=together,
            theirs=float(alone.mean()),
            unit="s",
            at_most=most,
        )


def _whole(sides: Sides, ours: Curve, theirs: Curve) -> Iterator[Row]:
    """Compare a whole request with what integrating says, and the two sides with each other."""
    words = sides.int8.read(understood(sides.model, PROMPT))
    slot = admitted(sides.int8, words, 400, 7)
    own = _timed(lambda: [sides.int8.step() for _ in range(SECONDS_8)])
    sides.int8.release(slot)
    other = _timed(lambda: sides.model.generate(None, [wish(PROMPT)], max_gen_len=400, top_k=250))
    yield Row(
        name="one whole 8-second request, int8",
        ours=SECONDS_8 / own,
        theirs=SECONDS_8 / other,
        unit="steps/s",
        note=f"real time is 50; integrated: {rate(ours, SECONDS_8):.1f} and "
        f"{rate(theirs, SECONDS_8):.2f}",
    )


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _faithful(sides: Sides) -> Iterator[Row]:
    """Tell how far bf16 and int8 stray from float32 on the same weights."""
    exact = Decoder(sides.model, slots=1, positions=64, precision=Precision.FLOAT32)
    said = understood(sides.model, PROMPT)
    found: dict[str, list[tuple[float, float, float]]] = {"bf16": [], "int8": []}
    for seed in (1, 2, 3):
        slot = admitted(exact, exact.read(said), 40, seed)
        while not slot.done:
            exact.step()
        codes = exact.codes(slot)
        exact.release(slot)
        truth = teacher_forced(exact, exact.read(said), codes).double()
        for name, decoder in (("bf16", sides.bf16), ("int8", sides.int8)):
            scores = teacher_forced(decoder, decoder.read(said), codes)
            nats = divergence(truth, scores)
            found[name].append((error(truth, scores), float(nats.mean()), float(nats.max())))
    for name, most in (("bf16", 0.05), ("int8", 0.2)):
        worst = max(each[0] for each in found[name])
        mean = statistics.mean(each[1] for each in found[name])
        yield Row(
            name=f"{name} against float32: largest error of a score",
            ours=worst,
            theirs=1.0,
            unit="standard deviations",
            at_most=most,
            note=f"divergence of a step {mean:.1e} nats, at most "
            f"{max(each[2] for each in found[name]):.1e}",
        )


def _against_transformers(sides: Sides) -> Iterator[Row]:
    from benchmarks.transformers_side import generate

    side = _slots(sides.int8, sides, 1)
    gc.collect()
    found = curves(generate, {"int8": partial(stepped, *side)}, STEPS)
    leave(sides.int8)
    for length, steps in ((8, SECONDS_8), (30, SECONDS_30)):
        yield Row(
            name=f"one {length}-second request, int8, against transformers",
            ours=rate(found["int8"], steps),
            theirs=rate(found["theirs"], steps),
            unit="steps/s",
        )


class Limits:
    """What a step has to read, against how fast this machine reads."""

    def __init__(self, sides: Sides, bandwidth: float) -> None:
        self._sides, self._bandwidth = sides, bandwidth
        self._shares = {
            (name, takes): self._share(decoder, takes)
            for name, decoder, takes in (
                ("bf16", sides.bf16, 1),
                ("int8", sides.int8, 1),
                ("int8", sides.int8, WIDE),
            )
        }

    def note(self, precision: str, rate: float, takes: int, steps: int) -> str:
        """Return how much of the machine's limit a rate is, and what holds the rest."""
        cache = takes * 4 * 1024 * 24 * (steps / 2) * 2
        read = self._sides.weights * BYTES[precision] + cache
        share = rate * read / self._bandwidth
        return f"{share:.0%} of the memory's bandwidth; time in {self._shares[precision, takes]}"

    def _share(self, decoder: Decoder, takes: int) -> str:
        """Return where the time of a step goes."""
        side = _slots(decoder, self._sides, takes)
        named: dict[str, Any] = {
            name: _named(getattr(HalfStep, name)) for name in ("music", "words")
        }
        layers = patch.object(Fused, "__call__", _named(Fused.__call__, "fused"))
        with patch.multiple(HalfStep, **named), layers, torch.profiler.profile() as profile:
            for place in range(200, 210):
                stepped(*side, place)
        leave(decoder)
        spent = {"fused layers": 0.0, "products": 0.0, "attention": 0.0, "all else": 0.0}
        for event in profile.key_averages():
            spent[_kind(event.key)] += event.self_cpu_time_total
        total = sum(spent.values())
        return ", ".join(f"{name} {time / total:.0%}" for name, time in spent.items())


def _named(kernel: Callable[..., Any], name: str = "attention") -> Callable[..., Any]:
    """Let the profiler see a kernel that is not torch's."""

    def call(*arguments: Any) -> Any:  # noqa: ANN401
        with torch.profiler.record_function(name):
            return kernel(*arguments)

    return call


def _kind(operator: str) -> str:
    if operator == "fused":
        return "fused layers"
    if any(word in operator for word in ("mm", "linear", "onednn")):
        return "products"
    return "attention" if "attention" in operator else "all else"


warnings.filterwarnings("ignore", module="transformers")
