"""The three moves on arrays of states: where they lead, and how one is drawn."""

import numpy as np
import pytest

from ctc_scratch.ctc.labels import can_skip, extend
from ctc_scratch.ctc.paths.moves import backward, draw_moves, entropy_terms, three_moves
from tests.conftest import assert_close


def test_moves_lead_to_the_next_states_that_they_may_enter():
    after = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    stay, step, skip = three_moves(after, can_skip(extend([1, 1, 2])))
    inf = np.inf
    assert stay.tolist() == after.tolist()
    assert step.tolist() == [2, 3, 4, 5, 6, 7, -inf]
    assert skip.tolist() == [-inf, -inf, -inf, 6, -inf, -inf, -inf]  # from the second 1 to the 2 alone


@pytest.mark.parametrize("unite", [np.maximum, np.logaddexp], ids=["max", "sum"])
def test_scores_and_tops_make_the_backward_recursion(unite):
    """One label in three frames: a blank costs 2 nats per frame, the label 1."""
    emissions = np.tile([-2.0, -1.0, -2.0], (3, 1))
    scores, tops = backward(emissions, can_skip(extend([1])), lambda moves: unite.reduce(moves, axis=0))
    assert (scores.max(axis=1) == 0).all()
    log_beta = scores + np.cumsum(tops[::-1])[::-1, None]
    assert log_beta[2].tolist() == [-np.inf, 0.0, 0.0]
    last_label = unite(-1.0, -2.0)  # stay in the label, or step to the blank after it
    assert_close(log_beta[1], [-1.0, last_label, -2.0], 1e-15, "beta of frame 1")
    expected = [unite(-2.0 - 1.0, -1.0 + last_label), unite(-1.0 + last_label, -2.0 - 2.0), -4.0]
    assert_close(log_beta[0], expected, 1e-15, "beta of frame 0")


def test_a_move_is_drawn_as_often_as_its_probability_says():
    probs = np.array([0.2, 0.5, 0.3])
    uniform = (np.arange(1000) + 0.5) / 1000
    assert np.bincount(draw_moves(probs, uniform), minlength=3).tolist() == [200, 500, 300]


@pytest.mark.parametrize("probs, drawn", [
    ([1.0, 0.0, 0.0], 0), ([0.0, 1.0, 0.0], 1), ([0.0, 0.0, 1.0], 2), ([0.0, 1 - 1e-15, 0.0], 1),
    ([1 - 1e-15, 0.0, 0.0], 0),
], ids=str)
def test_a_move_of_probability_0_is_never_drawn(probs, drawn):
    """Whatever rounding leaves between the sum and 1."""
    uniform = np.array([0.0, 0.5, np.nextafter(1.0, 0.0)])
    assert draw_moves(np.array(probs), uniform).tolist() == [drawn] * 3


def test_a_probability_of_0_or_1_has_no_entropy():
    assert entropy_terms(np.array([0.0, 1.0])).tolist() == [0.0, 0.0]
    assert_close(entropy_terms(np.array([0.5, 0.25])), [0.5 * np.log(2), 0.25 * np.log(4)], 1e-16, "-p ln p")
