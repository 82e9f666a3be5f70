"""The proof of the bound: in fractions for any raising and dropping, in the kernel for any constants."""

import inspect
from fractions import Fraction

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.certified.banded import (
    backward,
    batch,
    bound,
    emissions,
    exponents,
    frame,
    posterior,
)
from ctc_scratch.ctc.labels import extend, min_frames
from tests.conftest import as_plain_python, assert_close
from tests.ctc.certified.adversarial import adversarial
from tests.ctc.certified.unjudged import by_banded
from tests.tools import truth

EPS = 2.0**-53


# ---- the recursion in fractions, with anything raised or dropped -------------------------------------


def moves(labels):
    """For each state the states from which it is entered: stay, step, skip."""
    ext = extend(labels)
    return [[s - k for k in range(3) if s >= k and (k < 2 or s % 2 == 1 and ext[s] != ext[s - 2])]
            for s in range(len(ext))]


def run_forward(y, sources, change):
    """alpha of all frames; `change` may change the states of a frame before they are used."""
    row, rows = [Fraction(1)] + [Fraction(0)] * (len(sources) - 1), []
    for emitted in y:
        row = change([sum(row[s] for s in before) * emitted[k] for k, before in enumerate(sources)])
        rows.append(row)
    return rows


def run_backward(y, sources, change):
    """beta of all frames; `change` may change the states of a frame before they are used."""
    S = len(sources)
    row, rows = [Fraction(0)] * (S - 1) + [Fraction(1)], []
    for t in range(len(y) - 1, -1, -1):
        after = row if t == len(y) - 1 else [value * emitted for value, emitted in zip(row, y[t + 1])]
        row = [Fraction(0)] * S
        for k, before in enumerate(sources):
            for s in before:
                row[s] += after[k]
        row = change(row)
        rows.append(row)
    return rows[::-1]


def any_fraction(rng, bits):
    """A fraction between 2^-bits and 2."""
    return Fraction(int(rng.integers(1, 2**20)), 2**19) / 2**int(rng.integers(0, bits))


def test_whatever_is_raised_and_dropped_the_truth_is_within_the_bound(rng):
    """Q_t <= Z <= Z_up, and gamma and every sum of gammas are off by at most (Z_up - min Q) / min Q."""
    shares = []
    for _ in range(120):
        T, rate, bits = int(rng.integers(1, 13)), rng.choice([0.01, 0.1, 0.5]), int(rng.choice([3, 30]))
        labels = rng.integers(1, 3, rng.integers(0, T + 1))
        while min_frames(labels) > T:
            labels = labels[:-1]
        sources, S = moves(labels), 2 * len(labels) + 1
        y = [[any_fraction(rng, bits) for _ in range(S)] for _ in range(T)]

        def flip():
            return rng.random() < rate

        def same(row):
            return row

        def more(row):
            return [value + any_fraction(rng, 60) if value and flip() else value for value in row]

        def fewer(row):
            return [value * any_fraction(rng, 40) / 2 if flip() else value for value in row]

        alpha, beta = run_forward(y, sources, same), run_backward(y, sources, same)
        Z = sum(alpha[-1][-2:])
        upper = sum(run_forward([more(row) for row in y], sources, more)[-1][-2:])
        lower = [[value if not flip() else Fraction(0) for value in row] for row in y]
        below = run_forward(lower, sources, fewer), run_backward(lower, sources, fewer)
        q = [[a * b for a, b in zip(*rows)] for rows in zip(*below)]
        Q = [sum(row) for row in q]
        assert max(Q) <= Z <= upper
        if min(Q) == 0:
            continue
        gap = (upper - min(Q)) / min(Q)
        for t in range(T):
            gamma = [a * b / Z for a, b in zip(alpha[t], beta[t])]
            assert sum(gamma) == 1
            errors = [value / Q[t] - right for value, right in zip(q[t], gamma)]
            chosen = sum(error for error in errors if rng.random() < 0.5)
            largest = sum(error for error in errors if error > 0)  # of all sums of gammas
            assert max(abs(chosen), largest, *map(abs, errors)) <= gap
            shares.append(float(largest / gap) if gap else 0.0)
    assert max(shares) > 0.3, "the bound must be nearly reached, or this test proves little"


def test_raised_emissions_in_the_passes_in_the_band_would_break_the_proof():
    """Q_t <= Z fails, so the second and the third pass drop the emissions that the first one raises."""
    sources, tiny, raised = moves([1]), Fraction(1, 1000), Fraction(1, 10)
    y = [[tiny] * 3 for _ in range(4)]
    Z = sum(run_forward(y, sources, list)[-1][-2:])
    y = [[raised] * 3 for _ in range(4)]
    Q = sum(a * b for a, b in zip(run_forward(y, sources, list)[1], run_backward(y, sources, list)[1]))
    assert Q > Z


# ---- the kernel with other constants ---------------------------------------------------------------


@pytest.fixture
def set_constant(monkeypatch):
    """set_constant(name, value): in each file of the kernel that has a constant of this name."""

    def set_everywhere(name, value):
        files = [file for file in (backward, batch, bound, emissions, exponents, frame, posterior)
                 if hasattr(file, name)]
        assert files, f"the kernel has no constant {name}"
        for file in files:
            monkeypatch.setattr(file, name, value)

    return set_everywhere


