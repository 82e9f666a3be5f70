"""The truth: loss, gradient and posterior of one sequence in arbitrary precision.

The recursion of `reference` in linear space, in mpmath's binary floats. They have as many bits as one
asks for and unbounded exponents, so nothing underflows, no logarithm is needed on the way and nothing
is rescaled. Logits are taken as the exact numbers that their floats represent. There are no windows
and no tricks. A cell costs microseconds, so T times U should stay in the ten thousands.

256 bits leave 60 correct digits for any problem of this size. Only a loss near 0 needs more: 1 - p has
as many digits as `bits` holds beyond -log2(loss).
"""

from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf


class Truth(NamedTuple):
    """An answer, rounded once, at the end."""

    loss: mpf  # still exact to `bits`; inf if no path exists
    grad: np.ndarray  # (T, C) of the loss w.r.t. the logits; 0 if no path exists
    gamma: np.ndarray  # (T, S)
    entropy: mpf  # of the distribution over alignments [nats]


def solve(logits, labels, blank=0, *, normalise=True, bits=256):
    """The `Truth` of logits (T, C); normalise=False leaves out the softmax: y = e^logits, loss = -ln Z."""
    with mp.workprec(bits):
        found = _solve_exactly([[mpf(float(x)) for x in row] for row in logits], labels, blank, normalise)
        return found._replace(grad=np.array(found.grad, float).reshape(np.shape(logits)),
                              gamma=np.array(found.gamma, float))


def hessian_product(scores, labels, vectors, blank=0, *, bits=256):
    """The Hessian of ln Z times vectors (T, C): the central difference of its gradient with a step of 2^-80.

    Its error is some 2^-160 of the third derivative.
    """
    T, C = np.shape(scores)
    with mp.workprec(bits):
        step = mpf(2) ** -80
        ends = [_solve_exactly(
            [[mpf(float(scores[t, c])) + sign * step * mpf(float(vectors[t, c])) for c in range(C)]
             for t in range(T)], labels, blank, False).grad for sign in (1, -1)]
        return np.array([[(low - high) / (2 * step) for high, low in zip(*rows)]
                         for rows in zip(*ends)], float)


def _solve_exactly(logits, labels, blank, normalise):
    """The `Truth` with mpf entries in lists."""
    T, C = len(logits), len(logits[0]) if logits else 0
    ext = [blank]
    for label in labels:
        ext += [int(label), blank]
    S = len(ext)
    skips = [s >= 2 and ext[s] != ext[s - 2] for s in range(S)] + [False, False]
    y = [[mp.exp(x) for x in row] for row in logits]
    if normalise:
        totals = [mp.fsum(row) for row in y]
        y = [[value / total for value in row] for row, total in zip(y, totals)]

    alpha, row = [], [mpf(1)] + [mpf(0)] * (S - 1)  # before the first frame, in the first blank
    for t in range(T):
        row = [_sum(row[s], row[s - 1] if s >= 1 else 0, row[s - 2] if skips[s] else 0) for s in range(S)]
        row = [_times(value, y[t][ext[s]]) for s, value in enumerate(row)]
        alpha.append(row)
    beta, row = [], [mpf(0)] * (S - 1) + [mpf(1)]  # after the last frame, in the last blank
    for t in range(T - 1, -1, -1):
        row += [0, 0]
        row = [_sum(row[s], row[s + 1], row[s + 2] if skips[s + 2] else 0) for s in range(S)]
        beta.append(row)
        row = [_times(value, y[t][ext[s]]) for s, value in enumerate(row)]
    beta.reverse()

    likelihood = row[0] + (row[1] if S > 1 else 0)
    grad, gamma = [[mpf(0)] * C for _ in range(T)], [[mpf(0)] * S for _ in range(T)]
    if likelihood == 0:
        return Truth(mp.inf, grad, gamma, mpf(0))
    inverse, entropy = 1 / likelihood, mp.log(likelihood)
    for t in range(T):
        if normalise:
            grad[t] = list(y[t])
        log_y = {c: mp.log(y[t][c]) if y[t][c] else 0 for c in set(ext)}
        for s in range(S):
            share = _times(_times(alpha[t][s], beta[t][s]), inverse)
            if share:
                gamma[t][s] = share
                grad[t][ext[s]] -= share
                entropy -= share * log_y[ext[s]]
    return Truth(-mp.log(likelihood), grad, gamma, entropy)


# Many states of a long target are 0, and a test for 0 is cheaper than mpmath's arithmetic.
def _sum(stay, step, skip):
    total = stay + step if stay and step else stay or step
    return total + skip if total and skip else total or skip


def _times(a, b):
    return a * b if a and b else 0


def relative_error(value, exact):
    """|value - exact| / |exact| as a float; 0 if both are 0 or the same infinity."""
    if value == exact:
        return 0.0
    with mp.workprec(1200):
        return float(abs((mpf(float(value)) - exact) / exact)) if exact else float("inf")
