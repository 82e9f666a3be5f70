"""Hypotheses give exact probabilities and the frames of their labels."""

import numpy as np

from ctc_scratch.ctc import ctc_loss, prefix_beam_search
from tests.conftest import assert_close


def test_log_prob_is_that_of_ctc_loss_and_spans_do_not_overlap(make_problem):
    problem = make_problem(40, 5, 6, 0, scale=3.0, blank=2, dtype=np.float32)
    found = prefix_beam_search(problem.logits, problem.logit_lengths, blank=2, top=3)
    for n, T in enumerate(problem.logit_lengths):
        for h in found[n]:
            loss = ctc_loss(problem.logits[:T, n].astype(float), h.labels, blank=2).loss
            assert_close(h.log_prob, -loss, 1e-12, "log_prob")
            assert [span.label for span in h.spans] == h.labels
            ends = [frame for span in h.spans for frame in (span.first, span.last)]
            assert ends == sorted(ends) and all(0 <= frame < T for frame in ends)
            assert all(a.last < b.first for a, b in zip(h.spans, h.spans[1:]))


def test_a_hypothesis_keeps_its_own_copy_of_the_logits(rng):
    logits = rng.standard_normal((20, 4))
    early, late = prefix_beam_search(logits, top=1), prefix_beam_search(logits, top=1)
    before = early[0].log_prob
    logits[:] = 0.0
    assert late[0].log_prob == before


def test_repr_fits_a_line():
    best, = prefix_beam_search(np.log([[0.6, 0.4], [0.6, 0.4]]))
    assert repr(best) == "Hypothesis(labels=[1], log_score=-0.446287)"
    assert repr(best.posteriors) == "Posteriors(T=2, C=2, blank=0)"
    long, = prefix_beam_search(9.0 * np.eye(3)[[1, 2] * 300])
    assert repr(long).startswith("Hypothesis(U=600, log_score=-")
