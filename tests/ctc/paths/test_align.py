"""align: the most likely path, with ties and in long sequences."""

import itertools
import resource
import time

import numba
import numpy as np
import pytest

from ctc_scratch.ctc import InfeasibleTargetError, collapse, enumeration, reference
from ctc_scratch.ctc.labels import can_skip, extend, min_frames, states_of
from ctc_scratch.ctc.paths import align as alignment
from ctc_scratch.ctc.paths.align import align
from ctc_scratch.ctc.paths.band import band_of, best_states
from tests.conftest import assert_close


def all_alignments(logits, labels, blank=0):
    log_probs = reference.log_softmax(logits)
    return {path: log_probs[range(len(path)), path].sum()
            for path in enumeration.alignments(labels, len(logits), blank)}


@pytest.mark.parametrize("C", [1, 2, 3])
@pytest.mark.parametrize("T", range(7))
def test_no_alignment_is_likelier(rng, T, C):
    """All labellings of T <= 6 frames, C <= 3 classes, U <= 3 labels; ties, -inf, any blank."""
    for blank, U in itertools.product(range(C), range(4)):
        for labels in itertools.product([c for c in range(C) if c != blank], repeat=U):
            for scale, closed in [(0, 0.0), (1, 0.0), (1, 0.25)]:
                logits = (scale * rng.standard_normal((T, C))).round(1)  # a few ties, exact ones
                logits[rng.random((T, C)) < closed] = -np.inf
                logits[np.arange(T), rng.integers(C, size=T)] = 0.5
                paths = all_alignments(logits, labels, blank)
                best = max(paths.values(), default=-np.inf)
                if best == -np.inf:
                    with pytest.raises(InfeasibleTargetError):
                        align(logits, labels, blank=blank)
                    continue
                found = align(logits, labels, blank=blank)
                assert_close(found.log_prob, best, 1e-13, "log-probability")
                assert_close(paths[tuple(found.path)], best, 1e-13, "log-probability of the path")


def test_ties_end_in_a_best_path():
    """A tie between two moves must not favour the third: '2 if x2 > x1 and x2 > x0, ...' gives -5.51 here."""
    logits = np.log([[.45, .45, .1]] * 3 + [[.05, .05, .9]])
    found = align(logits, [1, 2])
    assert_close(found.log_prob, 3 * np.log(.45) + np.log(.9), 1e-13, "log-probability")
    # Of the best paths the first: stay before step before skip, blank before label.
    assert found.path.tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("T, labels", [(4, [1, 1]), (4, [1, 2]), (6, [1, 2, 2]), (6, [2])], ids=str)
def test_if_all_paths_tie_the_first_in_the_order_of_moves_is_taken(T, labels):
    paths = enumeration.alignments(labels, T)
    first = min(paths, key=lambda path: np.diff(states_of(path), prepend=-1).tolist())
    assert tuple(align(np.zeros((T, 3)), labels).path) == first


def test_spans_hold_the_frames_of_each_label_and_their_mean_probability():
    probs = np.array([[.7, .2, .1], [.1, .8, .1], [.3, .6, .1], [.9, .05, .05], [.2, .7, .1], [.1, .1, .8]])
    found = align(np.log(probs), [1, 1, 2])
    assert found.path.tolist() == [0, 1, 1, 0, 1, 2]
    assert [span[:3] for span in found.spans] == [(1, 1, 2), (1, 4, 4), (2, 5, 5)]
    assert_close([span.confidence for span in found.spans], [.7, .7, .8], 1e-15, "confidence")


