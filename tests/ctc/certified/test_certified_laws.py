"""Random problems of any size and spread: certified answers are exact, and nearly all are certified."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.labels import min_frames
from tests.conftest import assert_close
from tests.ctc.certified.unjudged import by_banded
from tests.tools.strategies import laws

PLAIN = numba.config.DISABLE_JIT


def draw(seed, T, most_scale):
    """Logits and labels: U uniform in 0..T/2, C in 2..60, the deviation log-uniform, repeats in a third."""
    rng = np.random.default_rng(seed)
    U, C = int(rng.integers(0, T // 2 + 1)), int(rng.integers(2, 61))
    scale = float(np.exp(rng.uniform(np.log(0.1), np.log(most_scale))))
    labels = rng.integers(1, C, U)
    if seed % 3 == 0:
        labels = np.repeat(labels, 2)[:U]
    while min_frames(labels) > T:
        labels = labels[:-1]
    return scale * rng.standard_normal((T, C)), labels


def agrees(logits, labels):
    """Whether the answer is certified; fails if it is not the exact one."""
    result, exact = ctc_loss(logits, labels), ctc_loss(logits, labels, method="exact")
    if not result.exact:
        assert_close(result.loss / exact.loss, 1.0, 1e-12, "relative loss")
        assert_close(result.grad, exact.grad, 1e-12, "gradient")
        assert_close(result.grad, exact.grad, result.bound + exact.bound, "gradient, by its bound")
    return not result.exact


random_problems = st.integers(1, 20 if PLAIN else 120), st.integers(0, 10**6)


@laws
@given(*random_problems)
def test_a_certified_answer_is_the_exact_one(T, seed):
    agrees(*draw(seed, T, 20))


@settings(laws, max_examples=5 if PLAIN else 100)
@given(*random_problems)
def test_the_gap_of_the_kernel_for_long_sequences_holds_for_any_length(T, seed):
    """Also for sequences that the solver gives to the kernel for short ones, and for logits of any spread."""
    logits, labels = draw(seed, T, 100)
    exact, answer = ctc_loss(logits, labels, method="exact"), by_banded(logits, labels)
    assert answer.gap > -1e-13
    if answer.gap < np.inf:
        assert_close(answer.grad, exact.grad, answer.gap + 1e-12, "gradient, by its gap")


@pytest.mark.skipif(PLAIN, reason="takes minutes in plain Python")
def test_nearly_all_answers_are_certified():
    """At least 97 of 100, of a fixed set."""
    rng = np.random.default_rng(7)
    certified = [agrees(*draw(seed, int(rng.integers(1, 121)), 20)) for seed in range(300)]
    assert np.mean(certified) >= 0.97, f"{sum(certified)} of 300"
