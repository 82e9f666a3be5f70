"""Each operation on eight numbers gives what NumPy gives for an array of them."""

import numba
import numpy as np
import pytest

from ctc_scratch.compiled.vector import (
    absolute,
    eight,
    eight_of,
    first_of,
    larger,
    largest_of,
    narrowed,
    put,
    put_columns,
    smaller,
    splat,
    total_of,
    where_over,
    widened,
)


@numba.njit
def operators(x, out):
    a, b, two = eight(x, 0), eight(x, 8), x.dtype.type(2)
    put(out, 0, a + b)
    put(out, 8, a - b)
    put(out, 16, a * b)
    put(out, 24, a / b)
    put(out, 32, two - a)
    put(out, 40, a / two)
    put(out, 48, larger(a, b))
    put(out, 56, where_over(a, b, b, splat(two)))
    put(out, 64, smaller(a, b))


@numba.njit
def reductions(x):
    a = eight(x, 3)
    return first_of(a), largest_of(a), total_of(a)


@numba.njit
def conversions(x, wide, narrow):
    put(wide, 0, absolute(widened(eight(x, 0))))
    put(narrow, 0, narrowed(eight(wide, 0), narrow))
    put(wide, 8, eight_of(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0))


@numba.njit
def turned(rows, out, k, step):
    put_columns(out, k, step, eight(rows, 0), eight(rows, 8), eight(rows, 16), eight(rows, 24),
                eight(rows, 32), eight(rows, 40), eight(rows, 48), eight(rows, 56))


@pytest.fixture(params=[np.float32, np.float64])
def numbers(request, rng):
    return rng.standard_normal(16).astype(request.param)


def test_operators(numbers):
    a, b, out = numbers[:8], numbers[8:], np.empty(72, numbers.dtype)
    operators(numbers, out)
    expected = [a + b, a - b, a * b, a / b, 2 - a, a / 2, np.maximum(a, b), np.where(a > b, b, 2),
                np.minimum(a, b)]
    np.testing.assert_array_equal(out.reshape(9, 8), expected)


def test_reductions(numbers):
    first, largest, total = reductions(numbers)
    a = numbers[3:11]
    assert first == a[0] and largest == a.max()
    np.testing.assert_allclose(total, a.astype(np.float64).sum(), rtol=0, atol=16 * np.finfo(a.dtype).eps)


def test_conversions(numbers):
    wide, narrow = np.empty(16), np.empty(8, np.float32)
    conversions(numbers, wide, narrow)
    np.testing.assert_array_equal(wide[:8], np.abs(numbers[:8].astype(np.float64)))
    np.testing.assert_array_equal(narrow, wide[:8].astype(np.float32))
    np.testing.assert_array_equal(wide[8:], np.arange(1, 9))


def test_eights_are_counted_through_all_dimensions(numbers):
    """Eight numbers from number 3 of an array (4, 4) on run through the ends of rows."""
    np.testing.assert_array_equal(reductions(numbers.reshape(4, 4))[:2], reductions(numbers)[:2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k, step", [(0, 8), (3, 11), (16, 24), (100, -9)])
def test_eight_rows_are_turned_into_columns(dtype, k, step):
    """Column j of the matrix goes to the eight numbers from k + j * step on, and nowhere else."""
    matrix, out = np.arange(64, dtype=dtype).reshape(8, 8), np.full(200, -1, dtype)
    expected = out.copy()
    for j in range(8):
        expected[k + j * step:k + j * step + 8] = matrix[:, j]
    turned(matrix, out, k, step)
    np.testing.assert_array_equal(out, expected)