@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1], [1, 2, 1, 1], [2, 1, 2]], ids=str)
@pytest.mark.parametrize("spare", [0, 1, 4])
def test_the_band_holds_every_alignment_and_nothing_else(labels, spare):
    T = min_frames(labels) + spare
    if T == 0:
        return
    firsts, lasts, repeats = band_of(np.array(labels, np.intp), T)
    assert repeats[1:len(labels)].tolist() == [a == b for a, b in zip(labels, labels[1:])]
    pairs = np.array([states_of(path) // 2 for path in enumeration.alignments(labels, T)])
    assert (firsts == pairs.min(axis=0)).all() and (lasts == pairs.max(axis=0)).all()


def test_a_band_far_narrower_than_the_target(rng):
    """T = U + r + 3: textbook Viterbi over all states gives the same."""
    labels = rng.integers(1, 4, 60)
    T = min_frames(labels) + 3
    logits = 3 * rng.standard_normal((T, 4))
    log_probs, ext = reference.log_softmax(logits), extend(labels)
    best = np.full(len(ext), -np.inf)
    best[:2] = log_probs[0, ext[:2]]
    for t in range(1, T):
        padded = np.concatenate([[-np.inf, -np.inf], best])
        skip = np.where(can_skip(ext), padded[:-2], -np.inf)
        best = np.maximum.reduce([best, padded[1:-1], skip]) + log_probs[t, ext]
    assert_close(align(logits, labels).log_prob, max(best[-2:]), 1e-11, "log-probability")
    states = best_states(log_probs, log_probs.max(axis=1), labels, band_of(labels, T))
    assert (ext[states] == align(logits, labels).path).all()


@pytest.mark.parametrize("T, labels, message", [
    (4, [1, 1, 2, 2], r"target 0 needs 6 frames \(4 labels \+ 2 repeats\) but has 4"),
    (0, [1], r"target 0 needs 1 frame \(1 label \+ 0 repeats\) but has 0"),
], ids=["too_short", "no_frames"])
def test_an_error_about_too_few_frames_holds_the_numbers(T, labels, message):
    with pytest.raises(InfeasibleTargetError, match=message):
        align(np.zeros((T, 3)), labels)


def test_an_error_about_closed_paths_differs_from_one_about_too_few_frames():
    logits = np.zeros((6, 3))
    logits[:, 2] = -np.inf
    with pytest.raises(InfeasibleTargetError, match="-inf logits close every path"):
        align(logits, [1, 2])


@pytest.mark.parametrize("logits, target, message", [
    (np.zeros((4, 2, 3)), [1], r"targets in one dimension \(1 values\) for a batch of 2"),
    (np.zeros((4, 3)), [0], r"targets\[0\] is 0, the blank"),
    (np.zeros((4, 3)), [1, -1], r"targets\[1\] is -1, but the logits have classes 0..2"),
], ids=["batch", "blank", "negative"])
def test_bad_input_is_refused(logits, target, message):
    with pytest.raises(ValueError, match=message):
        align(logits, target)


def test_scores_of_a_long_sequence_do_not_round_away(rng):
    """In 20 000 frames one path is clearly the best: it is found, and its sum keeps the last digits."""
    T, U = (20_000, 200) if not numba.config.DISABLE_JIT else (500, 20)
    labels = rng.integers(1, 5, U)
    path = np.repeat(extend(labels), rng.multinomial(T - 2 * U - 1, np.full(2 * U + 1, 1 / (2 * U + 1))) + 1)
    logits = rng.standard_normal((T, 5))
    logits[np.arange(T), path] += 8.0
    found = align(logits, labels)
    assert collapse(found.path) == labels.tolist()
    assert (found.path != path).sum() <= 2  # in a frame or two, noise may make another class more likely
    ours = reference.log_softmax(logits)[np.arange(T), path].sum()
    assert found.log_prob >= ours - 1e-9


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="hours without compiled kernels")
def test_a_hundred_thousand_frames_in_a_minute_and_2_gb(rng):
    T, U = 100_000, 10_000
    logits, labels = rng.standard_normal((T, 32), dtype=np.float32), rng.integers(1, 32, U)
    align(logits[:9], labels[:2])  # compile first
    begun = time.process_time()
    found = align(logits, labels)
    seconds = time.process_time() - begun
    assert seconds < 60, f"{seconds:.0f} s of processor time"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2e6, "KB"
    assert collapse(found.path) == labels.tolist()
    assert len(found.spans) == U and found.spans[-1].last < T


def test_frames_are_normalised_in_chunks(rng, monkeypatch):
    monkeypatch.setattr(alignment, "CHUNK", 4)
    rows, classes = rng.standard_normal((11, 5)), np.array([3, 0])
    log_probs, tops = alignment._emissions(rows, classes)
    expected = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_probs, expected[:, classes], rtol=1e-14)
    np.testing.assert_allclose(tops, expected.max(axis=1), rtol=1e-14)


@pytest.mark.parametrize("U, shown", [(0, "labels=[]"), (3, "labels=[1, 2, 1]"), (40, "U=40")])
def test_a_repr_fits_a_line_and_lists_few_labels(U, shown):
    found = align(np.zeros((90, 3)), ([1, 2] * U)[:U])
    assert repr(found) == f"Alignment(T=90, {shown}, log_prob={found.log_prob:.6f})"
    path, log_prob, spans = found
    assert path is found.path and log_prob == found.log_prob and spans is found.spans


def test_a_span_has_a_short_repr():
    span = align(np.log([[0.6, 0.4], [0.3, 0.7]]), [1]).spans[0]
    assert repr(span) == "Span(label=1, first=1, last=1, confidence=0.700000)"
    assert span == (1, 1, 1, span.confidence) and span._replace(label=2).label == 2
