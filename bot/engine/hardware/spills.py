"""Which errors mean a lack of memory: torch has a class only for its own allocator's."""

import traceback

import torch

SPILLS = (torch.OutOfMemoryError, MemoryError)

SPILL_MESSAGES = (
    "can't allocate memory",  # on a CPU
    "CUDA error: out of memory",  # outside torch's own allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""What torch says about a lack of memory where it has no class for it."""

FULL_CARD_MESSAGES = (
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "Unable to find a valid cuDNN algorithm",
    "unable to find an engine to execute this computation",
)
"""What cuBLAS and cuDNN say about a lack of memory, and about other faults."""

FULL_CARD_BYTES = 5e8
"""Bytes: a card with less to give than this is full; their handles and workspaces take less."""


def spilled(error: BaseException) -> bool:
    """Whether an error means a lack of memory, or was raised while one was handled."""
    said = str(error)
    return (
        isinstance(error, SPILLS)
        or any(words in said for words in SPILL_MESSAGES)
        or (any(words in said for words in FULL_CARD_MESSAGES) and _full())
        or (error.__context__ is not None and spilled(error.__context__))
    )


def let_go(error: BaseException) -> None:
    """Let go of what fills the memory, where an error means a lack of it; raise any other again."""
    if not spilled(error):
        raise error
    traceback.clear_frames(error.__traceback__)  # they hold it


def _full() -> bool:
    try:
        return torch.cuda.mem_get_info()[0] < FULL_CARD_BYTES
    except (RuntimeError, AssertionError):  # it is broken, or there is none
        return False
