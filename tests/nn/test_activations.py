"""tanh and σ of the gates are accurate to a few units in the last place and bounded, and NaN stays NaN."""

import numpy as np
import pytest
from numba import njit

from ctc_scratch.nn.activations import sigmoid, tanh


@njit
def evaluate(x, t, s):
    for k in range(x.size):
        t[k] = tanh(x[k])
        s[k] = sigmoid(x[k])


def both(x):
    t, s = np.empty_like(x), np.empty_like(x)
    evaluate(x, t, s)
    return t, s


@pytest.mark.parametrize("dtype, wider, ulps", [(np.float32, np.float64, 6), (np.float64, np.longdouble, 9)])
def test_accuracy(dtype, wider, ulps):
    x = np.concatenate([np.linspace(-20, 20, 4001), np.linspace(-1, 1, 4001), np.logspace(-30, 0, 501)])
    x = x.astype(dtype)
    t, s = both(x)
    exact_t, exact_s = np.tanh(x.astype(wider)), 1 / (1 + np.exp(-x.astype(wider)))
    unit = np.spacing(np.abs(exact_t).astype(dtype))
    error = np.abs(t - exact_t) / unit
    worst = error.argmax()
    assert error[worst] <= ulps, f"tanh {x[worst]!r} = {t[worst]!r}, not {exact_t[worst]!r}"
    error = np.abs(s - exact_s) / np.finfo(dtype).eps       # absolute: its derivative needs no more
    worst = error.argmax()
    assert error[worst] <= 2, f"sigmoid {x[worst]!r} = {s[worst]!r}, not {exact_s[worst]!r}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_and_limits(dtype):
    x = np.concatenate([np.linspace(-60, 60, 5001), np.linspace(8, 20, 5001)]).astype(dtype)
    t, s = both(x)
    assert np.abs(t).max() == 1 and s.max() == 1 and s.min() >= 0
    assert (both(-x)[0] == -t).all(), "tanh must be odd"
    t, s = both(np.array([np.nan, np.inf, -np.inf, 0.0], dtype))
    assert np.isnan(t[0]) and np.isnan(s[0]), f"NaN became {t[0]}, {s[0]}"
    assert (t[1:] == [1, -1, 0]).all() and s[1] == 1 and s[2] < 1e-7 and s[3] == 0.5
