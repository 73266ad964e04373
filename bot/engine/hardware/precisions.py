"""What models compute in: which precision a device has, and which is the best of them."""

from enum import StrEnum

import torch

from bot.errors import OperatorError


class Precision(StrEnum):
    """What a model's weights are kept in."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """What weights are kept in, or made of."""
        return torch.float32 if self is Precision.INT8 else getattr(torch, self)


WEIGHT_BYTES = {each: float(each.dtype.itemsize) for each in Precision} | {Precision.INT8: 1.05}
"""Bytes of a weight; in 8 bits with its share of a scale."""


def chosen(asked: str, device: torch.device) -> Precision:
    """Return the precision for "auto": what is fast on the device and faithful.

    Raises OperatorError for one that the device does not have.
    """
    if asked == Precision.INT8 and device.type != "cpu":
        raise OperatorError("PRECISION=int8 is for CPUs: set PRECISION=auto or float16 for a GPU.")
    if asked == Precision.BFLOAT16 and not has_bfloat16(device):
        card = torch.cuda.get_device_name()
        raise OperatorError(
            f"PRECISION=bfloat16 is not native to {card}: set PRECISION=auto or float16."
        )
    if asked != "auto":
        return Precision(asked)
    if device.type == "cuda":
        return Precision.FLOAT16
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return Precision.BFLOAT16 if fast else Precision.FLOAT32


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes it, and is no GPU that does so by way of float32."""
    return device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
