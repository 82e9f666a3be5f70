"""The bits of a float64 as an integer, and back: exponents are read and set with them."""

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.extending import overload

unsigned = np.uintp  # for indices: Numba tests signed ones for counting from the end


def float64_from_bits(bits):
    """The float64 that these 64 bits spell."""
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
