"""The engine's worker with too little memory at a PLACE: `python -m tests.support.full PLACE …`.

It lacks once, whenever something else is under way as well: as a take begins (`prefill`), in a
`step` of two takes, in the `capture` of such a step (over a pretended torch.cuda, and as if it had
failed before), or in a `chunk` of a take of more than 2 s.
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from bot.engine import worker
from bot.engine.musicgen import cuda_graphs
from tests.support.dispatch import Dispatch
from tests.support.pretended_cuda import Cuda, capturing

PLACES = ("prefill", "step", "capture", "chunk")


class Full(Dispatch):
    """Lets the n-th operator find no memory; `left` is what is left of n."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def run(self, operator: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError(f"CUDA out of memory in {operator.__name__}.")
        return super().run(operator, args, options)


def once(room: type, name: str, when: Callable[..., bool], at: int) -> None:
    """Let the `at`-th operator of a method find no memory, the first time that `when` is true."""
    method, done = getattr(room, name), list[bool]()

    def full(self: Any, *arguments: Any) -> Any:
        if done or not when(self, *arguments):
            return method(self, *arguments)
        try:
            with Full(at):
                return method(self, *arguments)
        except torch.OutOfMemoryError:
            done.append(True)
            raise

    setattr(room, name, full)


def spoil(place: str) -> None:
    """Let memory lack at a place, once."""
    from bot.engine.musicgen.codec import Sound
    from bot.engine.musicgen.decoder import Decoder

    match place:
        case "prefill":
            once(Decoder, "admit", lambda self, *_: self.slots, 12)
        case "step":
            once(Decoder, "_advance", lambda _, slots: len(slots) > 1, 20)
        case "chunk":
            once(Sound, "_hear", lambda _, codes: codes.shape[-1] > 100, 5)
        case "capture":
            patch = pytest.MonkeyPatch()
            Cuda().install(patch)
            capturing(patch)
            patch.setattr(Decoder, "prepare", lambda _: None)
            once(cuda_graphs.Graphs, "_capture", lambda _, step, __: len(step.noise) > 1, 250)


if __name__ == "__main__":
    spoil(sys.argv[1])
    sys.exit(worker.main(sys.argv[2:]))
