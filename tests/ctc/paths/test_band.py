"""The states outside the band do not matter: the best path and the sum are those over all states."""

import tracemalloc

import numba
import numpy as np
import pytest

from ctc_scratch.ctc import align, ctc_loss, prefix_beam_search, reference
from ctc_scratch.ctc.decoding.hypotheses import Posteriors
from ctc_scratch.ctc.labels import extend, min_frames
from ctc_scratch.ctc.paths import band, band_kernels
from ctc_scratch.ctc.paths.band import band_of, best_states
from tests.conftest import assert_close

LONG = not numba.config.DISABLE_JIT


def draw(rng, T, C, scale, digits=None):
    """Logits (T, C), rounded to make ties, and labels that fit; half of the time the most likely ones."""
    logits = scale * rng.standard_normal((T, C))
    if digits is not None:
        logits = logits.round(digits)
    if rng.random() < 0.5:
        labels = reference.log_softmax(logits)[:, 1:].argmax(axis=1)[::2] + 1
    else:
        labels = rng.integers(1, C, rng.integers(T + 1))
    while min_frames(labels) > T:
        labels = labels[:-1]
    return logits, labels


def posteriors_of(logits, blank=0):
    top = logits.max(axis=1)
    log_total = np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return Posteriors(logits, np.stack([top, log_total], axis=1), blank)


def log_sum(logits, labels, least=-np.inf):
    """band.log_sum of logits, each class of which is a column."""
    labels = np.array(labels, np.intp)
    return band.log_sum(reference.log_softmax(logits), labels, band_of(labels, len(logits)), least)


def assert_same_spans(spans, expected):
    """Labels and frames exactly; the confidences are two computations of one number."""
    assert [span[:3] for span in spans] == [span[:3] for span in expected]
    assert_close([span.confidence for span in spans], [span.confidence for span in expected], 1e-12,
                 "confidence")


@pytest.mark.parametrize("reach", [0.0, 2.0, 20.0])
@pytest.mark.parametrize("digits", [None, 1, 0])
def test_a_reach_does_not_change_the_path(rng, monkeypatch, reach, digits):
    """With and without ties, near the most likely classes or far from them, the path stays the same."""
    for _ in range(20):
        logits, labels = draw(rng, int(rng.integers(1, 60)), 5, rng.choice([0.5, 3.0, 30.0]), digits)
        monkeypatch.setattr(band, "FIRST_REACH", np.inf)
        everything = align(logits, labels)
        monkeypatch.setattr(band, "FIRST_REACH", reach)
        found = align(logits, labels)
        assert (found.path == everything.path).all() and found.log_prob == everything.log_prob


@pytest.mark.parametrize("reach, found", [(3.0, False), (6.0, True)])
def test_reach_is_how_far_a_path_may_fall_short_of_the_likeliest_classes(reach, found):
    """In two frames class 1 is the most likely; the labels (1, 2) fall 4 nats short of (1, 1)."""
    log_probs = reference.log_softmax(np.array([[0.0, 5.0, 1.0], [0.0, 5.0, 1.0]]))
    firsts, lasts, repeats = band_of(np.array([1, 2]), 2)
    first, _ = band_kernels.best_moves(
        log_probs, log_probs.max(axis=1), np.array([1, 2]), np.where(repeats, -np.inf, 0.0), firsts, lasts,
        reach, *np.empty((3, 4)), np.empty(9, np.int64), np.empty((1, 2), np.intp))
    assert (first >= 0) == found


def in_step(rng, U, prob):
    """ln y (T, 5) and labels (U,): each state has one frame, which gives its class this probability."""
    labels = rng.integers(1, 5, U)
    path = extend(labels)
    probs = np.full((len(path), 5), (1 - prob) / 4)
    probs[np.arange(len(path)), path] = prob
    return np.log(probs), labels


