"""Group hard: nearly certain, nearly impossible, and far apart."""

from __future__ import annotations

import itertools

from ctc_scratch.ctc.labels import min_frames

from .draft import explicit, generated, runs_of, target_of

SURE = 20.796875
"""Logits this far apart give a probability of about 1 - 2^-30 (30 ln 2 = 20.794)."""


def drafts():
    seeds = itertools.count(3001)
    yield from sure()
    yield from peaky(seeds)
    yield from wide(seeds)
    yield from equal_labels(seeds)
    yield from nearly_impossible(seeds)
    yield from many_classes(seeds)


def sure():
    """Hand-sized: each frame is about as sure of its class as 1 - 2^-30, and more."""
    yield explicit("float32 log space gives a negative loss: the truth is -ln(1 - p(blank)^2)",
                   [[0, 17], [0, 17]], [1])
    for by in (SURE, 31):
        sure_of = {c: [by if k == c else 0 for k in range(3)] for c in range(3)}
        for path, target in [((1, 0, 2, 2), [1, 2]), ((1, 0, 1, 1), [1, 1]), ((0, 0, 0), []), ((1,), [1]),
                             ((2, 2, 2, 2), [2]), ((1, 0, 2, 0), [1]), ((1, 1, 1), [1, 1]),
                             ((0, 0, 0, 0), [1]), ((1, 2, 1), [2]), ((0, 0, 1), [])]:
            yield explicit(f"sure of the path {path} by {by}", [sure_of[c] for c in path], target)
    yield explicit("two classes, the label sure by the widest logits: p = 1 - e^-63.98",
                   [[-31.984375, 32]] * 2, [1])
    yield explicit("two classes, the blank sure by the widest logits", [[32, -31.984375]] * 2, [1])


def peaky(seeds):
    """Trained networks: a path through the labels raised above noise, more and more."""
    for T, C, kind, U in [(12, 4, "distinct", 3), (24, 5, "pairs", 6), (40, 11, "mixed", 8),
                          (60, 28, "mixed", 12)]:
        for by in (4, 10, 16.5, 27):
            seed = next(seeds)
            target = target_of(kind, U, range(1, C), seed)
            path = runs_of(target, 1, gap=T // U - 1)
            yield generated(f"the right path is raised by {by}", T, C, target, seed=seed, bits=9, path=path,
                            by=by)
        seed = next(seeds)
        target = target_of(kind, U, range(1, C), seed)
        yield generated("all blank is raised by 12: the plateau of early training", T, C, target, seed=seed,
                        bits=8, path=[(0, T)], by=12)


def wide(seeds):
    """Logits from -32 to 32 without any pattern."""
    for T, C, kind, U in [(2, 3, "distinct", 1), (3, 4, "distinct", 2), (4, 4, "equal", 2),
                          (5, 3, "mixed", 2),
                          (8, 2, "equal", 3), (10, 5, "mixed", 4), (25, 6, "pairs", 8), (40, 3, "equal", 15),
                          (50, 12, "mixed", 20), (60, 2, "equal", 25)]:
        for blank in (0, C - 1):
            seed = next(seeds)
            target = target_of(kind, U, [c for c in range(C) if c != blank], seed)
            while min_frames(target) > T:
                target.pop()
            yield generated("logits up to 32", T, C, target, blank, seed=seed, bits=12)


def equal_labels(seeds):
    """Long runs of one label, where every skip is forbidden."""
    for U, spare, C, bits in [(6, 0, 2, 8), (6, 1, 3, 9), (10, 5, 3, 8), (20, 0, 4, 9), (20, 3, 2, 10),
                              (25, 25, 3, 8), (30, 60, 5, 9)]:
        target = [1] * U
        yield generated(f"{U} equal labels and {spare} frames to spare", min_frames(target) + spare, C,
                        target,
                        seed=next(seeds), bits=bits)
    for U in (8, 16, 24):
        target = [1] * U + [2] * U
        yield generated(f"{U} equal labels, then {U} others", 2 * min_frames(target), 3, target,
                        seed=next(seeds),
                        bits=9)


def nearly_impossible(seeds):
    """A wrong transcript: the network is sure of other labels than those of the target."""
    for T, C, by in [(12, 4, 8), (12, 4, 24), (30, 6, 12), (30, 6, 28), (60, 10, 20)]:
        target = target_of("distinct", T // 4, range(1, C))
        wrong = [C - label for label in target]
        for comment, path in [("another transcript is raised", runs_of(wrong, 2, gap=2)),
                              ("one label is raised in every frame", [(C - 1, T)]),
                              ("the transcript is raised from back to front",
                               runs_of(target[::-1], 2, gap=2))]:
            yield generated(f"{comment} by {by}", T, C, target, seed=next(seeds), bits=9, path=path, by=by)
    yield generated("the empty target, while a label is raised in every frame", 30, 4, [], seed=next(seeds),
                    bits=9,
                    path=[(2, 30)], by=25)
    yield generated("a tight target of equal labels, while the blank is raised", 19, 3, [1] * 10,
                    seed=next(seeds),
                    bits=9, path=[(0, 19)], by=25)


def many_classes(seeds):
    """Far more classes than labels, most of which occur in no target."""
    for T, C, U in [(12, 100, 5), (20, 300, 8), (6, 1000, 2)]:
        for blank in (0, C - 1):
            seed = next(seeds)
            target = target_of("mixed", U, [c for c in range(C) if c != blank], seed)
            yield generated(f"{C} classes", T, C, target, blank, seed=seed, bits=9)
