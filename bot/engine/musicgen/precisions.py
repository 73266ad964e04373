"""What the decoder computes in: the precision of its weights, and whose kernels multiply them."""

from enum import StrEnum

import torch

from bot.engine.musicgen.cpu_instructions import has_instruction
from bot.errors import OperatorError


class Precision(StrEnum):
    """What the decoder's weights are kept in."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """What weights are kept in, or made of."""
        return torch.float32 if self is Precision.INT8 else getattr(torch, self)


class Kernels(StrEnum):
    """What multiplies on a CPU: our own kernels for some processors, or those that torch brings."""

    NATIVE = "native"
    TORCH = "torch"


INSTRUCTIONS = {Precision.INT8: "avx512vnni", Precision.BFLOAT16: "avx512bf16"}
"""What a processor must have for the native kernels of a precision, by LLVM's names."""


def chosen(asked: str, device: torch.device) -> Precision:
    """Return the precision for "auto": what is fast on the device and faithful.

    Raises OperatorError for one that the device does not have.
    """
    if asked == Precision.INT8 and device.type != "cpu":
        raise OperatorError("PRECISION=int8 is for CPUs: set PRECISION=auto or float16 for a GPU.")
    if asked == Precision.BFLOAT16 and device.type == "cuda":
        _check_bfloat16()
    if asked != "auto":
        return Precision(asked)
    if device.type == "cuda":
        return Precision.FLOAT16
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return Precision.BFLOAT16 if fast else Precision.FLOAT32


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


def _check_bfloat16() -> None:
    """Raise OperatorError for a GPU that computes it by way of float32."""
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        card = torch.cuda.get_device_name()
        raise OperatorError(
            f"PRECISION=bfloat16 is not native to {card}: set PRECISION=auto or float16."
        )


def stream(precision: Precision) -> torch.dtype:
    """Return the dtype of what flows from layer to layer, and of norms and scores."""
    return torch.float64 if precision is Precision.FLOAT64 else torch.float32


def attended(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of queries, keys and values: half only where that is faster."""
    halves = (Precision.FLOAT16, Precision.BFLOAT16)
    return precision.dtype if device.type == "cuda" and precision in halves else stream(precision)
