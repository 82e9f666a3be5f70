"""Logits that cannot be used are found at any position, by any number of threads, before any output."""

import threading

import numpy as np
import pytest

from ctc_scratch.compiled.counter import DONE, FAILED, new_progress
from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.inputs.values import BLOCK, all_finite
from ctc_scratch.ctc.running import threads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, *BLOCK + np.arange(-1, 2), 3 * BLOCK])
def test_a_number_that_is_not_finite_is_found_at_any_position(dtype, size):
    numbers = np.full((size, 1), np.finfo(dtype).max, dtype)
    numbers[::2] = np.finfo(dtype).min

    def finite():
        progress = new_progress()
        answer = all_finite(numbers, progress)
        assert progress[DONE] == -(-size // BLOCK), "the number of blocks that are done"
        return answer

    assert finite()
    for k in {0, size // 2, min(BLOCK - 1, size - 1), min(BLOCK, size - 1), size - 1}:
        kept = numbers[k, 0]
        for bad in (np.nan, -np.nan, np.inf, -np.inf):
            numbers[k] = bad
            assert not finite(), (k, bad)
        numbers[k] = kept
    assert all_finite(numbers[:0], new_progress())


def test_no_thread_goes_on_before_all_numbers_are_inspected():
    """Another thread is still busy with the last of two blocks; then it finds a NaN there."""
    progress, answers = np.array([2, 1, 0]), []
    waits = threading.Thread(target=lambda: answers.append(
        all_finite(np.zeros((BLOCK + 1, 1)), progress)))
    waits.start()
    waits.join(timeout=0.2)
    assert waits.is_alive() and not answers
    progress[FAILED] = 1
    progress[DONE] = 2
    waits.join(timeout=30)
    assert answers == [False]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("n, t", [(0, 0), (7, 39), (4, 20)])
@pytest.mark.parametrize("padded", [False, True])
def test_a_bad_logit_is_refused_before_out_is_written_to(rng, monkeypatch, count, n, t, padded):
    """Also where several threads inspect the logits together, in the call that solves the batch."""
    monkeypatch.setattr(threads, "TOGETHER_COST", 0)
    monkeypatch.setattr(threads, "_num_threads", count)
    logits, lengths = rng.standard_normal((40, 8, 60)), np.full(8, 40)
    targets = rng.integers(1, 60, (8, 5))
    if padded:
        lengths[2] = 10
    out = np.full_like(logits, 7.0)
    logits[t, n, 3] = np.nan
    with pytest.raises(ValueError, match=rf"logits\[t={t}, n={n}, c=3\] is nan"):
        ctc_loss(logits, targets, lengths if padded else None, out=out)
    assert (out == 7.0).all()


@pytest.mark.parametrize("infeasible", ["inf", "zero"])
def test_a_bad_logit_is_refused_where_no_sequence_has_a_path(infeasible):
    logits = np.zeros((2, 1, 3))
    logits[1, 0, 2] = np.inf
    with pytest.raises(ValueError, match=r"logits\[t=1, n=0, c=2\] is inf"):
        ctc_loss(logits, [[1, 1]], infeasible=infeasible)