@pytest.mark.parametrize("prob, widest", [(1 - 1e-12, 1), (0.6, 14)])
def test_a_frame_costs_what_is_in_doubt_there(rng, prob, widest):
    """A window has few of the 400 pairs, even far from the end, where a path has lost more than the reach."""
    log_probs, labels = in_step(rng, 400 if LONG else 60, prob)
    firsts, lasts, repeats = band_of(labels, len(log_probs))
    blanks, letters, emitted = np.empty((3, len(labels) + 2))
    moves = np.empty(100_000, np.int64)
    rows = np.empty((len(log_probs) // band_kernels.FRAMES_PER_WORD + 1, 2), np.intp)
    first, _ = band_kernels.best_moves(
        log_probs, log_probs.max(axis=1), labels, np.where(repeats, -np.inf, 0.0), firsts, lasts, 16.0,
        blanks, letters, emitted, moves, rows)
    assert first == 0
    words = np.diff(rows[::-1, 0])  # for each 21 frames but the first
    assert words.max() <= band_kernels.FRAMES_PER_WORD + widest
    states = np.empty(len(log_probs), np.intp)
    band_kernels.trace(moves, rows, first, states)
    assert states.tolist() == list(range(len(log_probs)))
    assert blanks[0] == 0.0, "the top has been subtracted"


def test_moves_take_less_than_two_bits_per_state(rng):
    T, U = (6000, 1000) if LONG else (300, 60)
    log_probs, labels = reference.log_softmax(rng.standard_normal((T, 4))), rng.integers(1, 4, U)
    tracemalloc.start()
    try:
        best_states(log_probs, log_probs.max(axis=1), labels, band_of(labels, T))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * T * (2 * U + 1) / 8 + 40 * (T + U), f"{peak} bytes"


def test_small_differences_count_however_improbable_all_paths_are():
    """2^-26 nats in one of 300 frames that cost 2^20 nats each; rounding at 2^28 nats would lose it."""
    T, labels = 300, np.array([1])
    log_probs = np.full((T, 2), -2.0**20)
    log_probs[3, 1] += 2.0**-26
    states = best_states(log_probs, log_probs.max(axis=1), labels, band_of(labels, T))
    assert states.tolist() == [0] * 3 + [1] * (T - 3)


@pytest.mark.parametrize("reach", [16.0, np.inf])
def test_where_every_path_is_closed_there_are_no_states(monkeypatch, reach):
    monkeypatch.setattr(band, "FIRST_REACH", reach)
    log_probs = reference.log_softmax(np.array([[0.0, 1.0, -np.inf]] * 30))
    labels = np.array([1, 2])
    assert best_states(log_probs, log_probs.max(axis=1), labels, band_of(labels, 30)) is None


def test_the_sum_is_that_of_all_paths(rng):
    for _ in range(60):
        logits, labels = draw(rng, int(rng.integers(1, 80)), int(rng.integers(2, 7)), rng.choice([0.5, 3.0]))
        truth = reference.log_likelihood(reference.log_softmax(logits), labels)
        for least in (-np.inf, truth - 5.0, truth):
            assert_close(log_sum(logits, labels, least), truth, 1e-11, "ln of the sum")


@pytest.mark.skipif(not LONG, reason="minutes without compiled kernels")
@pytest.mark.parametrize("scale, height", [(0.5, 0.0), (1.0, 7.0), (3.0, 9.0)])
def test_what_a_lower_bound_allows_to_drop_is_below_rounding(rng, scale, height):
    """800 frames, flat or with spikes, and a bound as loose as that of a beam search."""
    T, U = 800, 100
    labels = rng.integers(1, 6, U)
    path = np.zeros(T, np.intp)
    path[np.sort(rng.choice(T // 2, U, replace=False)) * 2] = labels
    logits = scale * rng.standard_normal((T, 6))
    logits[np.arange(T), path] += height
    truth = -ctc_loss(logits, labels).loss
    for slack in (0.0, 3.0, 30.0):
        assert_close(log_sum(logits, labels, truth - slack), truth, 1e-10, "ln of the sum")


@pytest.mark.parametrize("nats, proved", [(1190, True), (1300, False)])
def test_how_far_down_there_is_a_proof(rng, nats, proved):
    """A single path; each of its 30 frames gives its class e^(-nats / 30)."""
    probs = np.full((30, 3), np.exp(-nats / 30))
    probs[:, 2] = 1 - probs[:, :2].sum(axis=1)
    labels = np.ones(15, np.intp)
    found = log_sum(np.log(probs), labels)
    truth = reference.log_likelihood(np.log(probs), labels)
    assert truth == pytest.approx(-nats, abs=5)
    assert np.isnan(found) != proved
    if proved:
        assert_close(found, truth, 1e-10, "ln of the sum")


@pytest.mark.parametrize("least", [-np.inf, -3e4])
def test_without_a_proof_there_is_no_sum(rng, least):
    """A float64 cannot hold these probabilities, so the sum is nan, and the exact kernel computes it."""
    logits, labels = 1e3 * rng.standard_normal((40, 4)), rng.integers(1, 4, 12)
    assert np.isnan(log_sum(logits, labels, least))
    truth = -ctc_loss(logits, labels, method="exact").loss
    assert_close(posteriors_of(logits).log_prob(labels.tolist(), least), truth, 1e-11 * abs(truth), "ln P")


def test_a_wrong_lower_bound_is_noticed(rng):
    logits, labels = rng.standard_normal((40, 4)), rng.integers(1, 4, 12)
    truth = -ctc_loss(logits, labels).loss
    assert np.isnan(log_sum(logits, labels, truth + 1.0))
    assert_close(posteriors_of(logits).log_prob(labels.tolist(), truth + 1.0), truth, 1e-12, "ln P")


def test_hypotheses_are_rescored_exactly(rng):
    """At any scale of the logits. Near certainty, where ln P is near 0, its relative error is small, too."""
    for scale in (0.1, 1.0, 10.0, 1e3):
        logits = scale * rng.standard_normal((50, 5))
        logits[:, 0] += scale
        for h in prefix_beam_search(logits, top=5):
            truth = -ctc_loss(logits, h.labels, method="exact").loss
            assert_close(h.log_prob / truth, 1.0, 1e-12, "ln P over the truth")
            assert_same_spans(h.spans, align(logits, h.labels).spans)


def test_reading_hypotheses_in_turns_does_not_mix_them_up(rng):
    """The log-probabilities for the labels last asked about are kept until other labels are asked about."""
    logits = 2.0 * rng.standard_normal((30, 5))
    first, second, third = prefix_beam_search(logits, top=3)
    again = prefix_beam_search(logits, top=3)
    in_turns = [first.log_prob, second.spans, third.log_prob, first.spans, third.spans, second.log_prob]
    one_by_one = [(h.log_prob, h.spans) for h in again]
    (log_prob_1, spans_1), (log_prob_2, spans_2), (log_prob_3, spans_3) = one_by_one
    assert in_turns == [log_prob_1, spans_2, log_prob_3, spans_1, spans_3, log_prob_2]
    assert first.spans != second.spans
    for h in (first, second, third):
        assert_close(h.log_prob, -ctc_loss(logits, h.labels).loss, 1e-12, "log_prob")
        assert_same_spans(h.spans, align(logits, h.labels).spans)


def test_a_blank_of_any_number(rng):
    logits = 2.0 * rng.standard_normal((30, 6))
    for blank in range(6):
        best, = prefix_beam_search(logits, blank=blank)
        assert_close(best.log_prob, -ctc_loss(logits, best.labels, blank=blank).loss, 1e-12, "log_prob")
        assert_same_spans(best.spans, align(logits, best.labels, blank=blank).spans)
