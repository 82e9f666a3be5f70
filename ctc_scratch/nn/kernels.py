"""The compiled part of the network: LSTM gates forward and backward, and the optimisers' loops.

Shapes: a batch is kept *packed*, one row a frame (`lstm.py` says how). The K frames of a batch are
rows of the padded one with its T * N frames: row k is frame `frames[k]` of x, y, dx and dy. The
gates' kernels get the n rows of one step.

    z           (K, D + 1 + H)      what the gates of a frame see: [x, 1, h of the step before]
    gates       (n, 4H)             i, f, g, o; before a step what x and the bias give them
    recurrent   (n, 4H)             what h of the step before gives them
    c           (n, H)              cells; c_before those of the step before, at least n rows
    y, dy       (T * N, columns)    hidden states; a direction owns `column:column + H`
    dgates      (n, 4H)             gradients before σ and tanh
    dh, dc      (N, H)              gradients that come back from the step after
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

# nogil: threads run shards side by side. error_model: x/0 = inf as in NumPy; the Python model's
# test for a zero divisor keeps LLVM from vectorising tanh. contract: fused multiply-add, which
# rounds once less. Never nnan or ninf: a NaN must come out as NaN.
compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})

# reassoc lets the sum run in several lanes; its terms are squares, so no order is a bad one.
compiled_sum = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})

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


@compiled
def pack(x, frames, z):
    """z[k] = [x[frames[k]], 1, .]; the hidden states that follow are written step by step."""
    K, D = frames.size, x.shape[1]
    for k in range(K):
        row, source = z[k], x[frames[k]]
        for d in range(D):
            row[d] = source[d]
        row[D] = 1


@compiled
def unpack_add(rows, frames, dx):
    """dx[frames[k]] += rows[k]."""
    K, D = rows.shape
    for k in range(K):
        row, target = rows[k], dx[frames[k]]
        for d in range(D):
            target[d] += row[d]


@compiled
def gates_forward(gates, recurrent, c_before, c, frames, y, column, z_after):
    """One step from gates + recurrent = W z.

        i, f, g, o = σ, σ, tanh, σ          c = f c_before + i g            h = o tanh c

    h goes to y, and to z of the step after in the sequences that go on, which are the first rows.
    Several short loops a row: with few arrays in each, LLVM can tell them apart and vectorises.
    """
    n, H = c.shape
    D = z_after.shape[1] - 1 - H
    for k in range(n):
        i, f, g, o = gates[k, :H], gates[k, H:2 * H], gates[k, 2 * H:3 * H], gates[k, 3 * H:]
        i_and_f, from_h = gates[k, :2 * H], recurrent[k]
        for j in range(2 * H):
            i_and_f[j] = sigmoid(i_and_f[j] + from_h[j])
        for j in range(H):
            g[j] = tanh(g[j] + from_h[2 * H + j])
        for j in range(H):
            o[j] = sigmoid(o[j] + from_h[3 * H + j])

        before, now, h = c_before[k], c[k], y[frames[k], column:column + H]
        for j in range(H):
            c_j = f[j] * before[j] + i[j] * g[j]
            now[j] = c_j
            h[j] = o[j] * tanh(c_j)
        if k < len(z_after):
            h_after = z_after[k, D + 1:]
            for j in range(H):
                h_after[j] = h[j]


@compiled
def gates_backward(gates, c_before, c, frames, dy, column, dh, dc, dgates):
    """The same step backward; dc becomes what goes back to the step before, through f.

    σ' = σ - σ² and tanh' = 1 - tanh²; written so, they need no constant of the right type.
    """
    n, H = c.shape
    for k in range(n):
        i, f, g, o = gates[k, :H], gates[k, H:2 * H], gates[k, 2 * H:3 * H], gates[k, 3 * H:]
        di, df = dgates[k, :H], dgates[k, H:2 * H]
        dg, do = dgates[k, 2 * H:3 * H], dgates[k, 3 * H:]

        before, now, dh_out = c_before[k], c[k], dy[frames[k], column:column + H]
        dh_back, dc_back = dh[k], dc[k]
        for j in range(H):
            tanh_c = tanh(now[j])
            o_dh = o[j] * (dh_out[j] + dh_back[j])
            dc_j = dc_back[j] + (o_dh - o_dh * (tanh_c * tanh_c))
            i_dc = i[j] * dc_j
            f_dc = f[j] * dc_j
            do[j] = tanh_c * (o_dh - o_dh * o[j])
            dg[j] = i_dc - i_dc * (g[j] * g[j])
            df[j] = before[j] * (f_dc - f_dc * f[j])
            di[j] = g[j] * (i_dc - i_dc * i[j])
            dc_back[j] = f_dc


@compiled_sum
def sum_of_squares(grad):
    """Σ grad², in float64 whatever the type of grad."""
    total = 0.0
    for k in range(grad.size):
        total += np.float64(grad[k]) * np.float64(grad[k])
    return total


@compiled
def scale(grad, factor):
    """grad *= factor."""
    for k in range(grad.size):
        grad[k] *= factor


@compiled
def sgd_step(param, grad, velocity, momentum, rate):
    """v = momentum v + grad;  param -= rate v."""
    for k in range(param.size):
        velocity[k] = momentum * velocity[k] + grad[k]
        param[k] -= rate * velocity[k]


@compiled
def adam_step(param, grad, m, v, keep_m, add_m, keep_v, add_v, rate, root, eps):
    """m = keep m + add grad;  v = keep v + add grad²;  param -= rate m / (root sqrt(v) + eps).

    `rate` and `root` carry the corrections for the start at zero.
    """
    for k in range(param.size):
        m[k] = keep_m * m[k] + add_m * grad[k]
        v[k] = keep_v * v[k] + add_v * grad[k] * grad[k]
        param[k] -= rate * m[k] / (root * np.sqrt(v[k]) + eps)
