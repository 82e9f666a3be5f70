"""The objectives by definition, summed over all alignments one by one, and their derivatives w.r.t. ln y.

Each function takes log_probs (T, C), labels, blank and the options of the objective. It returns the value and
the slope, its derivative (T, C) if all log_probs are independent variables; without alignments, inf and
zeros.
"""

import numpy as np

from ctc_scratch.ctc.chain.states import PLAIN, Topology
from ctc_scratch.ctc.decoding.metrics import edit_distance
from tests.tools.alignments import (
    alignments,
    distribution,
    first_frames,
    last_frames,
    moments,
    starred_alignments,
    total,
)


def weighted(log_probs, labels, blank, log_weight=lambda path: 0.0, topology=PLAIN):
    """-ln of the sum of p(path) e^log_weight(path), and its slope."""
    paths = alignments(*log_probs.shape, labels, blank, topology)
    log_z, probs = distribution([total(log_probs, path) + log_weight(path) for path in paths])
    return -log_z, -moments(paths, probs, np.zeros(len(paths)), *log_probs.shape)[0]


def entropy(log_probs, labels, blank, weight):
    paths = alignments(*log_probs.shape, labels, blank)
    log_weights = [total(log_probs, path) for path in paths]
    log_z, probs = distribution(log_weights)
    logs = np.where(probs > 0, log_weights, 0) - (log_z if log_z > -np.inf else 0)
    occupancy, covariance = moments(paths, probs, logs, *log_probs.shape)
    # dq / du[t, c] = q ([the path has class c at frame t] - occupancy[t, c]), so dH = -the sum of dq ln q
    return -log_z + weight * probs @ logs, -occupancy + weight * covariance


def prior(log_probs, labels, blank, prior, weight):
    return weighted(log_probs, labels, blank,
                    lambda path: -weight * np.log(np.asarray(prior))[list(path)].sum())


def focal(log_probs, labels, blank, power, per_label=False):
    loss, slope = weighted(log_probs, labels, blank)
    if loss == np.inf:
        return loss, slope
    loss = max(loss, 0.0)
    share = max(len(labels), 1) if per_label else 1
    q = np.exp(-loss / share)
    away = -np.expm1(-loss / share)
    if away == 0:
        return 0.0, slope * (power == 0)
    return away**power * loss, slope * (away**power + power * away ** (power - 1) * q / share * loss)


def delay(log_probs, labels, blank, weight):
    middle = (len(log_probs) - 1) / 2
    return weighted(log_probs, labels, blank,
                    lambda path: weight * sum(middle - t for t in first_frames(path, blank)))


def delays(log_probs, labels, blank, weight):
    """The expected first frame of each label under the weighted distribution."""
    paths, middle = alignments(*log_probs.shape, labels, blank), (len(log_probs) - 1) / 2
    firsts = [np.array(first_frames(path, blank), float) for path in paths]
    _, probs = distribution([total(log_probs, path) + weight * (middle - first).sum()
                             for path, first in zip(paths, firsts)])
    return sum(p * first for p, first in zip(probs, firsts)) if probs.any() else np.full(len(labels), np.nan)


def bayes_risk(log_probs, labels, blank, risk=None, weight=1.0):
    T, U = len(log_probs), len(labels)
    if risk is None:
        r = np.array([np.exp(-weight * t / T) for t in range(T)])
    else:
        r = np.asarray(risk(T) if callable(risk) else risk)
    if U == 0:
        return weighted(log_probs, labels, blank)
    each = [weighted(log_probs, labels, blank, lambda path, u=u: np.log(r[last_frames(path, blank)[u]]))
            for u in range(U)]
    return sum(value for value, _ in each) / U, sum(slope for _, slope in each) / U


def star(log_probs, labels, blank, star, star_weight=0.0):
    U = len(labels)
    positions = {None: (), "ends": (0, U), "everywhere": range(U + 1)}[star] if not isinstance(
        star, (list, tuple)) else star
    ways = starred_alignments(*log_probs.shape, labels, blank, positions if star_weight > -np.inf else ())
    log_z, probs = distribution([total(log_probs, path) + sum(star_weight for one in starred if one)
                                 for path, starred in ways])
    occupancy, _ = moments([path for path, _ in ways], probs, np.zeros(len(ways)), *log_probs.shape)
    return -log_z, -occupancy


def min_risk(log_probs, labels, blank, hypotheses, costs=None):
    different = {tuple(h): edit_distance(h, labels) if costs is None else costs[k]
                 for k, h in enumerate(hypotheses)}
    each = [weighted(log_probs, h, blank) for h in different]
    d = np.array(list(different.values()))
    log_z, probs = distribution([-loss for loss, _ in each])
    if log_z == -np.inf:
        return np.inf, np.zeros(log_probs.shape)
    mean = probs @ d
    return mean, -sum(p * (cost - mean) * slope for p, cost, (_, slope) in zip(probs, d, each))


def topology(log_probs, labels, blank, **moves):
    return weighted(log_probs, labels, blank, topology=Topology(**moves))
