"""tanh and the logistic function σ for the gates of an LSTM, fast because LLVM can vectorise them."""

import math

import numpy as np
from numba import types
from numba.extending import overload

from ..compiled.cache import cached_njit

# nogil: threads run shards side by side. error_model: x/0 = inf as in NumPy; the Python model's
# test for a zero divisor keeps LLVM from vectorising tanh. contract: fused multiply-add, which
# rounds once less. Never nnan or ninf: a NaN must come out as NaN.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})

# The constants are integers below 2**24 and powers of two, exact in float32: results have the type
# of x, and one source serves both widths.
HALF, QUARTER, EIGHTH, SIXTEENTH = map(np.float32, (0.5, 0.25, 0.125, 0.0625))
P0, P1, P2 = map(np.float32, (135135, 17325, 378))
Q0, Q1, Q2, Q3 = map(np.float32, (135135, 62370, 3150, 28))
LIMIT_SINGLE, LIMIT_DOUBLE = np.float32(4.5625), np.float64(2.5)    # the functions are flat beyond


@compiled
def lambert(y):
    """p, q with p/q = tanh y for |y| < 5: y/(1 + y²/(3 + y²/(5 + ...))), cut after the 13."""
    s = y * y
    return y * (P0 + s * (P1 + s * (P2 + s))), Q0 + s * (Q1 + s * (Q2 + s * Q3))


@compiled
def double(p, q):
    """tanh 2y = 2pq / (p² + q²) from tanh y = p/q; the sum in this form never rounds below 2pq."""
    pq, d = (p + p) * q, q - p
    return pq, pq + d * d


@compiled
def tanh_single(x):
    p, q = lambert(min(HALF * abs(x), LIMIT_SINGLE))
    p, q = double(p, q)
    return math.copysign(p / q, x)


@compiled
def tanh_double(x):
    p, q = lambert(min(EIGHTH * abs(x), LIMIT_DOUBLE))
    p, q = double(p, q)
    p, q = double(p, q)
    p, q = double(p, q)
    return math.copysign(p / q, x)


@compiled
def sigmoid_single(x):
    p, q = lambert(max(min(QUARTER * x, LIMIT_SINGLE), -LIMIT_SINGLE))
    a, b = q + p, q - p
    return a * a / (a * a + b * b)


@compiled
def sigmoid_double(x):
    p, q = lambert(max(min(SIXTEENTH * x, LIMIT_DOUBLE), -LIMIT_DOUBLE))
    p, q = double(p, q)
    p, q = double(p, q)
    a, b = q + p, q - p
    return a * a / (a * a + b * b)


def tanh(x):
    """tanh x of a float32 or float64 scalar, within 6 (float64: 8) units in the last place."""
    return tanh_single(x) if isinstance(x, np.float32) else tanh_double(x)


def sigmoid(x):
    """1 / (1 + exp(-x)) = a²/(a² + b²), where a/b = (1 + tanh x/4) / (1 - tanh x/4) = exp(x/2)."""
    return sigmoid_single(x) if isinstance(x, np.float32) else sigmoid_double(x)


@overload(tanh)
def choose_tanh(x):
    """The same choice for compiled callers, by type."""
    return (lambda x: tanh_single(x)) if x == types.float32 else (lambda x: tanh_double(x))


@overload(sigmoid)
def choose_sigmoid(x):
    """The same choice for compiled callers, by type."""
    return (lambda x: sigmoid_single(x)) if x == types.float32 else (lambda x: sigmoid_double(x))
