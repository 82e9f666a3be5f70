"""The steps of an LSTM in one direction, forward and backward, as compiled loops.

Begin with `gates_forward` and `gates_backward`: one step and its derivative. `steps_forward` and
`steps_backward` call them for all steps in turn. `lstm.py` allocates every array; the functions here fill
them.

A batch is *packed*: its K frames are rows, in the order in which the LSTM reads them (`lstm.py` explains
it). Row k is frame `frames[k]` of the padded batch, whose T * N frames are the rows of x, y, dx and dy.
Step s has the rows starts[s]:starts[s + 1]; n is their number.

    z           (K, D + 1 + H)      what the gates see of each frame: [x, 1, h of the step before]
    gates       (n, 4H)             W z, then i, f, g, o
    c, cells    (n, H), (K, H)      cell states of one step, and of all
    c_before    (>= n, H)           cell states of the step before
    y, dy       (T * N, columns)    hidden states; this direction has the columns `column:column + H`
    dgates      (n, 4H)             gradients of W z
    dh, dc      (N, H)              gradients that arrive from the step after
    weights     (P, rows, L)        a matrix in panels, as `product.into_panels` makes them
"""

from ..compiled.cache import cached_njit
from .activations import sigmoid, tanh
from .product import product

# The flags of `activations.py`, whose functions are inlined here, for the same reasons.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})


@compiled
def gates_forward(gates, c_before, c, frames, y, column, z_after):
    """One step, from gates = W z on.

        i, f, g, o = σ, σ, tanh, σ of the gates
        c = f c_before + i g
        h = o tanh c

    h goes to y, and to z of the step after. Sequences that end here are the last rows: they have no row
    in z_after. Each row has several short loops, because LLVM vectorises a loop only if it can tell its
    arrays apart, which must therefore be few.
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
    """The same step backward: each equation of `gates_forward`, the last one first.

    dh and dc arrive from the step after; on return dc is what goes to the step before. The derivatives
    σ' = σ - σ² and tanh' = 1 - tanh² are multiplied out, so that no constant 1 of the right type is needed.
    """
    n, H = c.shape
    for k in range(n):
        i, f, g, o = gates[k, :H], gates[k, H:2 * H], gates[k, 2 * H:3 * H], gates[k, 3 * H:]
        di, df = dgates[k, :H], dgates[k, H:2 * H]
        dg, do = dgates[k, 2 * H:3 * H], dgates[k, 3 * H:]

        before, now, dh_out = c_before[k], c[k], dy[frames[k], column:column + H]
        dh_back, dc_back = dh[k], dc[k]
        for j in range(H):
            # h = o tanh c, used by y and by the step after
            tanh_c = tanh(now[j])
            o_dh = o[j] * (dh_out[j] + dh_back[j])
            dc_j = dc_back[j] + (o_dh - o_dh * (tanh_c * tanh_c))
            # c = f c_before + i g
            i_dc = i[j] * dc_j
            f_dc = f[j] * dc_j
            # o, g, f, i = σ, tanh, σ, σ of the gates
            do[j] = tanh_c * (o_dh - o_dh * o[j])
            dg[j] = i_dc - i_dc * (g[j] * g[j])
            df[j] = before[j] * (f_dc - f_dc * f[j])
            di[j] = g[j] * (i_dc - i_dc * i[j])
            # c_before
            dc_back[j] = f_dc


@compiled
def steps_forward(gates, c_start, cells, frames, starts, y, column, weights, z):
    """All steps, the first one first: gates = W z, then `gates_forward`. `weights` hold W transposed."""
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
    """All steps, the last one first: `gates_backward`, then dh of the step before = dgates weight_hh.

    `weights` hold weight_hh.
    """
    for s in range(starts.size - 2, -1, -1):
        first, last = starts[s], starts[s + 1]
        c_before = cells[starts[s - 1]:first] if s > 0 else c_start
        gates_backward(gates[first:last], c_before, cells[first:last], frames[first:last],
                       dy, column, dh, dc, dgates[first:last])
        product(dgates[first:last], weights, dh[:last - first])


@compiled
def pack(x, frames, z):
    """z[k] = [x[frames[k]], 1, h]; `gates_forward` fills in h, step by step."""
    K, D = frames.size, x.shape[1]
    for k in range(K):
        row, source = z[k], x[frames[k]]
        for d in range(D):
            row[d] = source[d]
        row[D] = 1


@compiled
def unpack_add(dx_rows, frames, dx):
    """dx[frames[k]] += dx_rows[k]: the backward pass of `pack`."""
    K, D = dx_rows.shape
    for k in range(K):
        row, target = dx_rows[k], dx[frames[k]]
        for d in range(D):
            target[d] += row[d]
