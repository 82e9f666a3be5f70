"""The matrix product of the LSTM equals NumPy's at all sizes, and none of its rows depends on another."""

import numba
import numpy as np
import pytest

from ctc_scratch.nn.product import BLOCK, into_panels, product
from tests.conftest import assert_close


def times(a, b):
    """a b by `product`, written into the middle of an array; the rows around it must not change."""
    around = np.full((len(a) + 2, b.shape[1]), np.pi, a.dtype)
    product(a, into_panels(b), around[1:-1])
    assert (around[[0, -1]] == a.dtype.type(np.pi)).all(), "written beyond its rows"
    return around[1:-1]


@pytest.mark.parametrize("n, K, M", [
    (1, 1, 1), (2, 3, 15), (3, 7, 16), (4, 5, 17), (5, 2, 8), (6, 4, 33), (7, 1, 40), (BLOCK + 3, 6, 31),
    (0, 3, 4), (3, 0, 20), (3, 4, 0),
], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_product_equals_numpys(n, K, M, dtype, rng):
    a, b = rng.standard_normal((n, K)).astype(dtype), rng.standard_normal((K, M)).astype(dtype)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    size = np.abs(a).astype(np.longdouble) @ np.abs(b)          # rounding is relative to this
    assert_close(times(a, b), exact, K * np.finfo(dtype).eps * size.max(initial=0), "a b")


def test_rows_need_not_be_adjacent_in_memory(rng):
    wide = rng.standard_normal((6, 11))
    b = rng.standard_normal((3, 20))
    assert_close(times(wide[:, 4:7], b), wide[:, 4:7] @ b, 1e-14, "a b")


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NumPy sums one row in another order than four")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_has_the_same_bits_whatever_the_other_rows_are(dtype, rng):
    """A NaN in one row does not reach another."""
    a, b = rng.standard_normal((9, 50)).astype(dtype), rng.standard_normal((50, 21)).astype(dtype)
    together = times(a, b)
    for k in range(9):
        alone = times(a[k:k + 1], b)
        assert (together[k] == alone[0]).all(), f"row {k}"
    a[4, 7] = np.nan
    poisoned = times(a, b)
    assert np.isnan(poisoned[4]).all() and (np.delete(poisoned, 4, 0) == np.delete(together, 4, 0)).all()
