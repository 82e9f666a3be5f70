"""The compiled part of the network: an LSTM's steps forward and backward, and the optimisers' loops.

Shapes: a batch is kept *packed*, one row a frame (`lstm.py` says how). The K frames of a batch are
rows of the padded one with its T * N frames: row k is frame `frames[k]` of x, y, dx and dy. Step s
has the rows starts[s]:starts[s + 1], and these n rows are what the gates' kernels get.

    z           (K, D + 1 + H)      what the gates of a frame see: [x, 1, h of the step before]
    gates       (n, 4H)             W z, then i, f, g, o
    c, cells    (n, H), (K, H)      c_before those of the step before, at least n rows
    y, dy       (T * N, columns)    hidden states; a direction owns `column:column + H`
    dgates      (n, 4H)             gradients before σ and tanh
    dh, dc      (N, H)              gradients that come back from the step after
    weights     (P, rows, L)        a matrix in panels of L columns, the last one filled up with zeros
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ..compiled.cache import cached_njit

# nogil: threads run shards side by side. error_model: x/0 = inf as in NumPy; the Python model's
# test for a zero divisor keeps LLVM from vectorising tanh. contract: fused multiply-add, which
# rounds once less. Never nnan or ninf: a NaN must come out as NaN.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})

# reassoc lets the sum run in several lanes; its terms are squares, so no order is a bad one.
compiled_sum = cached_njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})

# A product is made of tiles of ROWS rows and as many columns as PANEL_BYTES hold: in AVX eight registers
# of sums, as many as keep two units of four cycles busy. BLOCK rows go through a panel before the next.
ROWS, PANEL_BYTES, BLOCK = 4, 64, 64

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


def tile(a, r, panel, c, left):
    """c = a b in the ROWS rows from r on and the columns from `left` on that the panel holds."""
    rows = a[r:r + ROWS] @ panel
    c[r:r + len(rows), left:left + panel.shape[1]] = rows


@intrinsic
def tile_in_registers(typingctx, a, r, panel, c, left):
    """The same for compiled callers, in vectors: c += (a number of each row of a) * (a row of b).

    The sums stay in registers, which LLVM achieves with no loop written in Python. Where fewer than
    ROWS rows are left, the last one is computed again in place of those missing.
    """
    item = a.dtype.bitwidth // 8
    vector = ir.VectorType(ir.FloatType() if item == 4 else ir.DoubleType(), PANEL_BYTES // item)
    zero, undefined, first = ir.Constant(vector, None), ir.Constant(vector, ir.Undefined), ir.IntType(32)(0)
    first_everywhere = ir.Constant(ir.VectorType(first.type, vector.count), None)

    def codegen(context, builder, signature, args):
        a, panel, c = (context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2, 3))
        r, left = args[1], args[4]

        def row(array, k):
            """Where row k begins; its entries lie side by side."""
            stride = builder.extract_value(array.strides, 0)
            return cgutils.pointer_add(builder, array.data, builder.mul(k, stride))

        def vector_at(place):
            return builder.bitcast(place, vector.as_pointer())

        def everywhere(number):
            alone = builder.insert_element(undefined, number, first)
            return builder.shuffle_vector(alone, undefined, first_everywhere)

        last = builder.sub(builder.extract_value(a.shape, 0), r.type(1))
        rows = [builder.add(r, r.type(k)) for k in range(ROWS)]
        rows = [builder.select(builder.icmp_signed("<", k, last), k, last) for k in rows]
        a_rows, sums = [row(a, k) for k in rows], [cgutils.alloca_once_value(builder, zero) for _ in rows]
        with cgutils.for_range(builder, builder.extract_value(panel.shape, 0)) as loop:
            b_row = builder.load(vector_at(row(panel, loop.index)), align=item)
            for a_row, total in zip(a_rows, sums):
                factor = everywhere(builder.load(builder.gep(a_row, [loop.index])))
                term = builder.fmul(factor, b_row, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), term, flags=("contract",)), total)
        for k, total in zip(rows, sums):
            builder.store(builder.load(total), vector_at(builder.gep(row(c, k), [left])), align=item)
        return context.get_dummy_value()

    return types.void(a, types.intp, panel, c, types.intp), codegen


@overload(tile)
def choose_tile(a, r, panel, c, left):
    """The vectors, for compiled callers."""
    return lambda a, r, panel, c, left: tile_in_registers(a, r, panel, c, left)


@compiled
def product(a, panels, c):
    """c = a b, with b in panels. Each row is summed in one order, whatever rows stand beside it.

    BLAS copies b into such panels in each call; for the few rows of a step that takes a fifth of its time.
    """
    n, M = c.shape
    P, _, L = panels.shape
    edge = np.empty((ROWS, L), c.dtype)
    for top in range(0, n, BLOCK):
        stop = min(top + BLOCK, n)
        for p in range(P):
            left, panel = p * L, panels[p]
            for r in range(top, stop, ROWS):
                if left + L <= M:
                    tile(a, r, panel, c, left)
                else:
                    tile(a[r:r + ROWS], 0, panel, edge, 0)
                    for k in range(r, min(r + ROWS, stop)):
                        for j in range(M - left):
                            c[k, left + j] = edge[k - r, j]


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
def gates_forward(gates, c_before, c, frames, y, column, z_after):
    """One step from gates = W z.

        i, f, g, o = σ, σ, tanh, σ          c = f c_before + i g            h = o tanh c

    h goes to y, and to z of the step after in the sequences that go on, which are the first rows.
    Several short loops a row: with few arrays in each, LLVM can tell them apart and vectorises.
    """
    n, H = c.shape
    D = z_after.shape[1] - 1 - H
    for k in range(n):
        i, f, g, o = gates[k, :H], gates[k, H:2 * H], gates[k, 2 * H:3 * H], gates[k, 3 * H:]
        i_and_f = gates[k, :2 * H]
        for j in range(2 * H):
            i_and_f[j] = sigmoid(i_and_f[j])
        for j in range(H):
            g[j] = tanh(g[j])
        for j in range(H):
            o[j] = sigmoid(o[j])

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


@compiled
def steps_forward(z, weights, gates, c_start, cells, frames, starts, y, column):
    """All steps of one direction: gates = W z, i, f, g, o, c, h; `weights` are the transpose of W."""
    c_before = c_start
    for s in range(starts.size - 1):
        first, last = starts[s], starts[s + 1]
        after = starts[s + 2] if s + 2 < starts.size else last
        product(z[first:last], weights, gates[first:last])
        gates_forward(gates[first:last], c_before, cells[first:last], frames[first:last],
                      y, column, z[last:after])
        c_before = cells[first:last]


@compiled
def steps_backward(gates, c_start, cells, frames, starts, dy, column, weights, dh, dc, dgates):
    """The same, last step first: dh of the step before = dgates weight_hh; `weights` are weight_hh."""
    for s in range(starts.size - 2, -1, -1):
        first, last = starts[s], starts[s + 1]
        c_before = cells[starts[s - 1]:first] if s > 0 else c_start
        gates_backward(gates[first:last], c_before, cells[first:last], frames[first:last],
                       dy, column, dh, dc, dgates[first:last])
        product(dgates[first:last], weights, dh[:last - first])


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
