"""The oracle itself: closed forms that enumeration must meet."""

import itertools
import math

import numpy as np
import pytest

from ctc_scratch.ctc import enumeration
from ctc_scratch.ctc.labels import collapse
from tests.conftest import assert_close


def test_the_toy_problem_has_5_and_15_alignments():
    assert len(enumeration.alignments([1, 1], T=4)) == 5
    assert len(enumeration.alignments([1, 2], T=4)) == 15


@pytest.mark.parametrize("T", range(7))
def test_number_of_alignments_is_the_binomial(T):
    for U in range(4):
        for labels in itertools.product([1, 2], repeat=U):
            paths = enumeration.alignments(labels, T)
            assert len(paths) == len(set(paths)) == enumeration.count_alignments(labels, T)
            assert all(collapse(path) == list(labels) for path in paths)


def test_counts_are_exact_integers_of_any_size():
    assert enumeration.count_alignments([1, 2] * 200, T=2000) == math.comb(2400, 800)


@pytest.mark.parametrize("T, C, blank", [(0, 2, 0), (1, 3, 2), (4, 3, 0), (6, 3, 1)])
def test_probabilities_of_all_labellings_sum_to_1(rng, T, C, blank):
    log_probs = np.log(rng.dirichlet(np.ones(C), size=T).reshape(T, C))
    dist = enumeration.labelling_distribution(log_probs, blank)
    assert_close(sum(dist.values()), 1.0, 1e-14, "sum")
    for labels, p in dist.items():
        assert_close(enumeration.log_likelihood(log_probs, labels, blank), math.log(p), 1e-12, f"{labels}")


def test_gamma_and_occupancy_are_distributions(rng):
    log_probs = np.log(rng.dirichlet(np.ones(3), size=5))
    gamma = enumeration.gamma(log_probs, [1, 1])
    occupancy = enumeration.occupancy(log_probs, [1, 1])
    assert_close(gamma.sum(axis=1), np.ones(5), 1e-14, "gamma row sums")
    assert_close(occupancy[:, 0], gamma[:, ::2].sum(axis=1), 1e-14, "blank")
    assert_close(occupancy[:, 1], gamma[:, 1::2].sum(axis=1), 1e-14, "label 1")
    assert_close(occupancy[:, 2], np.zeros(5), 0, "label 2, never used")


def test_large_sizes_are_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"3 classes in T=40 frames make 3\*\*40 paths"):
        enumeration.alignments([1, 2], T=40)
    with pytest.raises(ValueError, match="contain the blank"):
        enumeration.alignments([1, 0], T=4)
