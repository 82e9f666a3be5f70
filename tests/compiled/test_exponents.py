"""Powers of two for eight numbers at a time, against NumPy's frexp and ldexp."""

import numba
import numpy as np
import pytest

from ctc_scratch.compiled.exponents import eight_whole, exponents_of, powers_of_two, put_whole
from ctc_scratch.compiled.vector import eight, put


@numba.njit
def find_exponents(x, out):
    for k in range(0, len(x), 8):
        put(out, k, exponents_of(eight(x, k)))


@numba.njit
def find_powers(n, out):
    for k in range(0, len(n), 8):
        put(out, k, powers_of_two(eight(n, k)))


@numba.njit
def widen(whole, k, out):
    put(out, 0, eight_whole(whole, k))


@numba.njit
def narrow(numbers, whole, k):
    put_whole(whole, k, eight(numbers, 0))


def test_the_exponent_of_a_normal_number(rng):
    powers = 2.0 ** np.arange(-1022, 1024)
    numbers = np.concatenate([
        powers, np.nextafter(powers[1:], 0), np.nextafter(powers, np.inf), powers * 1.7])
    numbers = np.append(numbers, np.full(-len(numbers) % 8, 1.0))
    found = np.empty_like(numbers)
    find_exponents(numbers, found)
    np.testing.assert_array_equal(found, np.frexp(numbers)[1] - 1.0)


def test_the_exponent_of_0_is_below_all_others():
    found = np.empty(8)
    find_exponents(np.array([0.0, 2.0**-1022] * 4), found)
    np.testing.assert_array_equal(found, [-1023.0, -1022.0] * 4)


def test_every_power_of_two_of_a_normal_number():
    exponents = np.append(np.arange(-1022.0, 1024.0), [0.0, 0.0])
    found = np.empty_like(exponents)
    find_powers(exponents, found)
    np.testing.assert_array_equal(found, np.ldexp(1.0, exponents.astype(int)))


@pytest.mark.parametrize("k", [0, 3, 8])
def test_whole_numbers_are_read_and_written_as_int32_from_any_index(k):
    """Every int32 is a float64, so nothing rounds; the numbers around stay as they are."""
    numbers = np.array([0, 1, -1, 2**30, -2**30, 2**31 - 1, -2**31, 7], float)
    whole, back = np.full(24, 77, np.int32), np.empty(8)
    narrow(numbers, whole, k)
    np.testing.assert_array_equal(whole[k:k + 8], numbers.astype(np.int64))
    assert (np.delete(whole, np.arange(k, k + 8)) == 77).all()
    widen(whole, k, back)
    np.testing.assert_array_equal(back, numbers)
