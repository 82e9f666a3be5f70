"""The definition, for problems of at most MAX_PATHS paths: what `solved` computes, as sums over all paths.

A path scores a whole number of 1/64, so paths are counted by score, and Z = sum of count * e^(k/64).
"""

from __future__ import annotations

import itertools
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

from ctc_scratch.ctc.labels import collapse, states_of

from .solved import CLOSED

MAX_PATHS = 20_000


class Enumerated(NamedTuple):
    """Sums over paths; gamma, occupancy and the rest are lists of lists of mpf."""

    alignments: int
    log_partition: mpf
    loss: mpf
    gamma: list
    occupancy: list
    gradient: list
    hessian_product: list
    best: int  # score of the best alignment
    most_probable: list | None  # None if several labellings are equally probable
    most_probable_log_prob: mpf


@lru_cache(maxsize=8)
def labellings(C, T, blank):
    """All paths as an array (C^T, T), and the labelling that each of them spells."""
    paths = np.array(list(itertools.product(range(C), repeat=T)), int).reshape(C ** T, T)
    return paths, [tuple(collapse(path, blank)) for path in paths]


@lru_cache(maxsize=None)
def exp_of(k):
    return mp.exp(mpf(k) / 64)


def weight(counts):
    """The sum of count * e^(score / 64)."""
    return mp.fsum(count * exp_of(score) for score, count in counts.items())


def enumerate_all(ks, labels, blank, vector):
    """The `Enumerated` problem, or None if no alignment is possible; to be called in a working precision."""
    T, C = ks.shape
    paths, spelled = labellings(C, T, blank)
    scores = ks[np.arange(T), paths].sum(axis=1, dtype=np.int64) if T else np.zeros(1, np.int64)
    by_labels = {}
    for labelling, score in zip(spelled, scores.tolist()):
        by_labels.setdefault(labelling, Counter())[score] += 1
    every = Counter(score for score in scores.tolist() if score > CLOSED // 2)
    possible = {labelling: weight({k: n for k, n in counts.items() if k > CLOSED // 2})
                for labelling, counts in by_labels.items()}
    top = max(possible.values())
    likeliest = [labelling for labelling, value in possible.items() if value > top * (1 - mpf(2) ** -200)]

    mine = [n for n, labelling in enumerate(spelled) if labelling == tuple(labels)]
    alignments, mine = len(mine), [n for n in mine if scores[n] > CLOSED // 2]
    if not mine:
        return None
    Z, whole = possible[tuple(labels)], weight(every)
    gamma, occupancy, mixed = ([[mpf(0)] * width for _ in range(T)] for width in (2 * len(labels) + 1, C, C))
    mean = mpf(0)
    for n in mine:
        share = exp_of(int(scores[n])) / Z
        along = mpf(int(vector[np.arange(T), paths[n]].sum())) / 64
        mean += share * along
        for t, (c, s) in enumerate(zip(paths[n], states_of(paths[n], blank))):
            gamma[t][s] += share
            occupancy[t][c] += share
            mixed[t][c] += share * along
    gradient, product = [], []
    for t in range(T):
        y = [exp_of(int(k)) if k > CLOSED else mpf(0) for k in ks[t]]
        y = [value / mp.fsum(y) for value in y]
        v = [mpf(int(value)) / 64 for value in vector[t]]
        y_v = mp.fsum(a * b for a, b in zip(y, v))
        gradient.append([y[c] - occupancy[t][c] for c in range(C)])
        product.append([y[c] * (v[c] - y_v) - (mixed[t][c] - occupancy[t][c] * mean) for c in range(C)])
    return Enumerated(alignments, mp.log(Z), mp.log(whole) - mp.log(Z), gamma, occupancy, gradient, product,
                      int(scores[mine].max()), list(likeliest[0]) if len(likeliest) == 1 else None,
                      mp.log(top) - mp.log(whole))
