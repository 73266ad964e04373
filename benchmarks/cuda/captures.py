"""What capturing costs: the steps that do it, and the memory that all graphs take together."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from unittest.mock import patch

import torch

from benchmarks.cuda.stage import PROMPT, Stage, finish, launched
from benchmarks.cuda.tally import Tally
from benchmarks.report import Row
from benchmarks.stepping import movable, stepped
from bot.engine.hardware import memory
from bot.engine.musicgen import cuda_graphs
from bot.engine.musicgen.decoder import Decoder
from tests.support.random_lm import LMModel, understood


def rows(stage: Stage) -> Iterator[Row]:
    """Capture all, go everywhere; then let captures fail, and another's graphs go."""
    model = stage.sized(stage.scale.small, torch.float32)
    decoder = stage.decoder(model, slots=stage.scale.takes[-1])
    before, begun = stage.free(), time.perf_counter()
    decoder.prepare()
    stage.card.wait()
    spent, taken = time.perf_counter() - begun, before - stage.free()
    movable(decoder, decoder.read(understood(model, PROMPT)), decoder.free)
    first, again = (_everywhere(stage, decoder) for _ in range(2))
    yield Row(
        name="the slowest step after all sizes were captured, against the slowest later",
        ours=1000 * max(first),
        theirs=1000 * max(again),
        unit="ms",
        note=f"capturing took {spent:.2f} s",
    )
    if stage.gpu:
        yield Row(
            name="memory that all captures take, against what is left free for it and more",
            ours=taken / 1e6,
            theirs=memory.RESERVED_BYTES / 1e6,
            unit="MB",
            at_most=1,
        )
        yield _after_faults(stage, model)


def _everywhere(stage: Stage, decoder: Decoder) -> list[float]:
    """Return the seconds of a step of any number of takes at any place."""
    times = []
    for takes in stage.scale.takes:
        for place in stage.scale.places:
            begun = time.perf_counter()
            stepped(decoder, decoder.slots[:takes], place)
            stage.card.wait()
            times.append(time.perf_counter() - begun)
    return times


def _after_faults(stage: Stage, model: LMModel) -> Row:
    """Captures that fail, and graphs of a model that is let go, leave the music right."""
    tally = Tally("tokens that are right after captures that failed and graphs that went", "tokens")
    frames = stage.scale.frames

    def drawn(decoder: Decoder) -> torch.Tensor:
        return finish(decoder, stage.begin(decoder, model, frames=frames))

    expected = drawn(launched(stage.decoder(model)))
    stream = torch.cuda.current_stream()
    for name, fault in FAULTS.items():
        decoder = stage.decoder(model)
        lost = stage.begin(decoder, model, frames=frames)
        with _failing(fault), suppress(RuntimeError):
            decoder.step()
        decoder.release(lost)
        found = drawn(decoder)
        tally.add(f"after {name}", int((found == expected).sum()), found.numel())
        tally.add(f"torch's stream after {name}", torch.cuda.current_stream() == stream)
        tally.add(f"memory that was used aside, after {name}", stage.card.returns())
    gone, stays = stage.decoder(model), stage.decoder(model)
    for decoder in (gone, stays):
        drawn(decoder)
    del gone, decoder  # and what else is captured in its stream and pool
    stage.card.clear()
    found = drawn(stays)
    tally.add("after another's graphs went", int((found == expected).sum()), found.numel())
    return tally.row()


def _lack(_: cuda_graphs.Step) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory, as injected.")


def _wait(step: cuda_graphs.Step) -> None:
    step.noise.sum().item()


FAULTS = {"one that waits": _wait, "one without memory": _lack}
"""What a capture may fail of."""


def _failing(fault: Callable[[cuda_graphs.Step], None]) -> AbstractContextManager[object]:
    """Let captures fail."""
    compute = cuda_graphs.Step.compute

    def computed(step: cuda_graphs.Step) -> None:
        if torch.cuda.is_current_stream_capturing():
            fault(step)
        compute(step)

    return patch.object(cuda_graphs.Step, "compute", computed)
