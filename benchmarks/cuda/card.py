"""The GPU as the sections use it, and the processor that stands in while the program is tried."""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from bot.engine.hardware.precisions import Precision

GIB = 2**30

LEADING = (9, 10)
"""Major compute capabilities of data-centre Hopper and Blackwell: an H100 and what came after."""


class Processor:
    """No GPU: there is nothing to wait for, and memory is not looked at."""

    device = torch.device("cpu")
    half = Precision.FLOAT32
    """What weights are kept in: half precision where that computes."""
    leading = False
    """Whether it is of the class that speed is asked of."""

    def told(self) -> dict[str, str]:
        """Return what the numbers come from."""
        return {"card": "no GPU", "processor": platform.processor() or platform.machine()}

    def wait(self) -> None:
        """Wait until all is done that was launched."""

    def clear(self) -> None:
        """Give back what nobody uses."""
        gc.collect()

    def works(self) -> bool:
        """Whether it computes; a GPU may stop, for the rest of the process."""
        return True

    def returns(self) -> bool:
        """Whether memory that a second stream used comes back; a failed capture may prevent it."""
        return True

    def timed(self, work: Callable[[], object], repeats: int = 10) -> float:
        """Return the median seconds of some work, the first time left out."""
        work()
        times = []
        for _ in range(repeats):
            self.wait()
            begun = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - begun)
        return statistics.median(times)

    def replayed(self, work: Callable[[], object]) -> Callable[[], object]:
        """Return what does the work without the CPU's part in it, where that can be."""
        return work

    def bandwidth(self, size: int = 2 * GIB) -> float:
        """Return the bytes per second of a copy, those read and those written."""
        block = torch.empty(size, dtype=torch.uint8, device=self.device).fill_(1)
        other = torch.empty_like(block)
        return 2 * size / self.timed(lambda: other.copy_(block))


class Gpu(Processor):
    """The first CUDA GPU."""

    device = torch.device("cuda")
    half = Precision.FLOAT16

    def __init__(self) -> None:
        """Look whether it is of the class that speed is asked of."""
        self.leading = torch.cuda.get_device_capability()[0] in LEADING

    def told(self) -> dict[str, str]:
        """Return what the numbers come from."""
        seen = torch.cuda.get_device_properties(0)
        return {
            "card": seen.name,
            "processors": f"{seen.multi_processor_count} multiprocessors",
            "capability": f"compute capability {seen.major}.{seen.minor}",
            "memory": f"{self.free() / GIB:.1f} of {self.whole() / GIB:.1f} GiB free",
            "CUDA": f"CUDA {torch.version.cuda}",
            "cuDNN": f"cuDNN {torch.backends.cudnn.version()}",
        }

    def wait(self) -> None:
        """Wait until all is done that was launched."""
        torch.cuda.synchronize()

    def clear(self) -> None:
        """Give back what nobody uses."""
        gc.collect()
        torch.cuda.empty_cache()

    def works(self) -> bool:
        """Whether it computes; a GPU may stop, for the rest of the process."""
        try:
            return torch.ones(8, device=self.device).sum().item() == 8
        except RuntimeError:
            return False

    def returns(self) -> bool:
        """Whether memory that a second stream used comes back; a failed capture may prevent it."""
        side, before = torch.cuda.Stream(), torch.cuda.memory_allocated()
        block = torch.zeros(2**24, dtype=torch.uint8, device=self.device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            block.add_(1)
        block.record_stream(side)
        del block
        self.wait()
        self.clear()
        return torch.cuda.memory_allocated() <= before

    def replayed(self, work: Callable[[], object]) -> Callable[[], object]:
        """Return a captured graph of the work."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        self.wait()
        pool, alone = torch.cuda.graph_pool_handle(), "thread_local"
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode=alone):
            work()
        return graph.replay

    def free(self) -> int:
        """Return the bytes that nobody has."""
        return torch.cuda.mem_get_info()[0]

    def whole(self) -> int:
        """Return the bytes that there are."""
        return torch.cuda.mem_get_info()[1]

    def limit(self, more: float | None) -> None:
        """Let torch take no more than so many bytes beyond what it holds, or as many as it can."""
        share = 1.0
        if more is not None:
            share = min(1.0, (torch.cuda.memory_reserved() + more) / self.whole())
        torch.cuda.set_per_process_memory_fraction(share)

    @contextmanager
    def crowded(self, left: float) -> Iterator[None]:
        """Let no more than so many bytes be free, as on a smaller card.

        What torch holds for later is given back first. Others may still take what it takes.
        """
        self.clear()
        ballast = []
        try:
            for block in (GIB, 2**26, 3 * 2**22):  # the allocator rounds smaller ones up
                blocks = range(int((self.free() - left) // block))
                like: dict[str, Any] = {"dtype": torch.uint8, "device": self.device}
                ballast += [torch.empty(block, **like) for _ in blocks]
            yield
        finally:
            ballast.clear()
            self.clear()

    @contextmanager
    def peak(self) -> Iterator["Peak"]:
        """Watch how many bytes are allocated at most, beyond those that are."""
        self.clear()
        torch.cuda.reset_peak_memory_stats()
        found = Peak(torch.cuda.memory_allocated())
        yield found
        self.wait()
        found.bytes = torch.cuda.max_memory_allocated() - found.before


class Peak:
    """What was allocated at most beyond what was `before`, in bytes."""

    def __init__(self, before: int) -> None:
        self.before, self.bytes = before, 0


def card(asked: str) -> Processor:
    """Return the GPU, or the processor for "cpu"."""
    return Processor() if asked == "cpu" else Gpu()
