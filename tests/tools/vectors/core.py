"""Group core: every ordinary situation, each in a small and in a larger size."""

from __future__ import annotations

import itertools

import numpy as np

from ctc_scratch.check.cases import generate
from ctc_scratch.ctc.labels import min_frames

from .draft import DraftBatch, explicit, generated, target_of

INF = -np.inf


def drafts():
    seeds = itertools.count(1001)
    yield from small(seeds)
    yield from closed_classes(seeds)
    yield from padded(seeds)
    yield from larger(seeds)
    yield from batches(seeds)


def small(seeds):
    """T * C <= 16: every kind of target, tight and with frames to spare, with each place of the blank."""
    shapes = [(1, 2), (1, 5), (1, 16), (2, 2), (2, 3), (2, 8), (3, 2), (3, 3), (3, 5), (4, 2), (4, 3), (4, 4),
              (5, 2), (5, 3), (6, 2), (7, 2), (8, 2)]
    for T, C in shapes:
        for blank in sorted({0, C // 2, C - 1}):
            targets = fitting(T, [c for c in range(C) if c != blank])
            if blank > 0:
                targets = targets[-1:] if blank < C - 1 else targets[1::2]
            for target in targets:
                yield generated(f"{described(target)} in {T} frames of {C} classes", T, C, target, blank,
                                seed=next(seeds), bits=8)


def fitting(T, classes):
    """Targets of every kind, of up to four labels, that fit T frames; the shortest first."""
    targets = {()}
    for kind, U in itertools.product(("distinct", "equal", "pairs"), range(1, 5)):
        target = tuple(target_of(kind, U, classes))
        if min_frames(target) <= T:
            targets.add(target)
    return sorted(targets, key=lambda target: (len(target), target))


def described(target):
    """A target in words."""
    U, r = len(target), min_frames(target) - len(target)
    labels = "1 label" if U == 1 else f"{U or 'no'} labels"
    return f"{labels} with {r} repeat{'s' * (r > 1)}" if r else labels


def closed_classes(seeds):
    """-inf logits: some alignments closed, all but one closed, all closed."""
    a, b = 0.5, -1.25
    yield explicit("a class of probability 0 that no alignment uses",
                   [[a, b, INF], [b, a, INF], [a, a, INF]], [1])
    yield explicit("the label is closed in the first frame", [[a, INF, b], [b, a, a], [a, 1, b]], [1])
    yield explicit("the label is closed in the last frame", [[a, b, b], [b, a, a], [a, INF, b]], [1])
    yield explicit("the blank is closed everywhere", [[INF, a, b], [INF, b, a], [INF, b, b], [INF, 1, a]],
                   [1, 2])
    yield explicit("the blank is closed everywhere but between two equal labels",
                   [[INF, a, b], [INF, a, 1], [b, a, a], [INF, 2, b]], [1, 1])
    yield explicit("the label is closed everywhere: no path", [[a, INF, b], [b, INF, a], [b, INF, 1]], [1])
    yield explicit("the blank between equal labels is closed: no path",
                   [[INF, a, b], [INF, a, 1], [INF, a, a], [INF, 2, b]], [1, 1])
    yield explicit("one class open in each frame, and the path through them spells the target: loss = 0",
                   [[INF, a, INF], [a, INF, INF], [INF, INF, 1], [INF, INF, a]], [1, 2])
    yield explicit("one class open in each frame, and the path through them spells something else",
                   [[INF, a, INF], [a, INF, INF], [INF, INF, 1], [INF, INF, a]], [1])
    yield explicit("the empty target, with the blank closed in one frame", [[a, b], [INF, a], [b, a]], [])
    yield explicit("the empty target, with the blank alone open", [[a, INF], [b, INF], [1, INF]], [])
    yield explicit("only the last state is open at the end", [[a, b, 1], [b, a, a], [INF, INF, a]], [1, 2])
    yield explicit("the skip is the only way", [[INF, a, b], [INF, b, 1], [a, b, INF]], [1, 2])
    yield explicit("the blank must be passed", [[b, a, INF], [a, INF, INF], [b, INF, a]], [1, 2])
    yield explicit("T = 1 with the label closed: no path", [[a, INF, b]], [1])
    yield explicit("T = 1 with all else closed: loss = 0", [[INF, a, INF]], [1])
    yield explicit("the blank last, and closed in the middle", [[a, b, 1], [b, a, INF], [b, b, a]], [0, 1], 2)
    for T, C, share in itertools.product((8, 25), (4, 9), (4, 12)):
        seed = next(seeds)
        target = target_of("mixed", T // 3, range(1, C), seed)
        drawn = (64 * generate(seed + 500, 12, T * C)).astype(int) % share == 0
        closed = [divmod(i, C) for i in np.flatnonzero(drawn).tolist() if i % C > 0]
        yield generated(f"about 1/{share} of the logits is -inf, but the blank never is", T, C, target,
                        seed=seed, bits=9, closed=closed)


def padded(seeds):
    """Frames and labels after the used ones, which would change every answer if they were read."""
    for T, used, target, labels in [(4, 3, [1, 2], None), (5, 4, [1, 1], None), (4, 1, [2], None),
                                    (4, 4, [1, 2, 2], 2), (5, 3, [2, 1, 1], 1), (5, 2, [1, 2], 0),
                                    (4, 0, [1], 0), (5, 3, [1, 1, 2], 2), (3, 2, [1, 1], None)]:
        U = len(target)
        yield generated(f"{used} of {T} frames and {U if labels is None else labels} of {U} labels are used",
                        T, 3, target, seed=next(seeds), bits=9, logit_length=used,
                        target_length=labels)
    for T, used, C, U in [(30, 20, 6, 8), (40, 13, 4, 12), (25, 24, 12, 3)]:
        seed = next(seeds)
        target = target_of("distinct", U + 3, range(1, C))
        yield generated(f"{used} of {T} frames and {U} of {U + 3} labels are used", T, C, target, seed=seed,
                        bits=9, logit_length=used, target_length=U)


def larger(seeds):
    """Fresh networks (bits 8), and wider logits (bits 10), with every kind of target."""
    for T, C, U in [(6, 4, 2), (7, 3, 3), (9, 5, 4), (12, 3, 5), (12, 11, 5), (20, 6, 6), (30, 11, 10),
                    (40, 28, 15), (60, 28, 20), (50, 4, 24)]:
        for kind, bits in (("distinct", 8), ("mixed", 10), ("pairs", 9), ("equal", 8)):
            seed = next(seeds)
            blank = (0, C - 1, C // 2, 0)[seed % 4]
            target = target_of(kind, U, [c for c in range(C) if c != blank], seed)
            while min_frames(target) > T:
                target.pop()
            yield generated(f"{described(target)} in {T} frames of {C} classes", T, C, target, blank,
                            seed=seed, bits=bits)
    for T, C, kind, U in [(9, 4, "distinct", 9), (9, 3, "equal", 5), (24, 5, "pairs", 16),
                          (33, 3, "equal", 17), (40, 7, "distinct", 40)]:
        target = target_of(kind, U, range(1, C))
        yield generated("a target that just fits", min_frames(target), C, target, seed=next(seeds), bits=9)
        yield generated("a target that lacks one frame", min_frames(target) - 1, C, target, seed=next(seeds),
                        bits=9)
    for T, C in [(10, 5), (40, 3)]:
        yield generated("the empty target", T, C, [], seed=next(seeds), bits=9)


def batches(seeds):
    """Ragged and full batches, as many sequences as frames, and batches with an infeasible member."""
    def member(n, T, C, target, blank=0, **options):
        return generated(f"member {n} of the next batch", T, C, target, blank, seed=next(seeds), bits=9,
                         **options)

    def batch(comment, C, members, blank=0, flags=()):
        return DraftBatch(comment, [member(n, T, C, target, blank) for n, (T, target) in enumerate(members)],
                          flags)

    yield batch("two full sequences", 3, [(4, [1, 2]), (4, [2, 2])])
    yield batch("ragged in both lengths", 3, [(5, [1, 2, 1]), (3, [2]), (2, [1, 2]), (4, [1, 1])])
    yield batch("an empty target among others", 4, [(4, [1, 3]), (3, []), (4, [2])])
    yield batch("all targets empty", 4, [(3, []), (2, []), (4, [])])
    yield batch("a single sequence", 4, [(4, [3, 1])])
    yield batch("as many sequences as frames", 3, [(4, [1]), (4, [2, 1]), (4, [1, 1]), (4, [2])],
                flags=("Transposable",))
    yield batch("as many sequences as frames and as classes", 3, [(3, [1, 2]), (3, [2]), (3, [1])],
                flags=("Transposable",))
    yield batch("one infeasible member: it lacks a frame for its repeat", 3,
                [(3, [1, 2]), (2, [1, 1]), (3, [2])])
    yield batch("one infeasible member: more labels than frames", 3,
                [(3, [1, 2, 1]), (2, [1, 2, 1]), (4, [])])
    yield batch("every member is infeasible", 3, [(1, [1, 2]), (2, [2, 2])])
    yield batch("the blank last", 5, [(3, [0, 1]), (3, [3, 3]), (2, [2])], 4)
    yield batch("ragged and larger", 8, [(20, [1, 2, 3, 4]), (15, [5, 5, 6]), (12, [7, 1] * 3), (9, [2])])
    yield batch("nine sequences of equal length", 6,
                [(12, target_of("mixed", 1 + n % 5, range(1, 6), n)) for n in range(9)])
    yield DraftBatch("one member is closed by -inf", [
        member(0, 5, 3, [1, 2]), member(1, 6, 3, [2, 1], closed=[(t, 2) for t in range(6)]),
        member(2, 4, 3, [2])])
