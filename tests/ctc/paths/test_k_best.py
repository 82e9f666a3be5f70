"""k_best: the paths of a lattice in the order of their probabilities, against the enumeration."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc.labels import can_skip, extend, states_of
from ctc_scratch.ctc.paths.k_best import paths_by_score
from ctc_scratch.ctc.paths.lattice import lattice
from tests.conftest import assert_close
from tests.ctc.paths.enumerated import feasible_problems, on_all_small_problems


@on_all_small_problems
def test_k_best_is_the_sorted_enumeration(T, kind):
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        found = result.k_best(len(paths) + 3)
        assert_close([a.log_prob for a in found], log_probs, 1e-12, "log-probabilities")
        assert sorted(tuple(a.path) for a in found) == sorted(paths), "each path once"
        few = result.k_best(3)
        assert_close([a.log_prob for a in few], log_probs[:3], 1e-12, "log-probabilities")


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 2]], ids=str)
def test_paths_of_equal_scores_come_in_the_order_of_their_departures(labels):
    """All scores 0: every path comes once, and the first one takes the first of the moves."""
    T, skips = 4, can_skip(extend(labels))
    result = lattice(np.zeros((T, 3)), labels)
    best_after = np.where(result.gamma > 0, 0.0, -np.inf)
    paths = [tuple(path.tolist()) for path in paths_by_score(best_after, skips)]
    every = itertools.product(range(len(skips)), repeat=T)
    legal = {path for path in every if result.gamma[range(T), path].all() and all(
        b - a in (0, 1) or (b - a == 2 and skips[b]) for a, b in zip((-1, *path), path)
        if a >= 0) and path[0] < 2}
    assert len(paths) == len(set(paths)) == result.num_alignments and set(paths) == legal
    assert paths[0] == tuple(states_of(result.best().path.tolist()))


def test_the_paths_are_found_one_after_another(rng):
    """The first three come at once, although there are more alignments than could be listed."""
    result = lattice(rng.standard_normal((200, 4)), [1, 2, 3] * 20)
    assert result.num_alignments > 10**40
    log_probs = [path.log_prob for path in result.k_best(3)]
    assert log_probs == sorted(log_probs, reverse=True)
