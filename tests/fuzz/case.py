"""One case of the fuzzer: a call, what its outcome must be, and how it is described."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

import numpy as np

from ctc_scratch.ctc import Workspace


@dataclass
class Case:
    """One call, and what its outcome must be."""

    call: Callable[[], Any]
    check: Callable[[Any, list], None]  # of what was returned or raised, and the oracle's answers
    words: Callable[[], str]  # what it is, for people
    problems: list = field(default_factory=list)  # for the oracle

    @property
    def what(self):
        return self.words()

    def run(self, answers):
        """Call and check; AssertionError if the outcome is not what it must be."""
        try:
            outcome = self.call()
        except Exception as error:  # any other than those expected is a finding
            outcome = error
        self.check(outcome, answers)


def expect(truth, what, *values):
    """An assertion; {} in `what` stand for the values, which are printed only if it fails."""
    if not truth:
        raise AssertionError(what.format(*values) if values else what)


def expect_close(actual, right, allowed, what):
    """Each entry is within what is allowed of it; infinities are equal."""
    actual = np.asarray(actual, dtype=np.longdouble)
    with np.errstate(invalid="ignore"):
        wrong = ~((actual == right) | (np.abs(actual - right) <= allowed))
    if wrong.any():
        place = tuple(int(k[0]) for k in np.nonzero(wrong)) if np.ndim(wrong) else ()
        right, allowed = (np.broadcast_to(x, wrong.shape)[place] for x in (right, allowed))
        raise AssertionError(f"{what}{list(place)} is {float(actual[place])!r}, not {float(right)!r}: off by "
                             f"{float(abs(actual[place] - right)):.2e}, allowed {float(allowed):.2e}")


def returned(outcome):
    """The outcome, unless it is an error."""
    if isinstance(outcome, Exception):
        raise AssertionError(f"{type(outcome).__name__}: {outcome}") from outcome
    return outcome


def describe(name, arguments, conditions=None):
    """A call in words, when they are asked for: printing arrays takes longer than most calls."""
    return partial(_words, name, arguments, conditions)


def _words(name, arguments, conditions):
    words = []
    for key, value in {**arguments, **(conditions or {})}.items():
        if isinstance(value, np.ndarray) and value.ndim > 1:
            value = f"{value.dtype} array {value.shape}"
        words.append(f"{key}={'a Workspace' if isinstance(value, Workspace) else value}")
    text = f"{name}: " + " ".join(", ".join(words).split())
    return text if len(text) < 400 else text[:400] + "..."
