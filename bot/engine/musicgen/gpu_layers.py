"""A step's layers on a GPU, in few kernels: what is between the products is done within them.

For a take or two a layer is bound by the number of its kernels. So a block of threads takes its
outputs' weights into registers before it waits for the kernel before it, and has the norm in front
of the product and the GELU or the sum behind it. For more rows cuBLAS multiplies better than that,
and only sums and norms are joined. The states between the layers stay in float32, as under
audiocraft's autocast. Source: "Programmatic Dependent Launch" in the CUDA C++ Programming Guide.
"""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from bot.engine.musicgen.attention import Attention
from bot.engine.musicgen.linears import Dense, Linear
from bot.engine.musicgen.transformer import EPSILON, Layer, Norm, Weights

TILE_BYTES, THREAD_BYTES = 1 << 15, 1 << 8
"""Bytes of weights that a block of threads takes, and those that each of them does."""

FEWEST_OUTPUTS, MOST_OUTPUTS = 4, 16
"""Outputs of a block of threads."""

NARROW_WIDTH = 1024
"""Width of the models that a second take is not too much arithmetic for."""

LAYERS_TOLERANCE = 0.1
"""How far off what torch finds the kernels may be: as far as bfloat16 rounds in all layers."""

HOPPER_CAPABILITY = 9
"""Major compute capability that a kernel can be launched from while another runs."""

LayerByLayer = Callable[[torch.Tensor, Attention], None]


