"""A case of the fuzzer: a call, the check of its outcome, and its description."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

import numpy as np

from ctc_scratch.ctc import Workspace


@dataclass
class Case:
    """One call and the check of its outcome.

    call : makes the call
    check : gets what was returned or raised, and the oracle's answers; AssertionError if it is wrong
    words : returns a description of the call
    problems : what the oracle has to solve for the check
    """

    call: Callable[[], Any]
    check: Callable[[Any, list], None]
    words: Callable[[], str]
    problems: list = field(default_factory=list)

    @property
    def what(self):
        return self.words()

    def run(self, answers):
        """Call and check; AssertionError if the outcome is not what it must be."""
        try:
            outcome = self.call()
        except Exception as error:  # the check says whether it is the right one
            outcome = error
        self.check(outcome, answers)


def expect(truth, what, *values):
    """Assert `truth`. Each {} in `what` stands for one of the values, which are printed only on failure."""
    if not truth:
        raise AssertionError(what.format(*values) if values else what)


def expect_close(actual, right, allowed, what):
    """AssertionError if an entry is further from the right one than is allowed there; inf equals inf."""
    actual = np.asarray(actual, dtype=np.longdouble)
    with np.errstate(invalid="ignore"):
        wrong = ~((actual == right) | (np.abs(actual - right) <= allowed))
    if wrong.any():
        place = tuple(int(k[0]) for k in np.nonzero(wrong)) if np.ndim(wrong) else ()
        right, allowed = (np.broadcast_to(x, wrong.shape)[place] for x in (right, allowed))
        raise AssertionError(f"{what}{list(place)} is {float(actual[place])!r}, not {float(right)!r}: off by "
                             f"{float(abs(actual[place] - right)):.2e}, allowed {float(allowed):.2e}")


def returned(outcome):
    """The outcome, if the call returned; AssertionError if it raised."""
    if isinstance(outcome, Exception):
        raise AssertionError(f"{type(outcome).__name__}: {outcome}") from outcome
    return outcome


def describe(name, arguments, conditions=None):
    """A function that describes a call. It is rarely called: printing arrays takes longer than most cases."""
    return partial(_words, name, arguments, conditions)


def _words(name, arguments, conditions):
    words = []
    for key, value in {**arguments, **(conditions or {})}.items():
        if isinstance(value, np.ndarray) and value.ndim > 1:
            value = f"{value.dtype} array {value.shape}"
        words.append(f"{key}={'a Workspace' if isinstance(value, Workspace) else value}")
    text = f"{name}: " + " ".join(", ".join(words).split())
    return text if len(text) < 400 else text[:400] + "..."
