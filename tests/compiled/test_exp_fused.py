"""The fused exp is as accurate as its docstrings promise, for one number and for eight, down to 0."""

import numba
import numpy as np
import pytest
from mpmath import mp

from ctc_scratch.compiled.exp import exp32, exp64, exp_below
from ctc_scratch.compiled.vector import eight, put


@numba.njit
def apply_exp32(x, out):
    for k in range(len(x)):
        out[k] = exp32(x[k])


@numba.njit
def apply_exp64(x, out):
    for k in range(len(x)):
        out[k] = exp64(x[k])


@numba.njit
def apply_exp_below(x, top, out):
    for k in range(len(x)):
        out[k] = exp_below(x[k], top)


@numba.njit
def apply_exp_below_to_eights(x, top, out):
    for k in range(0, len(x), 8):
        put(out, k, exp_below(eight(x, k), top))


def relative_errors(found, arguments):
    with mp.workprec(200):
        return [float(abs(mp.mpf(float(y)) / mp.exp(x) - 1)) for y, x in zip(found, arguments)]


@pytest.mark.parametrize("function, dtype, lowest, zero, promised", [
    (apply_exp32, np.float32, -87.3, -87.7, 1.6 * 2.0**-24),
    (apply_exp64, np.float64, -708.3, -708.75, 2.0**-52),
], ids=["float32", "float64"])
def test_exp_is_as_accurate_as_promised(rng, function, dtype, lowest, zero, promised):
    x = np.concatenate([rng.uniform(lowest, 0, 2000), -rng.exponential(1e-3, 200), [0.0, lowest]])
    x = x.astype(dtype)
    out = np.empty_like(x)
    function(x, out)
    errors = relative_errors(out, map(float, x))
    assert max(errors) <= promised, f"{max(errors)} at {x[np.argmax(errors)]!r}, promised {promised}"
    assert out[x == 0] == 1
    below = np.array([np.nextafter(dtype(zero), dtype(-np.inf)), -1e4, np.finfo(dtype).min, -np.inf], dtype)
    with np.errstate(all="ignore"):  # plain Python warns
        function(below, out[:4])
    assert out[:4].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("top", [0.0, 3.7, -1e3, 1e6])
def test_what_a_difference_loses_is_put_back(rng, top):
    """e^(x - top) is about as accurate as e^x, although x - top itself is rounded."""
    x = top - rng.uniform(0, 700, 800)
    out = np.empty_like(x)
    apply_exp_below(x, top, out)
    with mp.workprec(200):
        arguments = [mp.mpf(float(number)) - mp.mpf(top) for number in x]
    assert max(relative_errors(out, arguments)) <= 2.0**-51


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eight_numbers_get_what_single_numbers_get(rng, dtype):
    x = np.concatenate([rng.uniform(-100, 2, 61), [2, -1e4, -np.inf]]).astype(dtype)
    one, eights = np.empty_like(x), np.empty_like(x)
    with np.errstate(all="ignore"):  # plain Python warns
        apply_exp_below(x, dtype(2), one)
        apply_exp_below_to_eights(x, dtype(2), eights)
    np.testing.assert_allclose(eights, one, rtol=4 * np.finfo(dtype).eps, atol=0)
    assert eights[-3:].tolist() == [1, 0, 0]
