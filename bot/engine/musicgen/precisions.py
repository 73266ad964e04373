"""Whose kernels multiply the decoder's weights, and in what precision the rest is computed."""

from enum import StrEnum

import torch

from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen.cpu_instructions import has_instruction
from bot.errors import OperatorError


class Kernels(StrEnum):
    """What multiplies on a CPU: our own kernels for some processors, or those that torch brings."""

    NATIVE = "native"
    TORCH = "torch"


INSTRUCTIONS = {Precision.INT8: "avx512vnni", Precision.BFLOAT16: "avx512bf16"}
"""What a processor must have for the native kernels of a precision, by LLVM's names."""


def kernels_for(asked: str, precision: Precision, device: torch.device) -> Kernels:
    """Return the kernels for "auto": the native ones where the processor has their instructions.

    How fast they are is not asked, so that the answer, and a seed's music, is always the same on a
    machine. Raises OperatorError for native ones that it cannot run.
    """
    if asked == Kernels.TORCH or device.type != "cpu" or precision not in INSTRUCTIONS:
        return Kernels.TORCH
    feature = INSTRUCTIONS[precision]
    if has_instruction(feature):
        return Kernels.NATIVE
    if asked == Kernels.NATIVE:
        raise OperatorError(
            f"KERNELS is native, but this processor lacks {feature}: set KERNELS=auto or torch."
        )
    return Kernels.TORCH


def native() -> list[str]:
    """Return the precisions for which this processor has native kernels."""
    cpu = torch.device("cpu")
    return [each for each in INSTRUCTIONS if kernels_for("auto", each, cpu) is Kernels.NATIVE]


def stream(precision: Precision) -> torch.dtype:
    """Return the dtype of what flows from layer to layer, and of norms and scores."""
    return torch.float64 if precision is Precision.FLOAT64 else torch.float32


def attended(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of queries, keys and values: half only where that is faster."""
    halves = (Precision.FLOAT16, Precision.BFLOAT16)
    return precision.dtype if device.type == "cuda" and precision in halves else stream(precision)
