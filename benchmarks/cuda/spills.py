"""Too little memory, in a prefill, a capture, a step and a chunk of sound: the engine goes on."""

from collections.abc import Callable, Iterator
from unittest.mock import patch

import numpy as np
import torch
from msgspec.structs import replace

from benchmarks.cuda.card import Gpu
from benchmarks.cuda.stage import CARD, Stage, rendered
from benchmarks.cuda.tally import Tally
from benchmarks.report import Row
from bot.engine.messages import Render
from bot.engine.musicgen import cuda_graphs
from bot.engine.musicgen.codec import Sound
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.model import MusicGen
from bot.values import Fault

SLOTS = 3
PLACES: dict[str, tuple[type, str]] = {
    "prefill": (Decoder, "_prefill"),
    "step": (Decoder, "_advance"),
    "chunk of sound": (Sound, "_hear"),
}
CAPTURE = {"capture": (cuda_graphs.Side, "captured")}
ROOMS = {"no byte": 0.0, "8 MiB": 2.0**23, "40 MiB": 40 * 2.0**20}


def rows(stage: Stage) -> Iterator[Row]:
    """Lack memory by injection, then, on a GPU, in earnest."""
    engine = stage.prepared(stage.scale.small)(SLOTS)
    for place, (room, method) in (PLACES | (CAPTURE if stage.gpu else {})).items():
        yield _injected(stage, engine, place, room, method)
    if stage.gpu:
        yield _in_earnest(stage, engine, stage.gpu)


def _order(stage: Stage, number: int, takes: int = 2) -> Render:
    """Return an order that begins with a prompt, so that there is a prefill."""
    prefix = stage.folder / "prefix.npy"
    codes = np.random.default_rng(0).integers(0, CARD, (4, stage.scale.places[0]))
    np.save(prefix, codes.astype(np.int16))
    order = stage.order(number, stage.scale.seconds[0], range(takes))
    return replace(order, prefix=str(prefix))


def _injected(stage: Stage, engine: MusicGen, place: str, room: type, method: str) -> Row:
    tally = Tally(f"what holds after a lack of memory in a {place}", "conditions")
    with patch.object(room, method, _raising_once(getattr(room, method))):
        _forget_captures(engine)
        ended = rendered(engine, _order(stage, 1))
    tally.add(
        "the render was refused for memory", ended is not None and ended.fault is Fault.MEMORY
    )
    _recovered(stage, engine, tally)
    return tally.row()


def _raising_once(method: Callable[..., object]) -> Callable[..., object]:
    raised: list[bool] = []

    def spilt(self: object, *arguments: object) -> object:
        if raised:
            return method(self, *arguments)
        raised.append(True)
        raise torch.OutOfMemoryError("CUDA out of memory, as injected.")

    return spilt


def _forget_captures(engine: MusicGen) -> None:
    decoder = engine.loop.decoder  # type: ignore[union-attr]  # the loop of our own
    if decoder.graphs:
        for step in decoder.graphs.steps:
            step.graph = None
        decoder.graphs.side = cuda_graphs.Side()  # torch keeps no pool that no graph is left of


def _recovered(stage: Stage, engine: MusicGen, tally: Tally) -> None:
    free = engine.loop.decoder.free  # type: ignore[union-attr]  # the loop of our own
    tally.add(f"{SLOTS - free} slots are lost", free, SLOTS)
    tally.add("the next order is rendered", rendered(engine, _order(stage, 2)) is None)


def _in_earnest(stage: Stage, engine: MusicGen, gpu: Gpu) -> Row:
    """Let torch have hardly more memory than it holds, from the start or in the middle."""
    tally = Tally("what holds with hardly more memory than was held", "conditions")
    for name, more in ROOMS.items():
        for at in (0, 20):

            def each(step: int, at: int = at, more: float = more) -> None:
                if step == at:
                    gpu.clear()
                    gpu.limit(more)

            try:
                ended = rendered(engine, _order(stage, 3, SLOTS), each)
            finally:
                gpu.limit(None)
            fine = ended is None or ended.fault is Fault.MEMORY
            tally.add(f"{name} more from step {at} on: {ended!r}", fine)
            _recovered(stage, engine, tally)
    return tally.row()
