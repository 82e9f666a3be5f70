"""Gamma in closed form where all classes are equally likely, as they are at the start of training."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...ctc.enumeration import count_alignments
from ...ctc.labels import count_repeats


def count_beginnings(labels: NDArray, T: int) -> list[list[int]]:
    """The number of ways from the first frame to each state s at each frame t, as [s][t].

    Take the first u labels, r of them repeats. At the n-th frame a path is in the last of these labels in
    binomial(n + u - 1 - r, 2u - 1) ways, and in the blank after it in binomial(n + u - 1 - r, 2u).
    """
    ways = []
    for s in range(2 * len(labels) + 1):
        u = (s + 1) // 2
        spare = u - 1 - count_repeats(labels[:u])
        ways.append([math.comb(n + spare, s) if n + spare >= 0 else 0 for n in range(1, T + 1)])
    return ways


def uniform_gamma(labels: ArrayLike, T: int) -> NDArray[np.float64]:
    """gamma (T, S) where all classes are equally likely at every frame.

    Each entry is the share of the alignments that pass through state s at frame t: the ways to reach it,
    times the ways to finish from it, which are the ways to reach it in the reversed target. The target must
    fit its frames.

    >>> (15 * uniform_gamma([1, 2], T=4)).round(9).tolist()[0]
    [5.0, 10.0, 0.0, 0.0, 0.0]
    """
    labels = np.asarray(labels)
    total = count_alignments(labels, T)
    if total == 0:
        r = count_repeats(labels)
        raise ValueError(f"{len(labels)} labels with {r} repeats do not fit in {T} frames")
    beginnings, endings = count_beginnings(labels, T), count_beginnings(labels[::-1], T)
    S = 2 * len(labels) + 1
    # Exact integers, divided at the end: Python's division of integers rounds once.
    return np.array([
        [beginnings[s][t] * endings[S - 1 - s][T - 1 - t] / total for s in range(S)] for t in range(T)
    ]).reshape(T, S)
