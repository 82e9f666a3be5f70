"""Problems small enough to enumerate every path, with their loss and gradient by enumeration."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc import enumeration

LABELLINGS = {C: [labels for U in range(4) for labels in itertools.product(range(1, C), repeat=U)]
              for C in (1, 2, 3)}

on_all_small_sizes = pytest.mark.parametrize("T, C, scale", [
    (T, C, scale) for T in range(7) for C in (1, 2, 3) for scale in (0, 1, 5)])
"""T <= 6 frames and C <= 3 classes, and three standard deviations of the logits."""

on_some_labellings = pytest.mark.parametrize("labels", [(), (1,), (1, 1), (1, 2), (1, 1, 1)], ids=str)


def small_problems(rng, T, C, scale):
    """Yield (logits, labels, blank, loss, gradient) of all labellings of up to 3 labels, for every blank."""
    for labels, blank in itertools.product(LABELLINGS[C], range(C)):
        labels = [(c + blank) % C for c in labels]  # rename the classes so that `blank` is the blank
        logits = scale * rng.standard_normal((T, C))
        yield logits, labels, blank, *enumeration.loss_and_grad(logits, labels, blank)


def problems_with_minus_inf(rng, labels):
    """Yield (logits, loss, gradient) 200 times: 5 frames, 3 classes, each logit -inf with probability 0.3."""
    infeasible = 0
    for _ in range(200):
        logits = rng.standard_normal((5, 3))
        logits[rng.random((5, 3)) < 0.3] = -np.inf
        logits[np.arange(5), rng.integers(3, size=5)] = 0.5  # each frame keeps one class
        loss, grad = enumeration.loss_and_grad(logits, labels)
        infeasible += loss == np.inf
        yield logits, loss, grad
    assert 0 < infeasible < 200, "feasible and infeasible targets must both be drawn"
