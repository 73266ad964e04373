"""What the card can do at most."""

from collections.abc import Iterator

import torch
from torch.nn import functional as nn

from benchmarks.cuda.stage import Stage
from benchmarks.report import Row

KERNELS = 25
"""So many small ones, for each step that is measured elsewhere, are timed together."""


def rows(stage: Stage) -> Iterator[Row]:
    """Measure reading, launching, and attention over a length that is new."""
    yield _reading(stage)
    yield _launching(stage)
    if stage.gpu:
        yield _planning(stage)


def _reading(stage: Stage) -> Row:
    rows, columns = (4096, 2**18) if stage.gpu else (64, 2**12)
    dtype = torch.float16 if stage.gpu else torch.float32
    block = torch.ones(rows, columns, dtype=dtype, device=stage.device)
    vector = torch.ones(columns, dtype=dtype, device=stage.device)
    seconds = stage.card.timed(lambda: torch.mv(block, vector))
    return Row(
        name="bandwidth of a matrix times a vector, against that of a copy",
        ours=block.nbytes / seconds / 1e12,
        theirs=stage.bandwidth / 1e12,
        unit="TB/s",
    )


def _launching(stage: Stage) -> Row:
    one, kernels = torch.zeros(1, device=stage.device), KERNELS * stage.scale.steps

    def launch() -> None:
        for _ in range(kernels):
            one.add_(1)

    each = 1e6 / kernels
    return Row(
        name="a trivial kernel in a graph, against one launched by itself",
        ours=each * stage.card.timed(stage.card.replayed(launch)),
        theirs=each * stage.card.timed(launch),
        unit="µs",
    )


def _planning(stage: Stage) -> Row:
    """Attend to lengths that were never seen, without cuDNN, as the engine does, and with it."""
    half = stage.scale.positions // 2
    shape = (2, 16, 2 * half, 64)
    past = torch.randn(shape, dtype=torch.float16, device=stage.device)

    def attend(lengths: range) -> float:
        left = iter(lengths)

        def once() -> None:
            keys = past[:, :, : next(left)]
            nn.scaled_dot_product_attention(past[:, :, :1], keys, keys)

        return 1e6 * stage.card.timed(once, len(lengths) - 1)

    without = attend(range(half, half + 11))
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        allowed = attend(range(half + 11, half + 22))
    finally:
        torch.backends.cuda.enable_cudnn_sdp(False)
    return Row(
        name="attention over a length that is new, against the same where cuDNN may plan it",
        ours=without,
        theirs=allowed,
        unit="µs",
    )
