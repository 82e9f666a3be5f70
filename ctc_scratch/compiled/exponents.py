"""Powers of two for vectors of eight float64 numbers.

Exponents are float64 numbers that are whole: they then live in the same arrays as the numbers that they
belong to, which leaves LLVM one kind of array to reason about, and every processor can compute with them.
"""

import numpy as np
from llvmlite import ir
from numba import types

from .vector import Eight, intrinsic, python_twin, vector_type

_DOUBLES, _BITS = vector_type(ir.DoubleType()), vector_type(ir.IntType(64))


def _all(bits):
    return ir.Constant(_BITS, [bits] * 8)


def _doubles(number):
    return ir.Constant(_DOUBLES, [number] * 8)


@python_twin(lambda values: np.where(values > 0, np.frexp(values)[1] - 1.0, -1023.0))
@intrinsic
def exponents_of(context, values):
    """n with 2^n <= x < 2^(n+1) for each normal number x > 0 of an Eight, and -1023 for 0."""

    def codegen(context, builder, signature, arguments):
        exponents = builder.lshr(builder.bitcast(arguments[0], _BITS), _all(52))
        # These bits at the end of 2^52 are the number 2^52 + n + 1023.
        counted = builder.bitcast(builder.or_(exponents, _all(0x433 << 52)), _DOUBLES)
        return builder.fsub(counted, _doubles(2.0**52 + 1023))

    return values(values), codegen


@python_twin(lambda exponents: np.ldexp(1.0, exponents.astype(int)))
@intrinsic
def powers_of_two(context, exponents):
    """2^n for each whole number n of an Eight; n must be in [-1022, 1023]."""

    def codegen(context, builder, signature, arguments):
        counted = builder.bitcast(builder.fadd(arguments[0], _doubles(2.0**52 + 1023)), _BITS)
        return builder.bitcast(builder.shl(counted, _all(52)), _DOUBLES)

    return exponents(exponents), codegen


@python_twin(lambda numbers, k: numbers[k:k + 8].astype(np.float64))
@intrinsic
def eight_whole(context, numbers, k):
    """Numbers k..k+7 of an int32 array, as a float64 Eight."""

    def codegen(context, builder, signature, arguments):
        return builder.sitofp(builder.load(_place(context, builder, numbers, *arguments), align=4), _DOUBLES)

    return Eight(types.float64)(numbers, k), codegen


def _put_whole(numbers, k, values):
    numbers[k:k + 8] = values


@python_twin(_put_whole)
@intrinsic
def put_whole(context, numbers, k, values):
    """Write an Eight of whole numbers to an int32 array: numbers[k:k+8] = values."""

    def codegen(context, builder, signature, arguments):
        whole = builder.fptosi(arguments[2], vector_type(ir.IntType(32)))
        builder.store(whole, _place(context, builder, numbers, *arguments[:2]), align=4)
        return context.get_dummy_value()

    return types.void(numbers, k, values), codegen


def _place(context, builder, array_type, array, k):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [k], inbounds=True), vector_type(ir.IntType(32)).as_pointer())
