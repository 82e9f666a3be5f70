"""The compiled beam search finds what its readable twin finds, in the same order."""

import numpy as np
import pytest

from ctc_scratch.ctc import prefix_beam_search
from ctc_scratch.ctc.decoding import reference_beam
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.decoding.cases import Asked, pairs_with_a_gap, random_case


class Same:
    """A language model that gives every label the same score."""

    def score(self, prefix, label):
        return -1.0

    def end(self, prefix):
        return 0.0


def test_the_kernel_finds_what_its_twin_finds(rng):
    """The same prefixes in the same order with the same scores, at every width."""
    for case in range(60):
        logits, blank = random_case(rng, most_frames=25, most_classes=6)
        width = int(rng.integers(1, 12))
        prune = float(rng.choice([np.inf, 0.0, 1.0, 5.0]))
        found = prefix_beam_search(logits, beam_width=width, blank=blank, top=width, prune=prune)
        twin = reference_beam.prefix_beam_search(log_softmax(logits), width, blank, prune)
        assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin], f"case {case}"
        assert_close([h.log_score for h in found], [score for _, score in twin], 1e-11, "log_score")


@pytest.mark.parametrize("prune", [np.inf, 0.0])
@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("width", range(1, 12))
def test_ties_are_broken_as_in_the_twin(width, blank, prune):
    logits = np.zeros((3, 4))
    found = prefix_beam_search(logits, beam_width=width, blank=blank, top=width, prune=prune)
    twin = reference_beam.prefix_beam_search(log_softmax(logits), width, blank, prune)
    assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin]


@pytest.mark.parametrize("highest", [None, -1.0, 2.0])
@pytest.mark.parametrize("width", range(1, 12, 2))
def test_ties_are_broken_as_in_the_twin_with_a_language_model(width, highest):
    model = Asked(Same(), highest)
    found = prefix_beam_search(np.zeros((3, 4)), beam_width=width, blank=2, top=width, language_model=model)
    twin = reference_beam.prefix_beam_search(log_softmax(np.zeros((3, 4))), width, 2, score=Same().score)
    assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin]


def test_the_kernel_finds_what_its_twin_finds_with_a_language_model(rng):
    for case in range(40):
        logits, blank = random_case(rng, most_frames=15, most_classes=6)
        width = int(rng.integers(1, 12))
        model = pairs_with_a_gap(rng, logits.shape[1])
        found = prefix_beam_search(logits, beam_width=width, blank=blank, top=width, language_model=model)
        twin = [(labels, score + model.end(labels)) for labels, score in
                reference_beam.prefix_beam_search(log_softmax(logits), width, blank, score=model.score)]
        twin.sort(key=lambda pair: -pair[1])
        assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin], f"case {case}"
        assert_close([h.log_score for h in found], [score for _, score in twin], 1e-11, "log_score")


@pytest.mark.parametrize("blank", range(5))
def test_log_softmax_does_not_overflow_whichever_class_leads(blank):
    best, = prefix_beam_search(1000 * np.eye(5), blank=blank)
    assert best.labels == [c for c in range(5) if c != blank]
    assert_close(best.log_prob, 0.0, 1e-12, "log_prob")
