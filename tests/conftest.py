"""Fixtures and problem makers that every test file may use."""

from __future__ import annotations

import os
import re
import signal
from typing import NamedTuple

import numpy as np
import pytest

from ctc_scratch.ctc.labels import min_frames


class Problem(NamedTuple):
    """A batch whose every target fits its frames."""

    logits: np.ndarray  # (T, N, C)
    targets: list
    logit_lengths: np.ndarray
    blank: int


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_counts():
    """A shell has what it runs in the background ignore Ctrl-C; the processes of tests would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make_problem(rng):
    """make_problem(T, N, C, U, ...): random logits; ragged lengths and targets of 0..U labels."""

    def make(T, N, C, U, *, scale=1.0, blank=0, dtype=np.float64, ragged=True, labels=None):
        logits = (scale * rng.standard_normal((T, N, C))).astype(dtype)
        classes = [c for c in range(C) if c != blank][: labels or C]  # few labels make many repeats
        targets, lengths = [], []
        for _ in range(N):
            target = rng.choice(classes, size=rng.integers(U + 1) if ragged else U)
            while min_frames(target) > T:
                target = target[:-1]
            targets.append(target)
            lengths.append(rng.integers(min_frames(target), T + 1) if ragged else T)
        return Problem(logits, targets, np.array(lengths), blank)

    return make


def assert_close(actual, expected, atol, what):
    """Both numbers, and where they differ most, in the message."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    with np.errstate(invalid="ignore"):
        error = np.where(actual == expected, 0.0, np.abs(actual - expected))  # equal infinities agree
    _remember(float(error.max(initial=0.0)), float(atol), re.sub(r" of .*|[ \[(]*[-\d.(].*", "", what))
    if error.size and not error.max() <= atol:
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        raise AssertionError(
            f"{what}{list(map(int, worst))}: {actual[worst]!r}, expected {expected[worst]!r}, "
            f"error {error[worst]:.2e} > {atol:.0e}"
        )


_errors: dict[tuple[str, str], tuple[float, float]] = {}


def _remember(error, atol, what):
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split("[")[0].split(" ")[0]
    worst, share = _errors.get((test, what), (0.0, 0.0))
    _errors[test, what] = max(worst, error), max(share, error / (atol or error) if error else 0.0)


def pytest_addoption(parser):
    parser.addoption("--errors", action="store_true", help="show the largest error each comparison has met")


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--errors"):
        terminalreporter.section("largest errors, and their share of what is allowed")
        for (test, what), (error, share) in sorted(_errors.items()):
            terminalreporter.write_line(f"{error:8.1e} {share:7.1%}  {test}  {what}")
