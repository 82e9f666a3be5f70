"""The matrix product c = a b for an LSTM's steps, where a has few rows and b is the same in all steps.

BLAS cuts b into panels in each call, which takes a fifth of the time if a has few rows. Here b is cut once
(`into_panels`) and used in all steps (`product`). A row of c has the same bits whatever other rows a has.
"""

import functools
import math

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload

from ..compiled.cache import cached_njit

# nogil: threads work on parts of a batch side by side. error_model: no test for a zero divisor. contract: a
# fused multiply-add rounds once instead of twice. Never nnan or ninf: a NaN must come out as NaN.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})

# A tile of c has ROWS rows and the columns of one panel, which fill two registers per row. So its sums fill
# eight registers, and two units with four cycles per multiply-add never wait. BLOCK rows use a panel before
# the next one. A wide panel is right on every processor, but with AVX2 its sums fill all sixteen registers,
# some are moved to memory, and the product takes 2.4 times as long (measured on a Zen 3). With AVX-512, the
# assembly has eight sums in registers for a wide panel and four for a narrow one; no time was measured.
ROWS, BLOCK = 4, 64
NARROW, WIDE = 64, 128              # bytes per row of a panel: two registers of AVX, two of AVX-512


@functools.lru_cache(maxsize=None)
def panel_bytes(*target):
    """WIDE if LLVM uses registers of 64 bytes for a target, else NARROW.

    A target is (triple, processor, features); by default the one that Numba compiles for.

    No list of features says so: a feature may come with the processor's name or be switched on or off, and on
    some processors with AVX-512 LLVM prefers registers of 32 bytes, but only where the program does not ask
    for a larger vector. So LLVM compiles a sum of two vectors of 64 bytes, which takes 5 ms.
    """
    triple, processor, features = target or cpu_target.target_context.codegen().magic_tuple()
    module, vector = ir.Module(), ir.VectorType(ir.FloatType(), 16)
    function = ir.Function(module, ir.FunctionType(vector, [vector]), "twice")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.fadd(*function.args * 2))
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, features=features)
    return WIDE if "zmm" in machine.emit_assembly(llvm.parse_assembly(str(module))) else NARROW


def into_panels(b, row_bytes=None):
    """b (K, M) cut into panels (P, K, L) of L columns each; the last one is filled up with zeros.

    A row of a panel has `row_bytes` bytes: NARROW, WIDE, or by default what suits the processor.
    The panels begin at a multiple of 64 bytes, so that no register is loaded from two lines of the cache.
    """
    (K, M), L = b.shape, (row_bytes or panel_bytes()) // b.itemsize
    shape = -(-M // L), K, L
    memory = np.zeros(math.prod(shape) * b.itemsize + 63, np.uint8)
    panels = np.ndarray(shape, b.dtype, memory, offset=-memory.ctypes.data % 64)
    for p, panel in enumerate(panels):
        columns = b[:, p * L:(p + 1) * L]
        panel[:, :columns.shape[1]] = columns
    return panels


def times_panel(a, panel, c, left):
    """Compute the columns of c = a b that a panel holds; in c they begin at `left`."""
    c[:len(a), left:left + panel.shape[1]] = a @ panel


@intrinsic(prefer_literal=True)
def tile_in_registers(typingctx, a, r, panel, c, left, row_bytes):
    """Rows r to r + ROWS of `times_panel`: sums += (one number of each row of a) * (one row of the panel).

    The sums are vectors that stay in registers; LLVM does not keep them there for a loop written in Python.
    Where fewer than ROWS rows are left, the last one is computed again in place of the missing ones.
    `row_bytes`, the width of the panel, has to be a constant when this is compiled.
    """
    item = a.dtype.bitwidth // 8
    vector = ir.VectorType(ir.FloatType() if item == 4 else ir.DoubleType(), row_bytes.literal_value // item)
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

    return types.void(a, types.intp, panel, c, types.intp, row_bytes), codegen


@overload(times_panel)
def compiled_times_panel(a, panel, c, left):
    """Compiled code runs this as `times_panel`. Both widths are compiled; the panel's own decides."""
    def in_tiles(a, panel, c, left):
        if panel.shape[1] * panel.itemsize == WIDE:
            for r in range(0, len(a), ROWS):
                tile_in_registers(a, r, panel, c, left, WIDE)
        else:
            for r in range(0, len(a), ROWS):
                tile_in_registers(a, r, panel, c, left, NARROW)

    return in_tiles


@compiled
def product(a, panels, c):
    """c = a b for a (n, K) and b in panels, into c (n, M).

    The columns of the last panel that c does not have are computed into `edge` and dropped.
    """
    n, M = c.shape
    P, _, L = panels.shape
    edge = np.empty((BLOCK, L), c.dtype)
    for top in range(0, n, BLOCK):
        rows, into = a[top:top + BLOCK], c[top:top + BLOCK]
        for p in range(P):
            left = p * L
            if left + L <= M:
                times_panel(rows, panels[p], into, left)
            else:
                times_panel(rows, panels[p], edge, 0)
                for k in range(len(into)):
                    for j in range(M - left):
                        into[k, left + j] = edge[k, j]
