"""How many bytes torch holds at most on the CPU while something is done."""

from types import TracebackType
from typing import Any, Self

from torch.profiler import ProfilerActivity, profile


class Peak:
    """Counts what is allocated and freed; `bytes` is the most at a time beyond what was there."""

    def __init__(self) -> None:
        self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        self.bytes = 0

    def __enter__(self) -> Self:
        self._profile.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._profile.__exit__(kind, error, traceback)
        told: Any = self._profile.profiler
        events = told.kineto_results.events()
        changes = [(each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]"]
        held = 0
        for _, change in sorted(changes):
            held += change
            self.bytes = max(self.bytes, held)
