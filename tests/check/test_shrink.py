"""Shrinking: the result is still faulty, and as small as the fault allows."""

import numpy as np
import pytest

from ctc_scratch.check.problems import Problem, one
from ctc_scratch.check.shrink import MOST_CALLS, shrink


@pytest.mark.parametrize("is_faulty, frames, labels", [
    (lambda problem: True, 0, 0),
    (lambda problem: problem.frames >= 5, 5, 0),
    (lambda problem: any(len(target) >= 2 for target in problem.targets), 0, 2),
    (lambda problem: any(a == b for target in problem.targets for a, b in zip(target, target[1:])), 0, 2),
], ids=["anything", "5 frames", "2 labels", "repeat"])
def test_the_smallest_problem_is_found(is_faulty, frames, labels):
    rng = np.random.default_rng(0)
    logits = tuple(rng.standard_normal((T, 5)) for T in (9, 6, 13))
    problem = Problem(logits, ((1, 2), (3,), (4, 4, 1)), padding=2)
    smaller = shrink(problem, is_faulty)
    assert is_faulty(smaller)
    assert (len(smaller.logits), smaller.frames, smaller.padding) == (1, frames, 0)
    assert len(smaller.targets[0]) == labels and smaller.classes == 1 + len(set(smaller.targets[0]))
    assert all(value in (0, 1, -1) for value in smaller.logits[0].ravel())


def test_numbers_that_matter_stay():
    problem = one(np.array([[0.375, 2.71828, 3.3]]), 1)
    smaller = shrink(problem, lambda problem: bool((problem.logits[0] > 2.5).any()))
    assert smaller.logits[0].max() == 3 and smaller.targets == ((),)


def test_shrinking_ends():
    calls = []

    def is_faulty(problem):
        calls.append(0)
        return problem.frames >= 40

    shrink(one(np.random.default_rng(0).standard_normal((60, 40)), 1, 2), is_faulty)
    assert len(calls) <= MOST_CALLS
