"""Group toy: problems small enough to solve by hand, and answers in closed form."""

from __future__ import annotations

import itertools

import numpy as np

from .draft import DraftBatch, explicit

HAND = [[2, 0, -1], [0.5, 1, 0], [-0.25, 0, 1.75], [1, -2, 0.015625]]
"""Logits (4, 3) without any pattern, the first rows of which serve shorter problems."""


def drafts():
    uniform = [[0, 0, 0]] * 4
    yield explicit("15 of the 81 paths spell (1, 2): loss = 4 ln 3 - ln 15", uniform, [1, 2],
                   flags=("ClosedForm",))
    yield explicit("5 of the 81 paths spell (1, 1): loss = 4 ln 3 - ln 5", uniform, [1, 1],
                   flags=("ClosedForm",))
    yield explicit("the same with the blank last", uniform, [0, 0], 2, flags=("ClosedForm",))
    yield from closed_forms()
    yield from by_hand()
    yield DraftBatch("the toy problem: (1, 2) and (1, 1) side by side, and nothing", [
        explicit("first of the toy batch", HAND, [1, 2]), explicit("second of the toy batch", HAND, [1, 1]),
        explicit("third of the toy batch", HAND, [])])


def closed_forms():
    """Uniform logits, where loss = T ln C - ln(number of alignments), and targets with a single alignment."""
    for T, C in itertools.product((1, 2, 3, 5), (2, 3)):
        yield explicit(f"no label in {T} uniform frames: loss = {T} ln {C}", [[0] * C] * T, [],
                       flags=("ClosedForm",))
    for target in ([1], [2, 1], [1, 2, 1], [2, 2], [1, 1, 1]):
        yield explicit("uniform frames: loss = 5 ln 3 - ln Binomial(5 + U - r, 2U)", [[0, 0, 0]] * 5, target,
                       flags=("ClosedForm",))
    for target in ([1], [1, 2], [2, 1, 2], [1, 1], [1, 2, 2]):
        T = len(target) + sum(a == b for a, b in zip(target, target[1:]))
        yield explicit("one alignment: loss = -sum of its ln y", HAND[:T], target, flags=("ClosedForm",))
    yield explicit("one class: every path is blank, loss = 0", [[0.5]] * 3, [], flags=("ClosedForm",))


def by_hand():
    """Every labelling of up to two labels in 1 to 4 frames of HAND, with each class as the blank."""
    for T in (1, 2, 3, 4):
        for blank in (0, 1, 2) if T == 3 else (0, 2):
            classes = [c for c in range(3) if c != blank]
            for U in range(3):
                for target in itertools.product(classes, repeat=U):
                    if T > 1 and (target == (classes[1], classes[0]) or target == (classes[1],)) and T != 3:
                        continue  # its mirror image is enough
                    yield explicit(f"{T} frames of logits without a pattern", HAND[:T], target, blank)
    yield explicit("no frame and no label: the empty product, p = 1", np.zeros((0, 2)), [])
    yield explicit("no frame, one label: p = 0", np.zeros((0, 2)), [1])
