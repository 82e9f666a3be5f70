"""Two exponential functions: a fast one, and a slower one with a proved error bound.

Both split e^x into a power of two times a polynomial. Between them stands the costly part of a softmax:
e^(x - max) for eight frames side by side.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import overload

from .bits import EMPTY, exactly, power_of_two
from .fused import inlined
from .vector import (
    Eight,
    broadcast,
    eight,
    intrinsic,
    larger,
    put,
    python_twin,
    smaller,
    splat,
    vector_type,
    where_over,
    widened,
)

# ---- exp: a power of two times a polynomial ------------------------------------------------------
# Each function takes a number or an Eight: the same text compiles for both.

f32 = np.float32
# Adding 1.5 * 2^23 (2^52 in float64) rounds to an integer and leaves it in the low bits.
ROUND_32, ROUND_64 = f32(12582912.0), 6755399441055744.0
LOG2E_32, LOG2E_64 = f32(1.4426950408889634), 1.4426950408889634
# ln 2 in two parts, the first with so few bits that n times it is exact.
LN2_HIGH_32, LN2_LOW_32 = f32(0.693359375), f32(-2.12194440e-4)
LN2_HIGH_64, LN2_LOW_64 = 0.6931471803691238, 1.9082149292705877e-10
A0, A1, A2, A3, A4 = f32(0.5), f32(0.16666577), f32(0.04166646), f32(0.00836318), f32(0.00139337)
LOWEST_32, LOWEST_64 = f32(-88.0), -709.0  # at these, n is -127 and -1023, and 2^n has the bits of 0


def _two_to(rounded):
    whole, mantissa, bias = (np.int32, 23, 127) if rounded.dtype == np.float32 else (np.int64, 52, 1023)
    return ((rounded.view(whole) << whole(mantissa)) + whole(bias << mantissa)).view(rounded.dtype)


@python_twin(_two_to)
@intrinsic
def two_to(context, rounded):
    """2^n, given n + ROUND; 0 for the lowest n."""

    def codegen(context, builder, signature, arguments):
        number = rounded.dtype if isinstance(rounded, Eight) else rounded
        bits, mantissa, bias = (32, 23, 127) if number == types.float32 else (64, 52, 1023)
        whole, many = ir.IntType(bits), (lambda n: n)
        if isinstance(rounded, Eight):
            whole, many = vector_type(whole), (lambda n: [n] * 8)
        shifted = builder.shl(builder.bitcast(arguments[0], whole), ir.Constant(whole, many(mantissa)))
        return builder.bitcast(builder.add(shifted, ir.Constant(whole, many(bias << mantissa))),
                               arguments[0].type)

    return rounded(rounded), codegen


@python_twin(np.maximum)
@intrinsic
def at_least(context, x, least):
    """The larger of x and the number `least`; of an Eight, element by element."""

    def codegen(context, builder, signature, arguments):
        value, bound = arguments
        if isinstance(x, Eight):
            bound = broadcast(context, builder, bound, least, x)
        return builder.select(builder.fcmp_ordered(">", value, bound), value, bound)

    return x(x, least), codegen


@inlined
def exp32(x):
    """e^x for float32 x <= 0, with a relative error <= 1.6 * 2^-24 where e^x is normal; 0 for x < -87.7."""
    x = at_least(x, LOWEST_32)
    rounded = x * LOG2E_32 + ROUND_32
    n = rounded - ROUND_32
    r = x - n * LN2_HIGH_32
    r = r - n * LN2_LOW_32
    r2 = r * r
    p = (A4 * r2 + (A3 * r + A2)) * r2 + (A1 * r + A0)
    power = two_to(rounded)
    return power + power * (r2 * p + r)


@inlined
def exp64(x):
    """e^x for float64 x <= 0, with a relative error <= 2^-52 where e^x is normal; 0 for x < -708.75."""
    x = at_least(x, LOWEST_64)
    rounded = x * LOG2E_64 + ROUND_64
    n = rounded - ROUND_64
    r = x - n * LN2_HIGH_64
    r = r - n * LN2_LOW_64
    r2 = r * r
    r4 = r2 * r2
    a = (1 / 2 + r * (1 / 6)) + r2 * (1 / 24 + r * (1 / 120))
    b = (1 / 720 + r * (1 / 5040)) + r2 * (1 / 40320 + r * (1 / 362880))
    c = (1 / 3628800 + r * (1 / 39916800)) + r2 * (1 / 479001600 + r * (1 / 6227020800))
    p = a + r4 * (b + r4 * c)
    power = two_to(rounded)
    return power + power * (r2 * p + r)


@inlined
def exp_below32(x, top):
    """e^(x - top) for float32."""
    return exp32(x - top)


@inlined
def exp_below64(x, top):
    """e^(x - top) for float64, corrected for the rounding of x - top."""
    d = x - top
    back = d - x
    lost = (x - (d - back)) - (top + back)
    y = exp64(d)
    nothing = y - y
    return where_over(y, nothing, y + y * lost, nothing)  # lost is NaN where x is -inf


def exp_below(x, top):
    """e^(x - top) for x <= top, in their type."""
    return exp_below32(x, top) if x.dtype == np.float32 else exp_below64(x, top)


@overload(exp_below)
def _exp_below(x, top):
    if x in (types.float32, Eight(types.float32)):
        return lambda x, top: exp_below32(x, top)
    return lambda x, top: exp_below64(x, top)


# ---- a softmax before division, for eight frames side by side -----------------------------------------

BLOCK = 64
"""How many terms of a sum are added in the type of the logits; the sums of blocks are added in float64."""


@inlined
def largest_of_eight(line, C):
    """The largest logit of each of eight frames, as an Eight; line (C, 8) holds one class after the other."""
    top = eight(line, 0)
    for k in range(8, 8 * C, 8):
        top = larger(top, eight(line, k))
    return top


@inlined
def exp_of_eight(line, C, top):
    """Replace x in line (C, 8) by e^(x - top). Returns two Eights: the sums in float64, the least values."""
    total, least, zeros = splat(0.0), splat(line.dtype.type(1)), splat(line.dtype.type(0))
    for start in range(0, 8 * C, 8 * BLOCK):
        partial = zeros
        for k in range(start, min(start + 8 * BLOCK, 8 * C), 8):
            y = exp_below(eight(line, k), top)
            put(line, k, y)
            partial = partial + y
            least = smaller(least, y)
        total = total + widened(partial)
    return total, least


# ---- the exact exp: m 2^n, right within 2^-52 however large |x| is ---------------------------------
# Nothing here may be fused or reordered: the differences below are exact only as they are written. Hence the
# decorator `exactly`, which has no fastmath. No bit of a result depends on the processor or the compiler.

LOG2E = 1.4426950408889634
LN2_A, LN2_B, LN2_C = 0.6931471675634384, 1.2996506759677118e-08, 1.3421277060097865e-16  # 26, 26, the rest
TO_INT, TO_26 = 1.5 * 2.0**52, 1.5 * 2.0**78  # added and taken away: round to multiples of 1, of 2^26


@exactly
def exp_reduced(r):
    """e^r for |r| <= ln(2) / 2: the Taylor series up to r^13, the 1 added last."""
    r2 = r * r
    r4 = r2 * r2
    a = (1 / 6 * r + 1 / 2) + (1 / 120 * r + 1 / 24) * r2
    b = (1 / 5040 * r + 1 / 720) + (1 / 362880 * r + 1 / 40320) * r2
    c = (1 / 39916800 * r + 1 / 3628800) + (1 / 6227020800 * r + 1 / 479001600) * r2
    return 1.0 + (r + r2 * (a + r4 * (b + r4 * c)))


@exactly
def difference(x, top):
    """hi, lo with hi + lo = x - top exactly (TwoSum)."""
    hi = x - top
    back = hi - x
    return hi, (x - (hi - back)) - (top + back)


@exactly
def exp_split(x, top):
    """m, n with m 2^n = e^(x - top), m in (0.7, 1.42); m = 0 and n = EMPTY for x = EMPTY."""
    hi, lo = difference(x, top)
    n = (hi * LOG2E + TO_INT) - TO_INT
    n_26 = (n + TO_26) - TO_26
    n_1 = n - n_26
    r = (((hi - n_26 * LN2_A) - n_1 * LN2_A) - n_26 * LN2_B) - n_1 * LN2_B  # exact to here
    r = (r - n * LN2_C) + lo
    m = exp_reduced(min(max(r, -0.35), 0.35))
    return (m, n) if x > EMPTY else (0.0, EMPTY)


@exactly
def exp_row(x, top):
    """Replace every x[c] by e^(x[c] - top), or by 0 if x[c] - top <= -708: there it is nearly subnormal."""
    for c in range(x.shape[0]):
        hi, lo = difference(x[c], top)
        n = (max(hi, -800.0) * LOG2E + TO_INT) - TO_INT
        r = ((max(hi, -800.0) - n * LN2_HIGH_64) - n * LN2_LOW_64) + lo
        x[c] = exp_reduced(r) * power_of_two(max(n, -1022.0)) if hi > -708.0 else 0.0
