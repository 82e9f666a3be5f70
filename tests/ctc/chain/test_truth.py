"""Hessian products and entropy against 256-bit arithmetic, on normal and on peaky scores."""

import numpy as np
import pytest

from ctc_scratch.ctc.chain.solve import posterior
from tests.conftest import assert_close
from tests.tools import truth


def scores_with_spikes(rng, T, labels, spike, C=9):
    """ln y (T, C) where one class of each frame has probability 1 - spike: an alignment of the labels.

    The other classes share the rest at random.
    """
    path = np.zeros(T, int)
    path[np.sort(rng.choice(np.arange(0, T, 2), len(labels), replace=False))] = labels
    rest = rng.dirichlet(np.ones(C - 1), T)
    y = np.empty((T, C))
    for t, c in enumerate(path):
        y[t, np.arange(C) != c], y[t, c] = spike * rest[t], 1 - spike
    return np.log(y)


def problem(rng, kind, T, U):
    labels = rng.integers(1, 9, U)
    scores = (rng.standard_normal((T, 9)) if kind == "normal"
              else scores_with_spikes(rng, T, labels, float(kind)))
    return scores, labels


def relative(value, exact):
    return np.abs(value - exact).max() / np.abs(exact).max()


@pytest.mark.parametrize("budget", [0, 2**30], ids=["checkpoints", "one block"])
@pytest.mark.parametrize("kind", ["normal", "1e-2", "1e-6", "1e-9"])
def test_hessian_product(rng, kind, budget):
    scores, labels = problem(rng, kind, 60, 12)
    v = rng.standard_normal(scores.shape)
    found = posterior(scores, labels, 0, values=v, budget=budget)
    assert_close(relative(found.covariance, truth.hessian_product(scores, labels, v)), 0.0, 1e-12, "hvp")


@pytest.mark.parametrize("kind", ["normal", "1e-2", "1e-6", "1e-9", "1e-14"])
def test_entropy(rng, kind):
    scores, labels = problem(rng, kind, 60, 12)
    found = posterior(scores, labels, 0, want=["entropy"])
    exact = truth.solve(scores, labels, normalise=False).entropy
    assert_close(truth.relative_error(found.entropy, exact), 0.0, 1e-12, "entropy")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "1e-9"])
def test_entropy_of_a_long_sequence(rng, kind):
    scores, labels = problem(rng, kind, 2000, 200)
    found = posterior(scores, labels, 0, want=["entropy"])
    exact = truth.solve(scores, labels, normalise=False).entropy
    assert_close(truth.relative_error(found.entropy, exact), 0.0, 1e-12, "entropy")
