"""The delays that the delay penalty reports."""

import numpy as np

from ctc_scratch.ctc.objectives import delay_ctc_loss
from tests.conftest import assert_close
from tests.ctc.objectives import definitions
from tests.ctc.objectives.laws import tiny_batches


def test_delays_are_expected_first_frames(rng):
    for logits, log_probs, labels, blank in tiny_batches(rng, 100):
        weight = rng.normal()
        found = delay_ctc_loss(logits, labels, blank=blank, weight=weight, infeasible="inf")
        assert len(found.delays) == 1
        expected = definitions.delays(log_probs, labels, blank, weight)
        assert np.array_equal(np.isnan(found.delays[0]), np.isnan(expected))
        if not np.isnan(expected).any():
            assert_close(found.delays[0], expected, 1e-12, "delays")


def test_a_large_weight_puts_labels_first_or_last(rng):
    logits = rng.standard_normal((9, 2, 5))
    for weight, expected in ((60.0, [[0, 1, 3], [0]]), (-60.0, [[5, 6, 8], [8]])):
        found = delay_ctc_loss(logits, [[1, 2, 2], [4]], weight=weight)
        for delays, frames in zip(found.delays, expected, strict=True):
            assert_close(delays, np.array(frames, float), 1e-12, "delays")
