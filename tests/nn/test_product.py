"""The matrix product of the LSTM equals NumPy's at all sizes, and none of its rows depends on another."""

import math
import os
import re
import subprocess
import sys

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from numba.core.registry import cpu_target

from ctc_scratch.nn.product import BLOCK, NARROW, WIDE, into_panels, panel_bytes, product
from tests.conftest import assert_close

TRIPLE = cpu_target.target_context.codegen().magic_tuple()[0]
on_x86 = pytest.mark.skipif(not TRIPLE.startswith("x86_64"), reason="names processors of this kind")


@pytest.fixture(params=[NARROW, WIDE], ids=["narrow", "wide"])
def times(request):
    """A function that computes a b by `product` with panels of either width, whatever the processor is.

    The product is written into the middle of an array; the rows around it must not change.
    """
    def call(a, b):
        around = np.full((len(a) + 2, b.shape[1]), np.pi, a.dtype)
        product(a, into_panels(b, request.param), around[1:-1])
        assert (around[[0, -1]] == a.dtype.type(np.pi)).all(), "written beyond its rows"
        return around[1:-1]

    return call


@pytest.mark.parametrize("n, K, M", [
    (1, 1, 1), (2, 3, 15), (3, 7, 16), (4, 5, 17), (5, 2, 8), (6, 4, 33), (7, 1, 40), (BLOCK + 3, 6, 31),
    (0, 3, 4), (3, 0, 20), (3, 4, 0), (9, 3, 64), (5, 4, 65),
], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_product_equals_numpys(n, K, M, dtype, times, rng):
    a, b = rng.standard_normal((n, K)).astype(dtype), rng.standard_normal((K, M)).astype(dtype)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    size = np.abs(a).astype(np.longdouble) @ np.abs(b)          # rounding is relative to this
    assert_close(times(a, b), exact, K * np.finfo(dtype).eps * size.max(initial=0), "a b")


def test_rows_need_not_be_adjacent_in_memory(times, rng):
    wide = rng.standard_normal((6, 11))
    b = rng.standard_normal((3, 20))
    assert_close(times(wide[:, 4:7], b), wide[:, 4:7] @ b, 1e-14, "a b")


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NumPy sums one row in another order than four")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_has_the_same_bits_whatever_the_other_rows_are(dtype, times, rng):
    """A NaN in one row does not reach another."""
    a, b = rng.standard_normal((9, 50)).astype(dtype), rng.standard_normal((50, 21)).astype(dtype)
    together = times(a, b)
    for k in range(9):
        alone = times(a[k:k + 1], b)
        assert (together[k] == alone[0]).all(), f"row {k}"
    a[4, 7] = np.nan
    poisoned = times(a, b)
    assert np.isnan(poisoned[4]).all() and (np.delete(poisoned, 4, 0) == np.delete(together, 4, 0)).all()


@pytest.mark.parametrize("row_bytes", [NARROW, WIDE])
@pytest.mark.parametrize("M", [0, 1, 16, 17])
def test_panels_hold_the_columns_side_by_side_and_then_zeros(M, row_bytes, rng):
    b, L = rng.standard_normal((3, M)), row_bytes // 8
    panels = into_panels(b, row_bytes)
    assert panels.shape == (math.ceil(M / L), 3, L)
    columns = panels.transpose(1, 0, 2).reshape(3, -1)
    assert (columns[:, :M] == b).all() and (columns[:, M:] == 0).all()
    assert panels.ctypes.data % 64 == 0, "rows that cross lines of the cache"


def test_the_width_changes_a_product_by_rounding_only(rng):
    """Compiled code sums in the same order with either width; NumPy, which runs without it, may not."""
    a, b = rng.standard_normal((7, 30)), rng.standard_normal((30, 50))
    narrow, wide = np.empty((2, 7, 50))
    product(a, into_panels(b, NARROW), narrow)
    product(a, into_panels(b, WIDE), wide)
    assert_close(wide, narrow, 1e-14, "a b")


@on_x86
@pytest.mark.parametrize("processor, features, row_bytes", [
    ("x86-64", "", NARROW), ("haswell", "", NARROW), ("znver3", "", NARROW),
    ("skylake-avx512", "", WIDE),                                       # LLVM prefers 32 bytes for it
    ("icelake-server", "", WIDE), ("icelake-server", "-avx512f", NARROW), ("haswell", "+avx512f", WIDE),
])
def test_panels_are_wide_where_llvm_has_registers_of_64_bytes(processor, features, row_bytes):
    assert panel_bytes(TRIPLE, processor, features) == row_bytes


@on_x86
@pytest.mark.skipif(os.environ.keys() & {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX"},
                    reason="Numba may compile for another processor")
def test_by_default_the_panels_suit_this_processor():
    row_bytes = WIDE if llvm.get_host_cpu_features().get("avx512f") else NARROW
    assert into_panels(np.ones((1, 1))).nbytes == row_bytes


ASSEMBLY = """
from numba import float32, void
from ctc_scratch.nn.product import product
product.compile(void(float32[:, ::1], float32[:, :, ::1], float32[:, ::1]))
print(*product.inspect_asm().values())
"""


@on_x86
@pytest.mark.slow
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="asks for assembly")
def test_with_avx512_eight_sums_stay_in_registers(tmp_path):
    """Look at code for such a processor. It does not run, so this machine need not have one."""
    such = {"NUMBA_CPU_NAME": "icelake-server", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    assembly = subprocess.run([sys.executable, "-c", ASSEMBLY], capture_output=True, text=True, check=True,
                              env=os.environ | such).stdout
    sums = set(re.findall(r"vfmadd\w+ .*(%zmm\d+)$", assembly.replace("\t", " "), re.M))
    spilled = re.findall(r".*%zmm.*\(%rsp\)|.*\(%rsp\).*%zmm.*", assembly)
    assert len(sums) >= 8 and not spilled, f"sums in {sums}, spilled: {spilled}"
