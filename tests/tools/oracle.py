"""The recursion of `reference` for many sequences at once, in long double: what `fuzz` compares with.

It shares no line with the kernels. A long double has 64 bits of precision where a float64 has 53. Log
space loses about eps * |log alpha|, which leaves 12 digits even at logits of 1e5. (On some platforms a
long double is a float64; EPS is larger there, and comparisons allow for it.)

beta equals alpha of the reversed sequence, with frames and labels in reverse order, so one recursion
computes both.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

EPS = float(np.finfo(np.longdouble).eps)
GROUP = 40_000
"""About how many cells are solved at a time."""


class Problem(NamedTuple):
    """One sequence: log_probs (T, C) long double, or scores of any kind; labels; the blank."""

    log_probs: np.ndarray
    labels: Sequence[int]
    blank: int


class Answer(NamedTuple):
    """The true answer; log_likelihood is -inf and the arrays are 0 if there is no alignment."""

    log_likelihood: np.longdouble
    gamma: np.ndarray  # (T, S)
    occupancy: np.ndarray  # (T, C)
    error: float  # the largest absolute error of all three


def log_softmax(logits):
    """ln y in long double, over the last axis."""
    logits = np.asarray(logits, dtype=np.longdouble)
    logits = logits - logits.max(axis=-1, keepdims=True, initial=-np.inf)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def solve(problems):
    """An `Answer` for each problem."""
    answers, groups = [None] * len(problems), {}
    for n, (log_probs, labels, _) in enumerate(problems):
        groups.setdefault((*map(_rounded, log_probs.shape), _rounded(len(labels))), []).append(n)
    for (T, C, U), members in groups.items():
        B = max(1, GROUP // (T * (2 * U + C)))
        for k in range(0, len(members), B):
            group = members[k:k + B]
            for n, answer in zip(group, _solve_group([problems[n] for n in group])):
                answers[n] = answer
    return answers


def _rounded(n):
    """n rounded up to 6, 8, 12, 16, 24, ...: similar sizes are solved together, with little padding."""
    power = 1 << max(n - 1, 7).bit_length()
    return 3 * power // 4 if 4 * n <= 3 * power else power


def _solve_group(problems):
    B, T = len(problems), np.array([len(p.log_probs) for p in problems])
    S = np.array([2 * len(p.labels) + 1 for p in problems])
    C = max(p.log_probs.shape[1] for p in problems)
    ext = np.full((2 * B, S.max()), C)  # C: no class
    emit = np.full((T.max() + 1, 2 * B, S.max()), -np.inf, np.longdouble)  # row 0: before the first frame
    for b, p in enumerate(problems):
        states = np.full(S[b], p.blank)
        states[1::2] = p.labels
        y = p.log_probs[:, states]
        ext[b, :S[b]], ext[B + b, :S[b]] = states, states[::-1]
        emit[1:T[b] + 1, b, :S[b]], emit[1:T[b] + 1, B + b, :S[b]] = y, y[::-1, ::-1]
    skips = np.zeros(ext.shape, bool)
    skips[:, 2:] = (ext[:, 2:] != ext[:, :-2]) & (ext[:, 2:] < C)

    log_alpha = _forward(emit, skips)
    every = np.arange(B)
    ends = log_alpha[T, every, S - 1], np.where(S > 1, log_alpha[T, every, S - 2], -np.inf)
    log_likelihood = _log_add(*ends)
    # beta of frame t and state s, times the emission of frame t, is alpha of the reversed sequence in frame
    # T - 1 - t and state S - 1 - s.
    frame, state = np.arange(T.max())[:, None, None], np.arange(S.max())
    here = log_alpha[1:, :B]
    log_beta = log_alpha[np.maximum(T[:, None] - frame, 0), B + every[:, None],
                         np.maximum(S[:, None] - 1 - state, 0)]
    possible = (here > -np.inf) & (log_beta > -np.inf) & (log_likelihood > -np.inf)[:, None]
    possible &= (frame < T[:, None]) & (state < S[:, None])
    with np.errstate(invalid="ignore", over="ignore"):
        gamma = np.where(possible, np.exp(here + log_beta - emit[1:, :B] - log_likelihood[:, None]), 0)
    occupancy = np.zeros((T.max(), B, C + 1), np.longdouble)
    for s in range(S.max()):
        occupancy[:, every, ext[:B, s]] += gamma[:, :, s]
    largest = np.where(np.isfinite(log_alpha), np.abs(log_alpha), 0).max(axis=(0, 2), initial=1)
    for b, p in enumerate(problems):
        error = 8 * EPS * (T[b] + 4) * float(max(largest[b], largest[B + b]))
        yield Answer(log_likelihood[b], gamma[:T[b], b, :S[b]], occupancy[:T[b], b, :p.log_probs.shape[1]],
                     error)


def _forward(emit, skips, add=None):
    """log alpha (T + 1, B, S); in row 0, before the first frame, all probability is in the first blank."""
    add = add or _log_add
    log_alpha = np.full(emit.shape, -np.inf, np.longdouble)
    log_alpha[0, :, 0] = 0
    step, skip = np.full((2, *emit.shape[1:]), -np.inf, np.longdouble)
    for t in range(1, len(emit)):
        before = log_alpha[t - 1]
        step[:, 1:] = before[:, :-1]
        skip[:, 2:] = np.where(skips[:, 2:], before[:, :-2], -np.inf)
        log_alpha[t] = add(before, step, skip) + emit[t]
    return log_alpha


def _log_add(*terms):
    top = np.maximum.reduce(terms)
    shift = np.where(top > -np.inf, top, 0)
    with np.errstate(divide="ignore"):
        return shift + np.log(sum(np.exp(term - shift) for term in terms))


def best(problem):
    """ln of the probability of the best alignment: the same recursion with max in place of the sum."""
    T, ext = len(problem.log_probs), np.full(2 * len(problem.labels) + 1, problem.blank)
    ext[1::2] = problem.labels
    emit = np.full((T + 1, 1, len(ext)), -np.inf, np.longdouble)
    emit[1:, 0] = problem.log_probs[:, ext]
    skips = np.zeros((1, len(ext)), bool)
    skips[0, 2:] = ext[2:] != ext[:-2]
    return _forward(emit, skips, lambda *ways: np.maximum.reduce(ways))[T, 0, -2:].max()