@triton.jit
def _sums(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    return a + c, b + d


@triton.jit
def _product(
    rows: tl.tensor,
    weight: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    into: tl.tensor,
    count: tl.tensor,
    outputs: tl.tensor,
    width: tl.constexpr,
    padded: tl.constexpr,
    most: tl.constexpr,
    block: tl.constexpr,
    wide: tl.constexpr,
    normed: tl.constexpr,
    gelu: tl.constexpr,
    onto: tl.constexpr,
    epsilon: tl.constexpr,
    early: tl.constexpr,
) -> None:
    """Multiply `count` rows, `normed` or as they are, by `block` outputs of a weight."""
    output, inside = tl.program_id(0) * block + tl.arange(0, block), tl.arange(0, padded)
    row = tl.arange(0, most)
    real, there, own = inside < width, row < count, output < outputs
    known = own[:, None] & real[None, :]
    at = output.to(tl.int64)[:, None] * width + inside[None, :]
    weights = tl.load(weight + at, mask=known, other=0.0)
    if normed:
        gains = tl.load(gain + inside, mask=real, other=0.0).to(wide)
        shifts = tl.load(shift + inside, mask=real, other=0.0).to(wide)
    if early:  # what is above was there before the kernel that this one follows
        gdc_wait()
        gdc_launch_dependents()
    known = there[:, None] & real[None, :]
    states = tl.load(rows + row[:, None] * width + inside[None, :], mask=known, other=0.0).to(wide)
    if normed:
        total, squares = tl.reduce((states, states * states), 1, _sums)
        mean = total / width
        scale = 1 / tl.sqrt(squares / width - mean * mean + epsilon)
        states = (states - mean[:, None]) * scale[:, None] * gains[None, :] + shifts[None, :]
    product = tl.sum(states[:, None, :] * weights.to(wide)[None, :, :], 2)
    if gelu:
        product = 0.5 * product * (1 + tl.erf(product * 0.7071067811865476))
    to = into + row[:, None] * outputs + output[None, :]
    known = there[:, None] & own[None, :]
    if onto:
        product += tl.load(to, mask=known, other=0.0).to(wide)
    tl.store(to, product.to(into.dtype.element_ty), mask=known)


@triton.jit
def _added(
    hidden: tl.tensor,
    more: tl.tensor,
    gain: tl.tensor,
    shift: tl.tensor,
    into: tl.tensor,
    count: tl.tensor,
    width: tl.constexpr,
    padded: tl.constexpr,
    wide: tl.constexpr,
    epsilon: tl.constexpr,
    early: tl.constexpr,
) -> None:
    """Add `more` to a row, if that is among the first `count`, and norm it."""
    row, inside = tl.program_id(0), tl.arange(0, padded)
    real = inside < width
    gains = tl.load(gain + inside, mask=real, other=0.0).to(wide)
    shifts = tl.load(shift + inside, mask=real, other=0.0).to(wide)
    if early:
        gdc_wait()
        gdc_launch_dependents()
    at, new = row * width + inside, real & (row < count)
    states = tl.load(hidden + at, mask=real, other=0.0).to(wide)
    states += tl.load(more + at, mask=new, other=0.0).to(wide)
    tl.store(hidden + at, states.to(hidden.dtype.element_ty), mask=new)
    total, squares = tl.reduce((states, states * states), 0, _sums)
    mean = total / width
    scale = 1 / tl.sqrt(squares / width - mean * mean + epsilon)
    normed = (states - mean) * scale * gains + shifts
    tl.store(into + at, normed.to(into.dtype.element_ty), mask=real)


class GpuLayers:
    """Runs a step's layers."""

    def __init__(self, weights: Weights) -> None:
        """Take weights whose products are `Dense`."""
        self._layers, self._heads = weights.layers, weights.heads
        self.few = 4 if weights.dim <= NARROW_WIDTH else 2
        self._half = _weight(weights.layers[0].qkv).dtype

    def __call__(self, hidden: torch.Tensor, attention: Attention) -> None:
        """Change hidden states [2 · takes, dim]."""
        if len(hidden) <= self.few:
            for number, layer in enumerate(self._layers):
                self._fused(number, layer, hidden, attention)
        else:
            self._joined(hidden, attention)

    def _fused(self, number: int, layer: Layer, hidden: torch.Tensor, attention: Attention) -> None:
        told = hidden[: len(hidden) // 2]
        qkv = self._product(hidden, layer.qkv, layer.norm)
        self._onto(hidden, layer.out, attention.music(number, self._parts(qkv)))
        query = self._product(told, layer.query, layer.norm_cross)
        self._onto(told, layer.out_cross, attention.words(number, query))
        wide = self._product(hidden, layer.wide, layer.norm_feed, gelu=True)
        self._onto(hidden, layer.narrow, wide)

    def _product(
        self, rows: torch.Tensor, product: Linear, norm: Norm, *, gelu: bool = False
    ) -> torch.Tensor:
        """Return the product of rows [n, dim] once they are normed."""
        weight = _weight(product)
        into = rows.new_empty(len(rows), len(weight), dtype=self._half)
        multiply(rows, weight, into, norm, gelu=gelu)
        return into

    def _onto(self, hidden: torch.Tensor, product: Linear, rows: torch.Tensor) -> None:
        """Add a product to hidden states."""
        multiply(rows.reshape(len(hidden), -1), _weight(product), hidden, onto=True)

    def _joined(self, hidden: torch.Tensor, attention: Attention) -> None:
        takes = len(hidden) // 2
        normed = torch.empty_like(hidden, dtype=self._half)
        more = normed[:0]  # before the first layer there is nothing to add
        for number, layer in enumerate(self._layers):
            add(hidden, more, layer.norm, normed)
            found = attention.music(number, self._parts(layer.qkv(normed)))
            add(hidden, layer.out(found.reshape(hidden.shape)), layer.norm_cross, normed)
            said = attention.words(number, layer.query(normed[:takes]))
            more = layer.out_cross(said.reshape(takes, -1))
            add(hidden, more, layer.norm_feed, normed)
            more = layer.narrow(torch.nn.functional.gelu(layer.wide(normed)))
        hidden += more  # the last layer's, which no norm of a layer follows

    def _parts(self, qkv: torch.Tensor) -> torch.Tensor:
        return qkv.view(2, len(qkv) // 2, 3, self._heads, -1)


def multiply(
    rows: torch.Tensor,
    weight: torch.Tensor,
    into: torch.Tensor,
    norm: Norm | None = None,
    *,
    gelu: bool = False,
    onto: bool = False,
) -> None:
    """Put the product of few rows [n, in] and a weight [out, in] into [n, out], or add it there."""
    outputs, width = weight.shape
    padded = triton.next_power_of_2(width)
    row = padded * weight.itemsize
    block = min(MOST_OUTPUTS, max(FEWEST_OUTPUTS, TILE_BYTES // row))
    _product[(triton.cdiv(outputs, block),)](
        rows,
        weight,
        *(norm or (weight, weight)),
        into,
        len(rows),
        outputs,
        width=width,
        padded=padded,
        most=triton.next_power_of_2(len(rows)),
        block=block,
        wide=_wide(rows),
        normed=norm is not None,
        gelu=gelu,
        onto=onto,
        epsilon=EPSILON,
        num_warps=max(1, block * row // (32 * THREAD_BYTES)),
        **early(rows.device),
    )


def add(hidden: torch.Tensor, more: torch.Tensor, norm: Norm, into: torch.Tensor) -> None:
    """Add rows to the first of the hidden states [n, dim], and put all, normed, into [n, dim]."""
    width = hidden.shape[1]
    _added[(len(hidden),)](
        hidden,
        more,
        *norm,
        into,
        len(more),
        width=width,
        padded=triton.next_power_of_2(width),
        wide=_wide(hidden),
        epsilon=EPSILON,
        **early(hidden.device),
    )


@cache
def early(device: torch.device) -> dict[str, Any]:
    """Return the options of a kernel that may be launched before the one that it follows ends.

    It then begins as soon as all blocks of that one have what *they* waited for.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] < HOPPER_CAPABILITY:
        return {"early": False}
    return {"early": True, "launch_pdl": True}


def check(ours: GpuLayers, theirs: LayerByLayer, weights: Weights) -> None:
    """Raise an error unless the kernels compile here and find what torch does."""
    # It attends to nothing else than what comes: the values, and the queries.
    attention: Any = SimpleNamespace(
        music=lambda _, parts: parts[:, :, 2].contiguous(), words=lambda _, query: query
    )
    for takes in (1, 3):  # by either way, as `few` is 2 or 4 rows
        hidden = torch.randn(2 * takes, weights.dim, dtype=weights.dtype, device=weights.device)
        expected = hidden.clone()
        ours(hidden, attention)
        theirs(expected, attention)
        if (hidden - expected).norm() > LAYERS_TOLERANCE * expected.norm():
            raise RuntimeError("its results are not torch's")


def _weight(product: Linear) -> torch.Tensor:
    assert isinstance(product, Dense)
    return product.weight


def _wide(states: torch.Tensor) -> Any:  # noqa: ANN401
    return tl.float64 if states.dtype is torch.float64 else tl.float32
