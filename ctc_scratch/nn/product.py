"""The matrix product c = a b for an LSTM's steps, where a has few rows and b is the same in all steps.

BLAS cuts b into panels in each call, which takes a fifth of the time if a has few rows. Here b is cut once
(`into_panels`) and used in all steps (`product`). A row of c has the same bits whatever other rows a has.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ..compiled.cache import cached_njit

# nogil: threads work on parts of a batch side by side. error_model: no test for a zero divisor. contract: a
# fused multiply-add rounds once instead of twice. Never nnan or ninf: a NaN must come out as NaN.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})

# A tile of c has ROWS rows and as many columns as fit in PANEL_BYTES. With AVX its sums fill eight registers,
# so that two units with four cycles per multiply-add never wait. BLOCK rows use a panel before the next one.
ROWS, PANEL_BYTES, BLOCK = 4, 64, 64


def into_panels(b):
    """b (K, M) cut into panels (P, K, L) of L columns each; the last one is filled up with zeros."""
    (K, M), L = b.shape, PANEL_BYTES // b.itemsize
    panels = np.zeros((-(-M // L), K, L), b.dtype)
    for p, panel in enumerate(panels):
        columns = b[:, p * L:(p + 1) * L]
        panel[:, :columns.shape[1]] = columns
    return panels


def tile(a, r, panel, c, left):
    """Compute one tile of c = a b: the ROWS rows from r on, and the columns of the panel, from `left` on."""
    rows = a[r:r + ROWS] @ panel
    c[r:r + len(rows), left:left + panel.shape[1]] = rows


@intrinsic
def tile_in_registers(typingctx, a, r, panel, c, left):
    """What compiled code runs as `tile`: sums += (one number of each row of a) * (one row of the panel).

    The sums are vectors that stay in registers; LLVM does not keep them there for a loop written in Python.
    Where fewer than ROWS rows are left, the last one is computed again in place of the missing ones.
    """
    item = a.dtype.bitwidth // 8
    vector = ir.VectorType(ir.FloatType() if item == 4 else ir.DoubleType(), PANEL_BYTES // item)
    zero, undefined, first = ir.Constant(vector, None), ir.Constant(vector, ir.Undefined), ir.IntType(32)(0)
    first_everywhere = ir.Constant(ir.VectorType(first.type, vector.count), None)

    def codegen(context, builder, signature, args):
        a, panel, c = (context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2, 3))
        r, left = args[1], args[4]

        def row(array, k):
            """The address of row k, whose entries lie side by side."""
            stride = builder.extract_value(array.strides, 0)
            return cgutils.pointer_add(builder, array.data, builder.mul(k, stride))

        def vector_at(address):
            return builder.bitcast(address, vector.as_pointer())

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
def compiled_tile(a, r, panel, c, left):
    """Make compiled code that calls `tile` call `tile_in_registers`."""
    return lambda a, r, panel, c, left: tile_in_registers(a, r, panel, c, left)


@compiled
def product(a, panels, c):
    """c = a b for a (n, K) and b in panels, into c (n, M).

    The columns of the last panel that c does not have are computed into `edge` and dropped.
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
