"""Group long: up to 2000 frames and 320 labels, where rounding adds up and linear space underflows."""

from __future__ import annotations

import itertools

from ctc_scratch.ctc.labels import min_frames

from .draft import generated, runs_of, target_of


def drafts():
    seeds = itertools.count(5001)
    for T, C, kind, U, bits in [
        (200, 5, "mixed", 20, 8), (200, 12, "distinct", 60, 9), (300, 4, "pairs", 90, 8),
        (400, 28, "mixed", 40, 9), (500, 3, "equal", 100, 8), (600, 3, "distinct", 200, 9),
        (1000, 6, "mixed", 30, 8), (2000, 4, "mixed", 12, 8), (2000, 3, "distinct", 0, 9),
        (1000, 2, "equal", 1, 10),
    ]:
        yield plain(next(seeds), T, C, kind, U, bits)
    for U in (255, 256, 257):  # some implementations change to other code at 256
        yield plain(next(seeds), 520, 5, "distinct", U, 8)
    yield plain(next(seeds), 700, 40, "mixed", 300, 8)
    yield plain(next(seeds), 2000, 6, "mixed", 320, 8)
    for kind, U in (("equal", 150), ("distinct", 300)):
        target = target_of(kind, U, [1, 2])
        yield generated("a target that just fits", min_frames(target), 3, target, seed=next(seeds), bits=9)
        yield generated("a target that lacks one frame", min_frames(target) - 1, 3, target, seed=next(seeds),
                        bits=9)
    for T, C, U, by in [(300, 11, 30, 6), (300, 11, 30, 14), (800, 28, 80, 10), (2000, 12, 100, 8),
                        (1200, 5, 60, 22)]:
        seed = next(seeds)
        target = target_of("mixed", U, range(1, C), seed)
        yield generated(f"the right path is raised by {by}", T, C, target, seed=seed, bits=9,
                        path=runs_of(target, 2, gap=T // U - 2), by=by)
    for T, C, U, by in [(300, 5, 40, 12), (900, 8, 60, 16)]:
        seed = next(seeds)
        target = target_of("distinct", U, range(1, C), seed)
        wrong = [C - label for label in target]
        yield generated(f"another transcript is raised by {by}", T, C, target, seed=seed, bits=9,
                        path=runs_of(wrong, 2, gap=3), by=by)
        yield generated(f"the blank is raised by {by}", T, C, target, seed=next(seeds), bits=8,
                        path=[(0, T)], by=by)
    for T, C, U in [(250, 4, 40), (500, 3, 120)]:
        yield plain(next(seeds), T, C, "mixed", U, 12)


def plain(seed, T, C, kind, U, bits):
    return generated(f"{U} labels ({kind}) in {T} frames", T, C, target_of(kind, U, range(1, C), seed),
                     seed=seed,
                     bits=bits)
