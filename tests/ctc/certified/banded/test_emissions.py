"""The softmax of long sequences: its exponential, and the gradient that is written past the cache."""

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.certified.banded import emissions
from tests.conftest import as_plain_python, assert_close
from tests.ctc.certified.unjudged import by_banded


@pytest.mark.parametrize("dtype, ulp", [(np.float32, 2.0**-24), (np.float64, 2.0**-53)])
def test_exp_is_within_two_roundings(dtype, ulp):
    x = -np.linspace(0, 80, 100_001).astype(dtype)
    out = np.empty_like(x)
    emissions.row_exp(x[None], 0, dtype(0), out, x[None], -1, out, dtype(0))
    worst = np.abs(out / np.exp(x.astype(np.longdouble)) - 1).max()
    assert worst <= 2 * ulp, f"{float(worst / ulp):.2f} roundings"
    with np.errstate(invalid="ignore"):  # plain Python warns
        rows = np.full((1, 9), -np.inf, dtype)
        emissions.row_exp(rows, 0, dtype(0), out[:9], rows, -1, out[:9], dtype(0))
    assert not out[:9].any()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_too_large_for_the_cache_is_written_completely_and_nothing_else(dtype, rng):
    """Rows of 5003 classes begin at every memory alignment; the numbers around the array must not change."""
    T, C = 300, 5003
    assert T * C * np.dtype(dtype).itemsize > emissions.PAST_CACHE
    logits, labels = rng.standard_normal((T, C)).astype(dtype), rng.integers(1, C, 20)
    expected = ctc_loss(logits, labels, method="exact").grad
    for offset in (0, 1, 5):
        memory = np.full(T * C + 16, 7.5, dtype)
        out = memory[offset:offset + T * C].reshape(T, C)
        result = ctc_loss(logits, labels, out=out)
        assert not result.exact
        assert_close(out, expected, 1e-6 if dtype == np.float32 else 1e-12, "gradient past the cache")
        assert (memory[:offset] == 7.5).all() and (memory[offset + T * C:] == 7.5).all()


@as_plain_python
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_writing_the_gradient_past_the_cache_changes_no_bit(make_problem, monkeypatch, dtype):
    logits, targets, lengths, _ = make_problem(T=7, N=3, C=83, U=4, dtype=dtype)
    expected = ctc_loss(logits, targets, lengths)
    monkeypatch.setattr(emissions, "PAST_CACHE", 0)
    for layout, given in [("TNC", logits), ("NTC", logits.transpose(1, 0, 2).copy())]:
        result = ctc_loss(given, targets, lengths, layout=layout)
        grad = result.grad if layout == "TNC" else result.grad.transpose(1, 0, 2)
        assert np.array_equal(grad, expected.grad) and np.array_equal(result.loss, expected.loss)


@pytest.mark.parametrize("x", [-345.9, -346.3, -346.6, -347.1, -400.0])
def test_a_raised_emission_is_never_below_the_true_one(x):
    """At the least emission that is computed, a float32 logit must not be raised to less than e^(x - max)."""
    logits = np.zeros((1, 9), np.float32)
    logits[0, 1] = x
    truth = np.log(8.0) - float(logits[0, 1])
    assert by_banded(logits, [1]).loss <= truth * (1 + 1e-14)
