"""Stands in for torch.cuda on a machine without a GPU: its streams, its graphs, and the card.

A graph remembers the operators of its capture and runs them again on the same memory when it is
replayed, as a GPU would. Streams are names: all runs in order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from bot.engine.musicgen import cuda_graphs
from bot.engine.musicgen.decoder import Decoder
from tests.support.dispatch import Dispatch

GB = 10**9
WHEEL = ["sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
"""What torch 2.9.1 for CUDA 12.8 is built for."""

WAITS = {"_local_scalar_dense.default", "item.default", "nonzero.default", "equal.default"}
"""Operators that make the CPU wait for the device; a capture does not allow them."""


class Stream:
    """A stream, and which others it waited for."""

    def __init__(self, priority: int = 0) -> None:
        self.priority, self.waited = priority, list[Stream]()

    def wait_stream(self, other: "Stream") -> None:
        self.waited.append(other)


class Graph(Dispatch):
    """What was captured, operator by operator."""

    def __init__(self) -> None:
        super().__init__()
        self._operators: list[tuple[Any, Any, Any, Any]] = []
        self.stream: Callable[[], Stream] = Stream
        self.launched: list[Stream] = []

    def run(self, operator: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if operator.__name__ in WAITS:
            raise RuntimeError(f"CUDA error: {operator.__name__} is not permitted while capturing")
        made = super().run(operator, args, options)
        self._operators.append((operator, args, options, made))
        return made

    def replay(self) -> None:
        self.launched.append(self.stream())
        for operator, args, options, made in self._operators:
            again = operator(*args, **options)
            for into, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                if into.data_ptr() != new.data_ptr():  # it is neither a view nor in place
                    into.copy_(new)


class Cuda:
    """What was asked of it; `fault` may raise in a capture, `fault_at_end` as that ends."""

    def __init__(self) -> None:
        self.default = self.current = Stream()
        self.captures: list[tuple[Stream, object, str]] = []
        self.graphs: list[Graph] = []
        self.capturing = False
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
            "is_current_stream_capturing": lambda: self.capturing,
            "synchronize": lambda: None,
            "empty_cache": lambda: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)

    @property
    def replays(self) -> int:
        return sum(len(graph.launched) for graph in self.graphs)

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
        graph.stream = lambda: self.current
        before, self.current = self.current, stream
        self.capturing = True
        try:
            with graph:
                yield
                self.fault()
        finally:
            self.capturing = False
            self.fault_at_end()
            self.current = before


class Card:
    """A GPU as torch would describe it; a GB more was allocated once, whatever was done."""

    name, multi_processor_count = "Some Card", 132

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there, self.capability, self.built = True, (9, 0), WHEEL
        self.left, self.whole, self.fraction, self.reserved = 60 * GB, 80 * GB, 1.0, 0
        for name, answer in {
            "is_available": lambda: self.there,
            "get_device_name": lambda _=0: self.name,
            "get_device_capability": lambda _=0: self.capability,
            "get_arch_list": lambda: self.built,
            "is_bf16_supported": self._bfloat16,
            "mem_get_info": lambda: (self.left, self.whole),
            "get_per_process_memory_fraction": lambda: self.fraction,
            "get_device_properties": lambda _: self,
            "memory_reserved": lambda: self.reserved,
            "memory_allocated": lambda: self.reserved,
            "max_memory_allocated": lambda: self.reserved + GB,
            "set_per_process_memory_fraction": lambda share: setattr(self, "fraction", share),
            "reset_peak_memory_stats": lambda: None,
            "set_sync_debug_mode": lambda _: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, answer)

    @property
    def major(self) -> int:
        return self.capability[0]

    @property
    def minor(self) -> int:
        return self.capability[1]

    def _bfloat16(self, including_emulation: bool = True) -> bool:
        return including_emulation or self.capability >= (8, 0)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """Some card; what is set of torch because of it is set back."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (
        torch.backends.cuda.cudnn_sdp_enabled(),
        convolutions.allow_tf32,
        products.allow_fp16_reduced_precision_reduction,
        products.allow_bf16_reduced_precision_reduction,
    )
    yield Card(monkeypatch)
    torch.backends.cuda.enable_cudnn_sdp(before[0])
    convolutions.allow_tf32 = before[1]
    products.allow_fp16_reduced_precision_reduction = before[2]
    products.allow_bf16_reduced_precision_reduction = before[3]


def capturing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let decoders on the processor capture their steps, as those on a GPU do."""
    begin = Decoder.__init__

    def captured(self: Any, *models: Any, **options: Any) -> None:
        begin(self, *models, **{"graphs": True} | options)
        if self.graphs:
            self.graphs.side = cuda_graphs.Side()

    monkeypatch.setattr(Decoder, "__init__", captured)
