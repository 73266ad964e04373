"""Matrix products in the precision asked for; the weights are the first lever of the speed."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as nn

from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen import cpu_kernels, cpu_products
from bot.engine.musicgen.cpu_instructions import BYTES_AT_ONCE
from bot.engine.musicgen.cpu_products import BLOCK_OUTPUTS
from bot.engine.musicgen.precisions import Kernels

MOST_STEP_ROWS = 128
"""Rows that a step has at most, two for each of 64 slots; more come in a prefill."""


class Linear(Protocol):
    """Multiplies rows [..., in] by a weight [out, in] that it holds."""

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return [..., out]."""

    def onto(self, hidden: torch.Tensor, rows: torch.Tensor) -> None:
        """Add the product to `hidden`."""
        hidden += self(rows)


def linear(
    precision: Precision, device: torch.device, kernels: Kernels = Kernels.TORCH
) -> Callable[[torch.Tensor], Linear]:
    """Return what makes a product on a device from a weight on the CPU."""
    if kernels is Kernels.NATIVE:
        return partial(Native, precision=precision)
    if precision is Precision.INT8:
        return Int8
    if device.type == "cpu" and precision in PACKED and PACKED[precision]():
        return partial(Packed, precision=precision)
    return partial(Dense, precision=precision, device=device)


def cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor in a dtype, without an operator where it has it."""
    return tensor if tensor.dtype is dtype else tensor.to(dtype)


def _onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())


PACKED: dict[Precision, Callable[[], bool]] = {
    Precision.FLOAT32: _onednn,
    Precision.BFLOAT16: lambda: _onednn() and torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    Precision.FLOAT16: lambda: _onednn() and torch.ops.mkldnn._is_mkldnn_fp16_supported(),
}
"""What oneDNN multiplies on this processor."""


class Dense(Linear):
    """A product in a floating-point dtype; its result is of that dtype."""

    def __init__(
        self, weight: torch.Tensor, precision: Precision, device: torch.device | None = None
    ) -> None:
        cast_once = weight.to(precision.dtype).contiguous()
        # A view that is made once, not an operator in every product.
        self._turned = cast_once.to(device or weight.device).T

    @property
    def weight(self) -> torch.Tensor:
        """What it multiplies by, [out, in]."""
        return self._turned.T

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        rows = cast(rows, self._turned.dtype)
        return rows.mm(self._turned) if rows.dim() == 2 else rows.matmul(self._turned)

    def onto(self, hidden: torch.Tensor, rows: torch.Tensor) -> None:
        if hidden.dtype is self._turned.dtype and rows.dim() == 2:
            hidden.addmm_(rows, self._turned)  # one operator for both, if no cast is between them
        else:
            hidden += self(rows)


class Packed(Linear):
    """A product in a floating-point dtype on a CPU, of a weight laid out for its kernel once.

    A plain weight is laid out again in every product, at several times its cost. Source:
    torch's Inductor, which packs constant weights in the same way (`mkldnn_fusion.py`).
    """

    ROWS = 2
    """Those that the layout is chosen for; others come out right too."""

    def __init__(self, weight: torch.Tensor, precision: Precision) -> None:
        self._dtype = precision.dtype
        plain = weight.to(self._dtype).contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(plain, self.ROWS)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        operands = cast(rows, self._dtype), self._packed
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(*operands, None, "none", [], "")
        return product


class Native(Linear):
    """A product of 8-bit numbers or of bfloat16 by the processor's own instructions.

    A weight has a scale per output and rows have one each, where they are of 8 bits. A row's result
    is the same to the last bit for any number of rows beside it.
    """

    def __init__(self, weight: torch.Tensor, precision: Precision) -> None:
        self.outputs, self.width = weight.shape
        self._filled = 0, -self.width % BYTES_AT_ONCE
        whole_blocks = 0, -self.outputs % BLOCK_OUTPUTS
        padded = nn.pad(weight.float(), (*self._filled, *whole_blocks))
        scales = torch.ones(len(padded))
        if precision is Precision.INT8:
            scales = padded.abs().amax(1).clamp_min(1e-12) / 127
            padded = (padded / scales[:, None]).round() + cpu_products.ZERO_POINT
        dtype = torch.uint8 if precision is Precision.INT8 else torch.bfloat16
        self.weight = _in_blocks(padded.to(dtype), scales)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return [..., out] in float32."""
        flat = nn.pad(rows.float().reshape(-1, self.width), self._filled)
        product = torch.empty(len(flat), BLOCK_OUTPUTS * len(self.weight))
        # Made each time: a prefill has any number of rows, and steps go by `cpu_step`.
        own = cpu_products.scratch(self.weight, torch.get_num_threads(), *flat.shape)
        cpu_products.multiply(flat.numpy(), cpu_products.NO_NORM, self.weight, product.numpy(), own)
        return product[:, : self.outputs].view(*rows.shape[:-1], self.outputs)


