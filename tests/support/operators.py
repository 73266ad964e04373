"""How many operators a decoder step dispatches: a measure of its overhead that needs no clock."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bot.engine.musicgen.decoder import Decoder
from tests.support.random_lm import wish


class Counted(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def operators(decoder: Decoder) -> Counter[str]:
    """Count those of a step."""
    step = Decoder.step.__wrapped__
    with torch.no_grad():  # as audiocraft's loop is counted
        step(decoder)
        with Counted() as counted:
            step(decoder)
    del counted.seen["detach.default"]  # nothing runs: it lets NumPy see a tensor
    return counted.seen


def operators_of_audiocraft(model: Any, prompt: str) -> Counter[str]:
    """Count those of a step of its own loop."""
    at: list[Counter[str]] = []
    with Counted() as counted:
        model.generate(
            None,
            [wish(prompt)],
            max_gen_len=12,
            callback=lambda *_: at.append(Counter(counted.seen)),
        )
    return at[8] - at[7]
