"""tanh and the logistic function σ, in a form that LLVM computes for several numbers at a time.

An LSTM needs five of them per unit and step, and the C library computes one at a time. Here each is a
quotient of two polynomials: no branch, no table, one division. Both come from one continued fraction for a
small argument, and from formulas that double the argument.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from ..compiled.cache import cached_njit

# nogil: threads work on parts of a batch side by side. error_model: x/0 is inf as in NumPy, because the
# Python model's test for a zero divisor keeps LLVM from vectorising. contract: a fused multiply-add rounds
# once instead of twice. Never nnan or ninf: a NaN must come out as NaN.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})

# Integers below 2**24 and powers of two are exact in float32. As float32 numbers they leave each result the
# type of x, so that one source serves float32 and float64.
HALF, QUARTER, EIGHTH, SIXTEENTH = map(np.float32, (0.5, 0.25, 0.125, 0.0625))
P0, P1, P2 = map(np.float32, (135135, 17325, 378))
Q0, Q1, Q2, Q3 = map(np.float32, (135135, 62370, 3150, 28))

# Largest arguments of the continued fraction. Beyond them tanh and σ round to their limits.
LIMIT_SINGLE, LIMIT_DOUBLE = np.float32(4.5625), np.float64(2.5)


@compiled
def lambert(y):
    """p, q with p/q = tanh y for |y| < 5: y/(1 + y²/(3 + y²/(5 + ...))), cut off after the 13."""
    s = y * y
    return y * (P0 + s * (P1 + s * (P2 + s))), Q0 + s * (Q1 + s * (Q2 + s * Q3))


@compiled
def double_argument(p, q):
    """tanh 2y = 2pq / (p² + q²) from tanh y = p/q, as numerator and denominator.

    The denominator is computed as 2pq + (q - p)², which never rounds to less than 2pq: |tanh| stays <= 1.
    """
    pq, d = (p + p) * q, q - p
    return pq, pq + d * d


@compiled
def tanh_single(x):
    p, q = lambert(min(HALF * abs(x), LIMIT_SINGLE))
    p, q = double_argument(p, q)
    return math.copysign(p / q, x)


@compiled
def tanh_double(x):
    p, q = lambert(min(EIGHTH * abs(x), LIMIT_DOUBLE))
    p, q = double_argument(p, q)
    p, q = double_argument(p, q)
    p, q = double_argument(p, q)
    return math.copysign(p / q, x)


@compiled
def sigmoid_single(x):
    p, q = lambert(max(min(QUARTER * x, LIMIT_SINGLE), -LIMIT_SINGLE))
    a, b = q + p, q - p
    return a * a / (a * a + b * b)


@compiled
def sigmoid_double(x):
    p, q = lambert(max(min(SIXTEENTH * x, LIMIT_DOUBLE), -LIMIT_DOUBLE))
    p, q = double_argument(p, q)
    p, q = double_argument(p, q)
    a, b = q + p, q - p
    return a * a / (a * a + b * b)


def tanh(x):
    """tanh x of a float32 or float64 scalar, within 6 (float64: 8) units in the last place."""
    return tanh_single(x) if isinstance(x, np.float32) else tanh_double(x)


def sigmoid(x):
    """σ(x) = 1 / (1 + exp(-x)) = a²/(a² + b²), where a/b = (1 + tanh x/4) / (1 - tanh x/4) = exp(x/2)."""
    return sigmoid_single(x) if isinstance(x, np.float32) else sigmoid_double(x)


@overload(tanh)
def compiled_tanh(x):
    """The tanh that compiled code calls, chosen by the type of x."""
    return (lambda x: tanh_single(x)) if x == types.float32 else (lambda x: tanh_double(x))


@overload(sigmoid)
def compiled_sigmoid(x):
    """The σ that compiled code calls, chosen by the type of x."""
    return (lambda x: sigmoid_single(x)) if x == types.float32 else (lambda x: sigmoid_double(x))