def _in_blocks(numbers: torch.Tensor, scales: torch.Tensor) -> NDArray[Any]:
    """Lay a weight [out, in] out as `cpu_products.Weight` has it."""
    one = BYTES_AT_ONCE // numbers.itemsize
    shape = -1, BLOCK_OUTPUTS, numbers.shape[1] // one, one
    lines = numbers.view(shape).transpose(1, 2).flatten(2)
    last = scales.view(-1, 1, BLOCK_OUTPUTS).view(numbers.dtype)
    blocks = torch.cat([lines, last], dim=1)
    return (blocks if one == BYTES_AT_ONCE else blocks.view(torch.uint16)).numpy()


class Int8(Linear):
    """A product of 8-bit weights, with a scale per output, and 8-bit rows, with a scale per row.

    The kernel scales a whole tensor by its extremes. So each row is divided by its own largest
    magnitude and two columns of +1 and -1, which meet zero weights, pin those extremes: a row's
    result does not depend on its neighbours. Where the processor lacks VNNI two products of 8 bits
    may be too large together for the 16 that they are added up in, and rows have 7.
    """

    PADDING = 64

    def __init__(self, weight: torch.Tensor) -> None:
        self._width = weight.shape[1]
        padded = nn.pad(weight.float(), (0, self.PADDING))
        scales = padded.abs().amax(1).clamp_min(1e-12).double() / 127
        zeros = torch.zeros(len(scales), dtype=torch.long)
        quantized = torch.quantize_per_channel(padded, scales, zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(quantized, None)
        self._narrow = not torch.cpu._is_vnni_supported()
        self._kept: dict[int, Buffers] = {}

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return [..., out] in float32."""
        product, scale = self._scaled(rows)
        product.mul_(scale)
        return product if rows.dim() == 2 else product.view(*rows.shape[:-1], -1)

    def onto(self, hidden: torch.Tensor, rows: torch.Tensor) -> None:
        product, scale = self._scaled(rows)
        if hidden.dim() > 2:
            product, scale = product.view(hidden.shape), scale.view(*rows.shape[:-1], 1)
        hidden.addcmul_(product, scale)

    def _scaled(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the products of rows whose largest magnitude is 1, and what they lack."""
        flat = rows if rows.dim() == 2 else rows.reshape(-1, self._width)
        if len(flat) > MOST_STEP_ROWS:  # buffers would be kept for each length that ever comes
            buffer, _, largest, _ = self._buffers(len(flat))
            torch.linalg.vector_norm(flat, float("inf"), dim=-1, keepdim=True, out=largest)
            torch.div(flat, largest.clamp_min_(1e-20), out=buffer[:, : self._width])
            buffer.nan_to_num_(0)  # the rows beside one that is NaN are scaled by the same extremes
        else:
            if len(flat) not in self._kept:
                self._kept[len(flat)] = self._buffers(len(flat))
            buffer, array, largest, scales = self._kept[len(flat)]
            cpu_kernels.scaled(flat.numpy(), array, scales)
        product = torch.ops.quantized.linear_dynamic(buffer, self._packed, self._narrow)
        return product, largest

    def _buffers(self, rows: int) -> "Buffers":
        buffer, largest = torch.zeros(rows, self._width + self.PADDING), torch.empty(rows, 1)
        buffer[:, self._width], buffer[:, self._width + 1] = 1, -1
        return buffer, buffer.numpy(), largest, largest.numpy()


Buffers = tuple[torch.Tensor, NDArray[np.float32], torch.Tensor, NDArray[np.float32]]
