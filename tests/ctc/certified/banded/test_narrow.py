"""The narrow first pass: it is tried where the network reads about as many labels as the target has."""

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss, reference
from ctc_scratch.ctc.certified.banded import bound
from tests.conftest import as_plain_python, assert_close
from tests.ctc.certified.unjudged import by_banded


def spikes(rng, T, U, C=12, *, missing=0.0, other_text=False):
    """Logits (T, C) of a confident network, and a target of U labels, which it may not read as they are."""
    target = rng.integers(1, C, U)
    spoken = rng.integers(1, C, U) if other_text else target
    probs = np.full((T, C), 1e-3 / (C - 1))
    probs[:, 0] = 0.999
    for u, t in enumerate(np.linspace(1, T - 2, U).astype(int)):
        if rng.random() >= missing:
            probs[t] = 0.01 / (C - 1)
            probs[t, spoken[u]] = 0.99
    return np.log(probs) + 0.3 * rng.standard_normal((T, C)), target


@pytest.mark.parametrize("how", [dict(), dict(missing=0.1), dict(missing=0.4), dict(other_text=True)],
                         ids=["as read", "some missing", "many missing", "other text"])
@pytest.mark.parametrize("T, U", [(100, 33), (301, 40), (900, 260), (2000, 64)])
def test_the_answer_is_that_of_the_exact_kernel(rng, T, U, how):
    logits, target = spikes(rng, T, U, **how)
    exact, found = ctc_loss(logits, target, method="exact"), by_banded(logits, target)
    assert -1e-12 <= found.gap <= 1e-12
    assert_close(found.loss / exact.loss, 1.0, 1e-12, "relative loss")
    assert_close(found.grad, exact.grad, 1e-12, "gradient")


@as_plain_python
@pytest.mark.parametrize("how, most", [(dict(), 1), (dict(other_text=True), 3)], ids=["as read", "other"])
def test_the_pass_is_repeated_until_little_is_left_out(rng, monkeypatch, how, most):
    logits, target = spikes(rng, 160, 40, **how)
    upper_bound, calls = bound.upper_bound, []

    def recorded(w, at, sequence, kept, low, high, least):
        calls.append((least, *upper_bound(w, at, sequence, kept, low, high, least)))
        return calls[-1][1:]

    monkeypatch.setattr(bound, "upper_bound", recorded)
    by_banded(logits, target)
    assert len(calls) <= most and calls[0][0] > bound.OF_ZERO
    _, m, _, left_out = calls[-1]
    assert m > 0 and left_out < bound.NEGLIGIBLE


@as_plain_python
@pytest.mark.parametrize("closer", [100, 160, 190, 199])
def test_what_is_left_out_is_never_more_than_is_said(rng, monkeypatch, closer):
    """Z_up of a pass that leaves out states, with what it says it has left out, is at least Z."""
    logits, target = spikes(rng, 160, 40, missing=0.05)
    bits = reference.loss_and_grad(logits, target)[0] / np.log(2)  # Z = 2^-bits
    upper_bound, found = bound.upper_bound, []

    def closer_one(w, at, sequence, kept, low, high, least):
        found.append(upper_bound(w, at, sequence, kept, low, high, least + closer))
        return upper_bound(w, at, sequence, kept, low, high, bound.OF_ZERO)

    monkeypatch.setattr(bound, "upper_bound", closer_one)
    by_banded(logits, target)
    m, e, left_out = found[0]
    assert m * 2.0 ** (e + bits) + 2.0 ** (left_out + e + bits) >= 1 - 1e-12


def test_beta_is_at_most_1(rng):
    """All paths that go on from a state sum to at most 1, so leaving it out loses at most its alpha."""
    for _ in range(20):
        T, C = rng.integers(2, 8), rng.integers(2, 5)
        logits, target = 3 * rng.standard_normal((T, C)), rng.integers(1, C, rng.integers(0, 3))
        assert reference.backward(reference.log_softmax(logits), target).max() <= 1e-13
