"""Group reject: what must be refused, what falls under a policy, and what looks wrong and is not.

"error" means an error that names the mistake, before anything is computed: no NaN, no number, no crash.
"""

from __future__ import annotations

import itertools

import numpy as np

from .draft import CLOSED, Draft, explicit, generated, json_numbers

HAND = [[2, 0, -1], [0.5, 1, 0], [-0.25, 0, 1.75], [1, -2, 0.015625]]


def drafts():
    yield from bad_labels()
    yield from bad_blanks()
    yield from bad_lengths()
    yield from not_finite()
    yield from too_short()
    yield from must_accept()


def refused(comment, flag, target=(1, 2), blank=0, logits=HAND, **options):
    """A draft that must be refused; its logits may hold "nan" and "inf"."""
    spec = [list(row) for row in logits]
    ks = np.full((len(spec), len(spec[0])), CLOSED)  # only for the shape
    return Draft(comment, ks, list(target), blank, flags=(flag,), spec=spec, error=True, **options)


def bad_labels():
    for target in ([3], [1, 3], [1, 2, 100], [2**31], [2**31 + 1], [2**32 + 1], [2**62]):
        yield refused("a label that is no class", "BadLabel", target)
    for target in ([-1], [1, -1], [-3], [-2**31]):
        yield refused("a negative label", "BadLabel", target)
    for target in ([0], [1, 0], [0, 1], [1, 0, 2], [0, 0]):
        yield refused("the blank in the target", "BadLabel", target)
    yield refused("the last class, where it is the blank", "BadLabel", [0, 2], 2)
    yield refused("the middle class, where it is the blank", "BadLabel", [1], 1)
    yield refused("a label that is not a whole number", "BadLabel", [1.5])
    yield refused("a bad label in a target that does not fit anyway", "BadLabel", [1, 2, 1, 2, 1, 7])


def bad_blanks():
    for blank in (3, -1, 100, 2**32):
        yield refused("the blank is none of the classes", "BadBlank", [1, 2], blank)
    yield refused("the blank is not a whole number", "BadBlank", [1, 2], 0.5)


def bad_lengths():
    for length in (5, 100, 2**32 + 4):
        yield refused("more frames used than given", "BadLength", logit_length=length)
    for length in (-1, -4, -2**62):
        yield refused("a negative number of frames", "BadLength", logit_length=length)
    for length in (3, 2**32 + 2):
        yield refused("more labels used than given", "BadLength", target_length=length)
    for length in (-1, -2**62):
        yield refused("a negative number of labels", "BadLength", target_length=length)
    yield refused("a length that is not a whole number", "BadLength", logit_length=2.5)


def not_finite():
    def with_value(value, *places):
        rows = [list(row) for row in HAND]
        for t, c in places:
            rows[t][c] = value
        return rows

    yield refused("NaN in a class of the target", "NotFinite", logits=with_value("nan", (1, 1)))
    yield refused("NaN in a class that the target does not use", "NotFinite", [1],
                  logits=with_value("nan", (1, 2)))
    yield refused("NaN in the blank", "NotFinite", logits=with_value("nan", (0, 0)))
    yield refused("NaN in the last frame", "NotFinite", logits=with_value("nan", (3, 2)))
    yield refused("NaN, and an empty target", "NotFinite", [], logits=with_value("nan", (3, 2)))
    yield refused("NaN, and a target that does not fit", "NotFinite", [1, 2, 1, 2, 1],
                  logits=with_value("nan", (0, 1)))
    yield refused("+inf in a class of the target", "NotFinite", logits=with_value("inf", (1, 1)))
    yield refused("+inf in a class that the target does not use", "NotFinite", [1],
                  logits=with_value("inf", (1, 2)))
    yield refused("+inf twice in one frame", "NotFinite", logits=with_value("inf", (2, 0), (2, 2)))
    yield refused("a frame without any possible class", "NotFinite",
                  logits=with_value("-inf", (1, 0), (1, 1), (1, 2)))
    yield refused("no frame has a possible class", "NotFinite", logits=[["-inf"] * 3] * 4)


def too_short():
    """Infeasible targets: the answer depends on the policy."""
    for target in ([1, 2, 1, 2, 1], [1] * 7, [1, 1, 1], [2, 2, 1, 1], [1, 2, 2, 1], [1, 1, 2, 2, 1]):
        yield explicit("the target does not fit into 4 frames", HAND, target)
    yield explicit("two labels in one frame", HAND[:1], [1, 2])
    yield explicit("two equal labels in two frames", HAND[:2], [2, 2])
    yield explicit("two equal labels, with the blank last", HAND[:2], [0, 0], 2)
    yield explicit("fits into the given frames, but not into the used ones", HAND, [1, 2, 1], logit_length=2)
    yield explicit("one label and no used frame", HAND, [1], logit_length=0)
    yield explicit("every alignment is closed by -inf", [[1, -np.inf, 0], [0, -np.inf, 1], [2, -np.inf, 0]],
                   [1])
    yield explicit("the first frame admits neither the blank nor the first label",
                   [[-np.inf, -np.inf, 0], [0, 1, 1], [2, 0, 0]], [1, 2])
    yield generated("300 labels in 299 frames", 299, 4, [1, 2, 3] * 100, seed=7001, bits=8)


def must_accept():
    """Bad values in padding, which must not be read."""
    def accepted(comment, rows, target, **options):
        ks = np.array([[CLOSED if isinstance(x, str) else 64 * x for x in row] for row in rows])
        return Draft(comment, ks.astype(np.int64), target, flags=("MustAccept",), spec=rows, **options)

    for value, frames in itertools.product(("nan", "inf", "-inf"), (2, 3)):
        rows = json_numbers((64 * np.array(HAND)).astype(np.int64))
        rows[frames:] = [[value] * 3] * (4 - frames)
        yield accepted(f"{value} in frames that are not used", rows, [1, 2], logit_length=frames)
    for value in (-1, 3, 0, 2**31):
        yield accepted("a label that is no class, after the used labels", HAND, [1, 2, value],
                       target_length=2)
    yield accepted("blanks after the used labels", HAND, [2, 0, 0, 0, 0, 0], target_length=1)
