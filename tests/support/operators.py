"""How many operators a decoder step dispatches: a measure of its overhead that needs no clock."""

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from bot.engine.musicgen.decoder import Decoder
from tests.support.dispatch import Dispatch
from tests.support.random_lm import wish


class Counted(Dispatch):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def run(self, operator: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self.seen[operator.__name__] += 1
        return super().run(operator, args, options)


def operators(decoder: Decoder) -> Counter[str]:
    """Count those of a step."""
    step: Callable[[Decoder], None] = inspect.unwrap(Decoder.step)
    counted = Counted()
    with torch.no_grad():  # as audiocraft's loop is counted
        step(decoder)
        with counted:
            step(decoder)
    del counted.seen["detach.default"]  # nothing runs: it lets NumPy see a tensor
    return counted.seen


def operators_of_audiocraft(model: Any, prompt: str) -> Counter[str]:
    """Count those of a step of its own loop."""
    at: list[Counter[str]] = []
    counted = Counted()
    with counted:
        model.generate(
            None,
            [wish(prompt)],
            max_gen_len=12,
            callback=lambda *_: at.append(Counter(counted.seen)),
        )
    return at[8] - at[7]
