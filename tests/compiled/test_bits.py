"""Bit casts and powers of two give the numbers that NumPy and math give."""

import math

import numba
import numpy as np
import pytest

from ctc_scratch.compiled.bits import bits_of_float64, float64_from_bits, near_one, power_of_two


@numba.njit
def there_and_back(x):
    return float64_from_bits(bits_of_float64(x))


@numba.njit
def bits(x):
    return bits_of_float64(x)


@pytest.mark.parametrize("x", [0.0, -0.0, 1.0, -2.5, 5e-324, 1.7976931348623157e308, math.inf, -math.inf])
def test_bits_are_those_of_numpy(x):
    assert bits(x) == np.float64(x).view(np.int64)
    assert np.float64(there_and_back(x)).tobytes() == np.float64(x).tobytes()


@pytest.mark.parametrize("n", [-1022, -1, 0, 1, 52, 1023])
def test_a_power_of_two(n):
    assert power_of_two(float(n)) == math.ldexp(1.0, n)


def test_a_number_near_one_times_a_power_of_two(rng):
    root = math.sqrt(2)
    for x in [2.0**-1022, 1.0, root, math.nextafter(root, 2), *np.exp(rng.uniform(-700, 700, 100))]:
        mantissa, exponent = near_one(x, 7)
        assert math.sqrt(0.5) < mantissa <= math.sqrt(2)
        assert math.ldexp(mantissa, int(exponent) - 7) == x
