"""Stands in for torch.cuda's streams and graphs on a machine without a GPU.

A graph remembers the operators of its capture and runs them again on the same memory when it is
replayed, as a GPU would. Streams are names: all runs in order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {"_local_scalar_dense.default", "item.default", "nonzero.default", "equal.default"}
"""Operators that make the CPU wait for the device; a capture does not allow them."""


class Stream:
    """A stream, and which others it waited for."""

    def __init__(self, priority: int = 0) -> None:
        self.priority, self.waited = priority, list[Stream]()

    def wait_stream(self, other: "Stream") -> None:
        self.waited.append(other)


class Graph(TorchDispatchMode):
    """What was captured, operator by operator."""

    def __init__(self) -> None:
        super().__init__()
        self._operators: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ in WAITS:
            raise RuntimeError(f"CUDA error: {func.__name__} is not permitted while capturing")
        made = func(*args, **(kwargs or {}))
        self._operators.append((func, args, kwargs or {}, made))
        return made

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, made in self._operators:
            again = func(*args, **kwargs)
            for into, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                if into.data_ptr() != new.data_ptr():  # it is neither a view nor in place
                    into.copy_(new)


class Cuda:
    """What was asked of it; `fault` may raise in a capture, `fault_at_end` as that ends."""

    def __init__(self) -> None:
        self.default = self.current = Stream()
        self.captures: list[tuple[Stream, object, str]] = []
        self.graphs: list[Graph] = []
        self.fault: Callable[[], None] = lambda: None
        self.fault_at_end: Callable[[], None] = lambda: None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, stand_in in {
            "Stream": Stream,
            "CUDAGraph": Graph,
            "current_stream": lambda: self.current,
            "set_stream": self._set,
            "stream": self._on,
            "graph": self._capture,
            "graph_pool_handle": object,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)

    @property
    def replays(self) -> int:
        return sum(graph.replays for graph in self.graphs)

    def _set(self, stream: Stream) -> None:
        self.current = stream

    @contextmanager
    def _on(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def _capture(
        self, graph: Graph, pool: object, stream: Stream, capture_error_mode: str
    ) -> Iterator[None]:
        """Capture; as in torch, the stream is not left where the end of a capture fails."""
        self.captures.append((stream, pool, capture_error_mode))
        self.graphs.append(graph)
        before, self.current = self.current, stream
        try:
            with graph:
                yield
                self.fault()
        finally:
            self.fault_at_end()
            self.current = before
