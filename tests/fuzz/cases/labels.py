"""Cases of `diagnose`, of the functions of labels and paths, and of the metrics."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ctc_scratch.ctc import (
    can_skip,
    collapse,
    diagnose,
    diagnose_lengths,
    edit_distance,
    extend,
    label_error_rate,
    min_frames,
    sequence_accuracy,
)
from tests.fuzz.case import Case, describe, expect, returned
from tests.fuzz.cases.loss import draw_arguments
from tests.fuzz.draw import draw_batch, draw_target
from tests.fuzz.dress import dress_integers
from tests.tools import oracle


def diagnose_case(draw):
    """`diagnose` never raises, and finds an error where `ctc_loss` would raise one."""
    batch = draw_batch(draw, draw.weighted(small=80, lanes=10, wide=5, none=5), misfit=0.3)
    arguments = draw_arguments(draw, batch)
    taken = ("logits", "targets", "logit_lengths", "target_lengths", "blank", "layout")
    options = {name: arguments[name] for name in taken if name in arguments}
    spoil = draw.chance(0.3) and "logit_lengths" in options
    if spoil:
        options["logit_lengths"] = (batch.lengths + len(batch.clean) + 1).tolist()

    def call():
        found = diagnose(**options)
        return found, str(found)

    def check(outcome, answers):
        found, text = returned(outcome)
        closed = any(answer.log_likelihood == -np.inf for answer in answers)
        wrong = closed or spoil and len(batch.targets) > 0
        expect(bool(found.errors) == wrong, "errors {}, but wrong is {}", found.errors, wrong)
        expect(text.count("ERROR") >= len(found.errors), text)

    return Case(call, check, describe("diagnose", options), batch.problems(oracle.log_softmax(batch.clean)))


def labels_case(draw):
    """The functions of labels and paths, and the distances between labellings."""
    C, blank = draw.randint(2, 5), 0
    a, b, c = (draw_target(draw, draw.randint(0, 8), C, blank, False) for _ in range(3))
    frames = draw.randint(0, 30)

    def call():
        ext = extend(dress_integers(draw, a, C), blank)
        return (ext.tolist(), can_skip(ext).tolist(), min_frames(a), collapse(ext.tolist(), blank),
                [edit_distance(x, y) for x, y in itertools.product([a, b, c], repeat=2)],
                label_error_rate([a, b], [b, c]), sequence_accuracy([a, b, c], [b, b, c]),
                bool(diagnose_lengths([a], [frames]).errors))

    def check(outcome, _):
        ext, skips, needed, collapsed, distances, rate, accuracy, errors = returned(outcome)
        repeats = sum(x == y for x, y in zip(a, a[1:]))
        expect(ext[1::2] == a and ext[::2] == [blank] * (len(a) + 1), f"extend({a}) = {ext}")
        expect([s for s, skip in enumerate(skips) if skip] ==
               [2 * u + 1 for u in range(1, len(a)) if a[u] != a[u - 1]], f"can_skip {skips} of {a}")
        expect(needed == len(a) + repeats and collapsed == a, f"{a}: {needed} frames, collapsed {collapsed}")
        right = [_distance(x, y) for x, y in itertools.product([a, b, c], repeat=2)]
        expect(distances == right, f"edit distances {distances}, not {right}")
        edits, labels = right[1] + right[5], len(b) + len(c)
        expect(rate == (edits / labels if labels else math.inf if edits else 0.0), f"label_error_rate {rate}")
        expect(accuracy == ((a == b) + 1 + 1) / 3, f"sequence_accuracy {accuracy}")
        expect(errors == (frames < needed), f"diagnose_lengths of {a} in {frames} frames: {errors}")

    return Case(call, check, describe("labels", {"a": a, "b": b, "c": c, "frames": frames}))


def _distance(a, b):
    """The edit distance, by its definition."""
    known = {}

    def distance(i, j):
        if (i, j) not in known:
            if i == 0 or j == 0:
                known[i, j] = i + j
            else:
                known[i, j] = min(distance(i - 1, j) + 1, distance(i, j - 1) + 1,
                                  distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
        return known[i, j]

    return distance(len(a), len(b))