def small_lattices(rng, count):
    """Yield logits and labels with at most 20 frames."""
    for _ in range(count):
        T, C = int(rng.integers(1, 21)), int(rng.integers(2, 6))
        labels = rng.integers(1, C, rng.integers(0, T + 1))
        while min_frames(labels) > T:
            labels = labels[:-1]
        yield float(rng.choice([0.1, 1, 5, 20])) * rng.standard_normal((T, C)), labels
    for T, U in ((20, 10), (40, 20), (40, 38)):  # several blocks of labels, several periods
        yield 4 * rng.standard_normal((T, 4)), 1 + np.arange(U) % 3


def assert_honest(answer, logits, labels, what):
    """The truth is within the gap of the answer; returns whether the gap is wide and finite."""
    true, rounding = truth.solve(logits, labels), 16 * len(logits) * EPS
    assert not answer.gap < -rounding, f"{what}: negative gap {answer.gap:.1e}"
    if not answer.gap < np.inf:
        return False
    size = max(1.0, abs(answer.loss))
    low, high = answer.loss - rounding * size, answer.loss + np.log1p(answer.gap) + rounding * size
    assert low <= float(true.loss) <= high, f"{what}: {float(true.loss)!r} is not in [{low!r}, {high!r}]"
    assert_close(answer.gamma, true.gamma, answer.gap + rounding, f"{what}: gamma")
    assert_close(answer.grad, true.grad, answer.gap + rounding, f"{what}: gradient")
    return answer.gap > 1e-9


@as_plain_python
@pytest.mark.parametrize("constants", [
    dict(FLOOR=2.0**-20), dict(FLOOR=2.0**-60), dict(MARGIN=3.0), dict(MARGIN=-2.0), dict(LADDER=3.0),
    dict(LADDER=3.0, FLOOR=2.0**-30, MARGIN=5.0), dict(LADDER=100.0, HIGHEST=4.0),
    dict(FLOOR=2.0**-8, LADDER=20.0, MARGIN=4.0, HIGHEST=16.0),
], ids=str)
def test_floors_ladder_and_band_are_free_to_choose(rng, set_constant, constants):
    """They decide how wide the gap is, but the truth stays within it."""
    for name, value in constants.items():
        set_constant(name, value)
    wide = 0
    for logits, labels in small_lattices(rng, 40):
        answer = by_banded(logits, labels)
        wide += assert_honest(answer, logits, labels, f"{constants}, T={len(logits)}, {labels.tolist()}")
    if constants.keys() != {"LADDER"}:
        assert wide > 0, "some gaps must be wide, or this test proves little"


@as_plain_python
def test_a_band_of_any_blocks_is_honest(rng, monkeypatch):
    """The band is chosen at random, now and then without any label that matters."""

    names = list(inspect.signature(backward.choose_band).parameters)

    def choose_any(*arguments):
        band, p = (arguments[names.index(name)] for name in ("band", "p"))
        low, high = band.low[p], band.high[p]
        high -= rng.random() < 0.2 and high > low
        low += rng.random() < 0.2 and low < high
        band.low[p - 1], band.high[p - 1] = max(low - 1, 0), high

    monkeypatch.setattr(backward, "choose_band", choose_any)
    wide = 0
    for logits, labels in small_lattices(rng, 20):
        wide += assert_honest(by_banded(logits, labels), logits, labels, f"labels {labels.tolist()}")
    for _ in range(20):
        logits, labels = rng.standard_normal((60, 4)), rng.integers(1, 4, 30)
        wide += assert_honest(by_banded(logits, labels), logits, labels, f"labels {labels.tolist()}")
    assert wide > 3


# ---- the kernel as it is -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wide_gap_is_honest():
    """Labels that cost more and more nats each: at some price the kernel begins to lose states."""
    gaps = []
    for nats in np.arange(60, 100, 0.5):
        logits = np.full((48, 4), -nats)
        logits[:, 0], logits[:24, 3] = 0.0, 2.0
        labels = 1 + np.arange(10) % 2
        answer = by_banded(logits, labels)
        assert_honest(answer, logits, labels, f"{nats} nats")
        gaps.append(answer.gap)
    gaps = np.array(gaps)
    assert (gaps < 1e-13).any() and ((gaps > 1e-6) & (gaps < 0.1)).any() and (gaps > 100).any(), gaps


@pytest.mark.slow
def test_adversarial_inputs_are_answered_honestly(rng):
    for name, logits, labels in adversarial(rng):
        assert_honest(by_banded(logits, labels), logits, np.asarray(labels), name)


@pytest.mark.parametrize("seed", [789, 1061, 2430, 5940])
def test_paths_that_are_lost_at_some_frames_only_make_the_gap_wide(seed):
    """At other frames Q_t is Z_up, or more by rounding: the least Q_t counts, not the largest."""
    rng = np.random.default_rng(seed)
    logits, labels = 60 * rng.standard_normal((100, 8)), rng.integers(1, 8, 20)
    result, exact = ctc_loss(logits, labels), ctc_loss(logits, labels, method="exact")
    assert_close(result.grad, exact.grad, result.bound + exact.bound, f"seed {seed}: gradient, by its bound")
