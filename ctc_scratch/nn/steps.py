"""All steps of one direction of an LSTM, forward and backward.

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

from ..compiled.cache import cached_njit
from .activations import sigmoid, tanh
from .product import product

# nogil: threads run shards side by side. error_model: x/0 = inf as in NumPy; the Python model's
# test for a zero divisor keeps LLVM from vectorising tanh. contract: fused multiply-add, which
# rounds once less. Never nnan or ninf: a NaN must come out as NaN.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})


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
