"""The answers of one problem in arithmetic of 640 bits: forward, backward, and what follows from them.

Logits come as integers k in units of 1/64 (CLOSED for -inf), so the score e^(k/64) of a class is known to all
bits, and the score of the best path is an exact integer. The recursion runs on these scores, without softmax:

    ln Z = ln of the sum over alignments of prod_t e^x;     loss = sum_t ln sum_c e^x - ln Z

The Hessian-vector product is the central difference of the gradient with a step of 2^-180.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

from . import big

CLOSED = -2**40
"""The integer that stands for a logit of -inf."""
STEP = 180


class Solved(NamedTuple):
    """One problem: its scalars as mpf, its arrays as rows of big numbers, one for each frame."""

    log_partition: mpf
    loss: mpf
    gamma: list  # T rows (S,)
    occupancy: list  # T rows (C,)
    probs: list  # T rows (C,)


def extended(labels, blank):
    ext = np.full(2 * len(labels) + 1, blank)
    ext[1::2] = labels
    return ext


def skips_of(ext):
    skips = np.zeros(len(ext), bool)
    skips[2:] = ext[2:] != ext[:-2]
    return skips


def solve(ks, labels, blank, tilt=None):
    """The `Solved` problem of scores e^(k/64), or None if no alignment is possible.

    tilt : (T, C) integers, optional; every score is multiplied by e^(tilt/64 * 2^-STEP)
    """
    T, C = ks.shape
    ext = extended(labels, blank)
    S, skips = len(ext), skips_of(ext)
    scores = [big.exps(row, CLOSED) for row in ks]
    if tilt is not None:
        scores = [big.times(row, big.exps(v, CLOSED, 6 + STEP)) for row, v in zip(scores, tilt)]

    row, alphas = big.zeros(S), []
    row.m[0], row.e[0] = 1, 0  # before the first frame, in the first blank
    for t in range(T):
        step, skip = big.moved(row, 1), big.only(big.moved(row, 2), skips)
        row = big.times(big.add(row, step, skip), scores[t][ext])
        alphas.append(row)
    ends = big.total(row[-2:])
    if ends.m[0] == 0:
        return None

    row, betas = big.zeros(S), []
    row.m[-1], row.e[-1] = 1, 0  # after the last frame, in the last blank
    for t in range(T - 1, -1, -1):
        step, skip = big.moved(row, -1), big.moved(big.only(row, skips), -2)
        betas.append(big.add(row, step, skip))
        row = big.times(betas[-1], scores[t][ext])

    shares = big.inverse(ends)
    gamma = [big.times(big.times(alpha, beta), shares) for alpha, beta in zip(alphas, reversed(betas))]
    occupancy, probs, norms = [], [], big.Row(np.array([1], object), np.array([0]))
    for t in range(T):
        states = [big.total(gamma[t][ext == c]) if c in ext else big.zeros(1) for c in range(C)]
        occupancy.append(big.Row(*(np.concatenate(parts) for parts in zip(*states))))
        norm = big.total(scores[t])
        probs.append(big.times(scores[t], big.inverse(norm)))
        norms = big.times(norms, norm)
    with mp.workprec(big.BITS):
        log_z = mp.log(big.real(ends.m[0], ends.e[0]))
        return Solved(log_z, mp.log(big.real(norms.m[0], norms.e[0])) - log_z, gamma, occupancy, probs)


def fixed_gradient(solved):
    """d loss / d logits (T, C) as integers in units of 2^(8 - BITS)."""
    return np.array([big.fixed(y) - big.fixed(occupancy)
                     for y, occupancy in zip(solved.probs, solved.occupancy)], object)


def fixed_hessian_product(ks, labels, blank, vector):
    """The Hessian of the loss times vector / 64, in units of 2^(8 - BITS + STEP + 1)."""
    up, down = (fixed_gradient(solve(ks, labels, blank, sign * vector)) for sign in (1, -1))
    return up - down


def best_path(ks, labels, blank):
    """(score, path) of the best alignment, the score an integer in units of 1/64.

    The score is None if no alignment is possible, and the path None if several are equally good.
    """
    ext = extended(labels, blank)
    skips, T, S = skips_of(ext), len(ks), len(ext)
    score, ways = np.full(S, CLOSED), np.zeros(S, object)
    score[0], ways[0] = 0, 1
    origins = np.zeros((T, S), np.int64)
    for t in range(T):
        moves = np.full((3, S), CLOSED)
        moves[0], moves[1, 1:] = score, score[:-1]
        moves[2, 2:] = np.where(skips[2:], score[:-2], CLOSED)
        best = moves.max(axis=0)
        counts = np.zeros((3, S), object)
        counts[0], counts[1, 1:], counts[2, 2:] = ways, ways[:-1], ways[:-2]
        ways = np.where(moves == best, counts, 0).sum(axis=0)
        origins[t] = moves.argmax(axis=0)
        possible = (best > CLOSED) & (ks[t, ext] > CLOSED)
        score = np.where(possible, best + ks[t, ext], CLOSED)
    ends = [s for s in range(max(S - 2, 0), S)]
    top = max(score[s] for s in ends)
    if top == CLOSED:
        return None, None
    if sum(ways[s] for s in ends if score[s] == top) > 1:
        return int(top), None
    s, path = next(s for s in ends if score[s] == top), []
    for t in range(T - 1, -1, -1):
        path.append(int(ext[s]))
        s -= origins[t, s]
    return int(top), path[::-1]
