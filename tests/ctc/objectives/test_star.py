"""Stars: options without any star, paths that can be read in several ways, and a nearly certain blank."""

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.objectives import star_ctc_loss
from tests.conftest import assert_close


@pytest.mark.parametrize("options", [{"star": None}, {"star": []}, {"star": "ends", "star_weight": -np.inf}],
                         ids=str)
def test_without_stars_it_is_ctc(make_problem, options):
    problem = make_problem(20, 4, 5, 6)
    arguments = problem.logits, problem.targets, problem.logit_lengths
    found, plain = star_ctc_loss(*arguments, **options), ctc_loss(*arguments)
    assert_close(found.loss, plain.loss, 1e-13, "loss")
    assert_close(found.grad, plain.grad, 1e-14, "gradient")


def test_a_path_counts_once_for_each_way_to_read_it():
    """Two for (1, 1): the label twice; a starred frame, then the label. One for (0, 1), (2, 1), (1, 0)."""
    found = star_ctc_loss(np.zeros((2, 3)), [1], star=[0])
    assert_close(np.exp(-found.loss), 5 / 9, 1e-15, "sum")


def test_a_star_near_a_certain_blank_keeps_its_digits():
    """The others have so little probability that 1 - y(blank) would be 0, or have few correct digits."""
    logits = np.array([[0.0, -50.0, -51.0]])
    found = star_ctc_loss(logits - 40, [], star=[0], star_weight=-1.0)
    assert_close(found.grad[0, 1], np.exp(-50.0) * (1 - np.exp(-1.0)), 1e-36, "gradient")
