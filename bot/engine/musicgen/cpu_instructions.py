"""Processor instructions that Numba would not find by itself, written as LLVM has them.

Two multiply what is small and add up what is wide: VPDPBUSD (8-bit numbers, summed in 32 bits, of
which none is lost) and VDPBF16PS (bfloat16, summed in float32). Both take four bytes of a row and
four of each of 16 outputs. Source: "Intel 64 and IA-32 Architectures Software Developer's Manual",
volume 2.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.core.registry import cpu_target
from numba.extending import intrinsic

cgutils: Any = untyped

REGISTER_NUMBERS = 16
"""Numbers of 32 bits that a register holds."""

BYTES_AT_ONCE = 4
"""Bytes of a row that are multiplied at once."""

CACHE_LINE = 64
"""Bytes that come from memory at once."""


def has_instruction(feature: str) -> bool:
    """Whether Numba compiles for a processor that has a feature, by its name in LLVM."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return f"+{feature}" in features.split(",")


class _BFloat16(ir.types._BaseFloatType):  # type: ignore[misc]  # Numba
    """LLVM's type, which llvmlite lacks."""

    null, intrinsic_name = "0.0", "bf16"

    def __str__(self) -> str:
        return "bfloat"


_BFloat16._create_instance()
_BYTE = ir.IntType(8)
_WHOLE = ir.VectorType(ir.IntType(32), REGISTER_NUMBERS)
_FLOAT = ir.VectorType(ir.FloatType(), REGISTER_NUMBERS)
_HALVES = ir.VectorType(_BFloat16(), 2 * REGISTER_NUMBERS)
_INSTRUCTIONS = {
    types.uint8: ("llvm.x86.avx512.vpdpbusd.512", _WHOLE, _WHOLE),
    types.uint16: ("llvm.x86.avx512bf16.dpbf16ps.512", _FLOAT, _HALVES),
}
"""For what a weight is made of: an instruction, what it sums to and what it multiplies."""


def tile(tall: int, *, fetches: bool = False) -> Any:  # noqa: ANN401
    """Return what adds the products of so many rows and some lines of a block to sums [rows, 32].

    It stands for this loop, in which Numba would not find the instructions::

        for group in range(len(lines)):
            for row in range(tall):
                sums[row] += lines[group] · four bytes of rows[row]

    and where it fetches, it asks for half as many bytes as the lines have, so many `ahead` of them.
    """

    def typed(_: Any, lines: Any, rows: Any, sums: Any, ahead: Any) -> Any:  # noqa: ANN401
        name, summed, factors = _INSTRUCTIONS[lines.dtype]

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
            arrays = [
                context.make_array(kind)(context, builder, argument)
                for kind, argument in zip(signature.args[:3], arguments[:3], strict=True)
            ]
            weights, fours, results = (
                builder.bitcast(array.data, kind.as_pointer())
                for array, kind in zip(arrays, (factors, _WHOLE.element, summed), strict=True)
            )
            groups = cgutils.unpack_tuple(builder, arrays[0].shape)[0]
            stride = cgutils.unpack_tuple(builder, arrays[1].strides)[0]
            apart = builder.udiv(stride, _number(BYTES_AT_ONCE))
            later = builder.gep(builder.bitcast(weights, _BYTE.as_pointer()), [arguments[3]])
            kind = ir.FunctionType(summed, [summed, factors, factors])
            dot = cgutils.get_or_insert_function(builder.module, kind, name)
            places = [builder.gep(results, [_number(at)]) for at in range(2 * tall)]
            values = (builder.load(place, align=4) for place in places)
            totals = [cgutils.alloca_once_value(builder, value) for value in values]
            with cgutils.for_range(builder, groups) as loop:
                if fetches:
                    line = builder.mul(loop.index, _number(CACHE_LINE))
                    _ask_for(builder, builder.gep(later, [line]))
                first = builder.gep(weights, [builder.mul(loop.index, _number(2))])
                both = [builder.load(builder.gep(first, [_number(at)]), align=64) for at in (0, 1)]
                for row in range(tall):
                    at = builder.add(loop.index, builder.mul(apart, _number(row)))
                    four = builder.load(builder.gep(fours, [at]), align=4)
                    own = builder.bitcast(_everywhere(builder, four), factors)
                    for total, weight in zip(totals[2 * row : 2 * row + 2], both, strict=True):
                        added = builder.call(dot, [builder.load(total), weight, own])
                        builder.store(added, total)
            for place, total in zip(places, totals, strict=True):
                builder.store(builder.load(total), place, align=4)
            return context.get_dummy_value()

        return types.void(lines, rows, sums, ahead), generate

    return intrinsic(typed)


def _number(value: int) -> Any:  # noqa: ANN401
    return ir.Constant(ir.IntType(64), value)


def _everywhere(builder: Any, four: Any) -> Any:  # noqa: ANN401
    """Return a register with four bytes in all its numbers."""
    nothing = ir.Constant(_WHOLE, ir.Undefined)
    first = builder.insert_element(nothing, four, ir.Constant(_WHOLE.element, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_WHOLE, [0] * REGISTER_NUMBERS))


def _ask_for(builder: Any, address: Any) -> None:  # noqa: ANN401
    """Generate what asks for a line of memory that will be read."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    to_be_read_near_by = (ir.Constant(number, option) for option in (0, 3, 1))
    builder.call(prefetch, [builder.bitcast(address, byte), *to_be_read_near_by])


def fetching(numbers: int) -> Any:  # noqa: ANN401
    """Return what asks for a row of so many bfloat16 that will be read."""

    def typed(_: Any, row: Any) -> Any:  # noqa: ANN401
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            for at in range(0, numbers, CACHE_LINE // 2):
                _ask_for(builder, builder.gep(data, [_number(at)]))
            return context.get_dummy_value()

        return types.void(row), generate

    return intrinsic(typed)
