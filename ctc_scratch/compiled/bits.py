"""The bits of a float64 as an integer and back, with which its exponent is read and set."""

import math

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.extending import overload

from .cache import cached_njit

# nogil: called by kernels that several threads run. fastmath: stated because a kernel that does not state it
# takes the flags of its caller, and these functions must give all callers the same numbers.
exactly = cached_njit(nogil=True, error_model="numpy", fastmath=False, no_cfunc_wrapper=True)

LN2 = math.log(2.0)
EMPTY = -(2.0**1022)
"""The exponent of a 0 as a pair (mantissa, exponent): below all others, and finite even when doubled."""

_COUNT_BIAS = 2.0**52 + 1023

unsigned = np.uintp  # the type of indices: for a signed index Numba tests whether it is negative


def float64_from_bits(bits):
    """The float64 that has these 64 bits."""
    return np.int64(bits).view(np.float64)


def bits_of_float64(x):
    """The bits of a float64, as an int64."""
    return np.float64(x).view(np.int64)


def _bitcast(source, target, llvm_type):
    @numba.extending.intrinsic
    def cast(context, value):
        def codegen(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvm_type)

        return target(source), codegen

    return cast


_to_float64 = _bitcast(numba.int64, numba.float64, ir.DoubleType())
_to_int64 = _bitcast(numba.float64, numba.int64, ir.IntType(64))
overload(float64_from_bits)(lambda bits: lambda bits: _to_float64(bits))
overload(bits_of_float64)(lambda x: lambda x: _to_int64(x))


@exactly
def power_of_two(n):
    """2^n for a float64 n that is a whole number in [-1022, 1023]."""
    return float64_from_bits(bits_of_float64(n + _COUNT_BIAS) << 52)


@exactly
def near_one(x, exponent):
    """m, e with m 2^e = x 2^exponent and m in (sqrt(1/2), sqrt(2)], for a normal number x > 0.

    ln(x 2^exponent) is then ln m + e LN2, in which large numbers do not cancel and a result near 0 keeps its
    digits. The sum is left to the caller, whose flags say whether it may be fused.
    """
    own = (bits_of_float64(x) >> 52) - 1023
    mantissa = x * float64_from_bits((1023 - own) << 52)
    if mantissa > 1.4142135623730951:
        mantissa, own = 0.5 * mantissa, own + 1
    return mantissa, own + exponent
