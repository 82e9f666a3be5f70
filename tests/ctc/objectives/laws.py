"""What holds for every objective: helpers for the tests of each of them."""

import numpy as np

from ctc_scratch.ctc.labels import min_frames
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close


def tiny_batches(rng, count):
    """(logits (T, C), log_probs, labels, blank) small enough to enumerate; some logits are -inf."""
    for _ in range(count):
        T, C, U = rng.integers(1, 7), rng.integers(2, 4), rng.integers(0, 4)
        blank = int(rng.integers(C))
        logits = rng.choice([1.0, 5.0]) * rng.standard_normal((T, C))
        if rng.random() < 1 / 3:
            logits[rng.random((T, C)) < 0.2] = -np.inf
            logits[logits.max(axis=1) == -np.inf] = 0.0
        labels = rng.choice([c for c in range(C) if c != blank], U)
        yield logits, log_softmax(logits), labels, blank


def check_gradient(rng, objective, tolerance=1e-7, **options):
    """Compare the gradient of random batches with central differences, and the sum of its rows with 0."""
    for _ in range(5):
        logits = rng.standard_normal((6, 3, 4))
        targets = [rng.integers(1, 4, U) for U in rng.integers(0, 4, 3)]
        lengths = np.array([rng.integers(min_frames(target) or 1, 7) for target in targets])

        def loss(x):
            return objective(x, targets, lengths, reduction="mean", **options).loss

        grad = objective(logits, targets, lengths, reduction="mean", **options).grad
        expected = np.zeros(logits.shape)
        for index in np.ndindex(logits.shape):
            step = np.zeros(logits.shape)
            step[index] = 1e-5
            expected[index] = (loss(logits + step) - loss(logits - step)) / 2e-5
        assert_close(grad, expected, tolerance, "gradient")
        assert_close(grad.sum(axis=2), np.zeros((6, 3)), 1e-14, "sum of a gradient's row")
