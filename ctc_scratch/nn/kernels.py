"""The compiled part of the network: LSTM gates forward and backward, and the optimisers' loops.

Shapes, as `lstm.py` explains them: a batch of sequences is kept *packed*, one row a frame, `K`
rows in all; step `t` owns the rows `starts[t]:starts[t + 1]`, and `frames[k]` says which frame of
the padded batch (T * N frames) row `k` is.

    z       (K, D + H + 1)   what the gates of a frame see: [x, h of the step before, 1]
    gates   (4, K, H)        i, f, g, o
    cells   (K, H)           c
    y, dy   (T * N, columns) hidden states; a direction owns `column:column + H`
    dgates  (K, 4, H)        gradients before the nonlinearity
    dz      (K, D + H)       gradients of [x, h of the step before]
    zero    (H,)             the state before the first step, and the gradient after the last
"""
import numpy as np
from numba import njit

# nogil: threads run shards side by side. error_model: x/0 = inf as in NumPy; the Python model's
# test for a zero divisor keeps LLVM from vectorising tanh. contract: fused multiply-add, which
# rounds once less. Never nnan or ninf: a NaN must come out as NaN.
compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})

# reassoc lets the sum run in several lanes; its terms are squares, so no order is a bad one.
compiled_sum = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})

# Every constant of tanh is an integer below 2**24 or a power of two, exact in float32: the result
# has the type of x, and one source serves both widths.
LIMIT = np.float32(19.125)      # tanh rounds to 1 beyond, in float64 too
EIGHTH, HALF, TWO = np.float32(0.125), np.float32(0.5), np.float32(2)
P0, P1, P2 = np.float32(135135), np.float32(17325), np.float32(378)
Q0, Q1, Q2, Q3 = np.float32(135135), np.float32(62370), np.float32(3150), np.float32(28)


@compiled
def tanh(x):
    """Lambert's continued fraction y/(1 + y²/(3 + y²/(5 + ...))), cut after 13, at y = x/8; then
    tanh 2y = 2 tanh y / (1 + tanh² y) three times, on numerator and denominator."""
    y = EIGHTH * (LIMIT if x > LIMIT else (-LIMIT if x < -LIMIT else x))
    s = y * y
    p = y * (P0 + s * (P1 + s * (P2 + s)))
    q = Q0 + s * (Q1 + s * (Q2 + s * Q3))
    # from here on p/q is what counts: bring both near 1, so that their squares fit float32
    p, q = p / Q0, q / Q0
    p, q = TWO * p * q, q * q + p * p
    p, q = TWO * p * q, q * q + p * p
    return TWO * p * q / (q * q + p * p)


@compiled
def sigmoid(x):
    """1 / (1 + exp(-x)) = 1/2 + tanh(x/2) / 2."""
    return HALF + HALF * tanh(HALF * x)


@compiled
def pack(x, frames, z):
    """z[k] = [x[frames[k]], ., 1]; the hidden states in between are written step by step."""
    K, D = frames.size, x.shape[1]
    for k in range(K):
        for d in range(D):
            z[k, d] = x[frames[k], d]
        z[k, -1] = HALF + HALF


@compiled
def unpack_add(dz, frames, dx):
    """dx[frames[k]] += dz[k, :D]."""
    K, D = frames.size, dx.shape[1]
    for k in range(K):
        for d in range(D):
            dx[frames[k], d] += dz[k, d]


@compiled
def gates_forward(t, starts, frames, gates, cells, zero, z, y, column):
    """Step t, from gates = W z:  i, f, g, o = σ, σ, tanh, σ;  c = f c' + i g;  h = o tanh c.

    The hidden state goes to y and, where the sequence goes on, to z of its next frame.
    """
    H = cells.shape[1]
    D = z.shape[1] - H - 1
    for k in range(starts[t], starts[t + 1]):
        i, f, g, o, c = gates[0, k], gates[1, k], gates[2, k], gates[3, k], cells[k]
        c_before = cells[k - (starts[t] - starts[t - 1])] if t > 0 else zero
        h = y[frames[k], column:column + H]
        for j in range(H):
            i[j] = sigmoid(i[j])
            f[j] = sigmoid(f[j])
            g[j] = tanh(g[j])
            o[j] = sigmoid(o[j])
            c[j] = f[j] * c_before[j] + i[j] * g[j]
            h[j] = o[j] * tanh(c[j])
        after = k + starts[t + 1] - starts[t]
        if t + 2 < starts.size and after < starts[t + 2]:
            for j in range(H):
                z[after, D + j] = h[j]


@compiled
def gates_backward(t, starts, frames, gates, cells, zero, dz, dy, column, dcells, dgates):
    """Step t backward. On entry dcells holds dloss/dc from step t + 1, on exit the same for t - 1.

    σ' = σ - σ² and tanh' = 1 - tanh², each written without a constant.
    """
    H = cells.shape[1]
    D = dz.shape[1] - H
    for k in range(starts[t], starts[t + 1]):
        i, f, g, o, c = gates[0, k], gates[1, k], gates[2, k], gates[3, k], cells[k]
        di, df, dg, do = dgates[k, 0], dgates[k, 1], dgates[k, 2], dgates[k, 3]
        c_before = cells[k - (starts[t] - starts[t - 1])] if t > 0 else zero
        dc = dcells[k - starts[t]]
        dh = dy[frames[k], column:column + H]
        after = k + starts[t + 1] - starts[t]
        goes_on = t + 2 < starts.size and after < starts[t + 2]
        dh_after = dz[after, D:] if goes_on else zero
        for j in range(H):
            tanh_c = tanh(c[j])
            dh_j = dh[j] + dh_after[j]
            dc_j = dc[j] + dh_j * o[j] - dh_j * o[j] * tanh_c * tanh_c
            do[j] = dh_j * tanh_c * (o[j] - o[j] * o[j])
            dg[j] = dc_j * i[j] - dc_j * i[j] * g[j] * g[j]
            df[j] = dc_j * c_before[j] * (f[j] - f[j] * f[j])
            di[j] = dc_j * g[j] * (i[j] - i[j] * i[j])
            dc[j] = dc_j * f[j]


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
def adam_step(param, grad, mean, square, keep_mean, add_mean, keep_square, add_square, rate, root, eps):
    """m and v move towards grad and grad²;  param -= rate m / (root sqrt(v) + eps).

    `rate` and `root` carry the corrections for the start at zero.
    """
    for k in range(param.size):
        mean[k] = keep_mean * mean[k] + add_mean * grad[k]
        square[k] = keep_square * square[k] + add_square * grad[k] * grad[k]
        param[k] -= rate * mean[k] / (root * np.sqrt(square[k]) + eps)
