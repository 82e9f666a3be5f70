"""The input of a case, before it has answers: logits as integers in units of 1/64, a target, a blank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctc_scratch.check import cases

from .solved import CLOSED

WHOLE = 16
"""Arrays of at most this many entries (T * C) are published whole."""


@dataclass
class Draft:
    """An input. `spec` is the JSON form of logits that are generated, or that hold NaN or inf."""

    comment: str
    ks: np.ndarray  # (T, C) integers, CLOSED for -inf
    target: list
    blank: int = 0
    flags: tuple = ()
    logit_length: int | None = None
    target_length: int | None = None
    spec: dict | list | None = None
    error: bool = False  # must be refused

    @property
    def lengths(self):
        """(frames, labels) that are used."""
        T = len(self.ks) if self.logit_length is None else self.logit_length
        return T, len(self.target) if self.target_length is None else self.target_length


@dataclass
class DraftBatch:
    """Drafts side by side, which become cases of their own."""

    comment: str
    members: list
    flags: tuple = ()


def explicit(comment, logits, target, blank=0, **options):
    """A draft with logits as given: rows of multiples of 1/64, or -inf."""
    return Draft(comment, in_64ths(np.array(logits, float)), list(target), blank, **options)


def generated(comment, T, C, target, blank=0, *, seed, bits, path=None, by=0.0, closed=(), **options):
    """A draft whose logits come from the stated generator.

    path : runs (class, frames) along which `by` is added; closed : (frame, class) pairs that become -inf
    """
    spec = {"seed": seed, "bits": bits}
    if path is not None:
        spec |= {"path": [list(run) for run in path], "raise": by}
    if closed:
        spec["closed"] = [list(pair) for pair in closed]
    ks = in_64ths(cases.array_of(spec, (T, C)))
    return Draft(comment, ks, list(target), blank, spec=spec if T * C > WHOLE else None, **options)


def in_64ths(array):
    """The integers k of logits k / 64, which must be dyadic and below 32."""
    possible = np.isfinite(array)
    assert not np.isnan(array).any() and not np.isposinf(array).any()
    ks = np.full(array.shape, CLOSED)
    ks[possible] = 64 * array[possible]
    assert (ks[possible] == 64 * array[possible]).all(), "logits must be multiples of 1/64"
    assert (np.abs(ks[possible]) <= 2048).all(), "logits must be at most 32"
    return ks


def json_numbers(ks):
    """Rows of numbers for JSON: whole ones without a point, -inf as a string."""
    def number(k):
        return "-inf" if k == CLOSED else k // 64 if k % 64 == 0 else k / 64
    return [[number(int(k)) for k in row] for row in ks]


def runs_of(labels, each, blank=0, gap=0):
    """A path as runs: every label for `each` frames, and the blank for `gap` frames after it."""
    return [run for label in labels for run in ((label, each), (blank, gap)) if run[1]]


def target_of(kind, U, classes, seed=0):
    """U labels from the classes: all distinct from their neighbours, all equal, in pairs, or as they come."""
    n = len(classes)
    order = {
        "distinct": lambda u: u % n,
        "equal": lambda u: 0,
        "pairs": lambda u: u // 2 % n,
        "mixed": lambda u: int(64 * numbers[u]) % n,
    }[kind]
    numbers = cases.generate(seed, 12, U)
    return [classes[order(u)] for u in range(U)]
