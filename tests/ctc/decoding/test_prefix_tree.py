"""The prefix tree drops the nodes that are not needed, and grows where that is not enough."""

import numpy as np

from ctc_scratch.ctc.decoding import reference_beam
from ctc_scratch.ctc.decoding.beam_search import FIRST_NODES, Search, check_options
from ctc_scratch.ctc.decoding.prefix_tree import forget
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.decoding.cases import pairs_with_a_gap


def test_forgetting_keeps_the_children_of_the_empty_prefix():
    """Of the prefixes (), 1, 2, 12, 122, 3 the beam holds (), 12 and 3; 1 is kept as the parent of 12."""
    tree = np.array([[-1, -1, 5, -1, 2], [0, 1, 3, -1, -1], [0, 2, -1, 1, -1], [1, 2, 4, -1, 0],
                     [3, 2, -1, -1, -1], [0, 3, -1, 2, 1]])
    priors, nodes, counts = np.arange(6.0), np.array([3, 5, 0]), np.array([6, 3, 6])
    forget(tree, priors, np.empty((0, 4)), nodes, counts)
    kept = [[-1, -1, 3, -1, 2], [0, 1, 2, -1, -1], [1, 2, -1, -1, 0], [0, 3, -1, 1, 1]]
    assert tree[:4].tolist() == kept and counts.tolist() == [4, 3, 6]
    assert nodes.tolist() == [2, 3, 0] and priors[:4].tolist() == [0.0, 1.0, 3.0, 5.0]


def test_a_full_tree_forgets_and_grows(rng):
    """The tree drops the prefixes that are not needed and stays small; the answer is that of the twin."""
    logits = 3.0 * rng.standard_normal((400, 5))
    search = Search(5, check_options(5, 8, 0, None, None))
    search._state = search._state._replace(tree=search._state.tree[:40].copy())
    norms = search.advance(logits, 0, 1, len(logits))
    assert 40 < len(search._state.tree) < FIRST_NODES, "it had to grow, and to forget"
    twin = reference_beam.prefix_beam_search(log_softmax(logits), 8)
    found = search.hypotheses(8, logits, norms)
    assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin]
    assert_close([h.log_score for h in found], [score for _, score in twin], 1e-10, "log_score")


def test_scores_of_a_language_model_stay_the_same_where_the_tree_grows(rng):
    logits, model = rng.standard_normal((60, 4)), pairs_with_a_gap(rng, 4)
    options = check_options(4, 6, 0, None, model)
    small, large = Search(4, options), Search(4, options)
    state = small._state
    small._state = state._replace(tree=state.tree[:16].copy(), priors=state.priors[:16].copy(),
                                  label_priors=state.label_priors[:16].copy())
    norms = [search.advance(logits, 0, 1, len(logits)) for search in (small, large)]
    assert (norms[0] == norms[1]).all()
    assert len(small._state.tree) < len(large._state.tree)
    assert [(h.labels, h.log_score) for h in small.hypotheses(6, logits, norms[0])] == [
        (h.labels, h.log_score) for h in large.hypotheses(6, logits, norms[1])]
