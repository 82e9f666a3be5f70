"""Enumerate the alignments of tiny problems one by one, to test sums over the lattice against.

A path is a tuple of T classes. Without stars, the path alone decides whether it is an alignment: no state is
used. With stars a path can be read in several ways, so there sequences of states are enumerated.
"""

import itertools

import numpy as np

from ctc_scratch.ctc.chain.states import PLAIN
from ctc_scratch.ctc.labels import collapse


def alignments(T, C, labels, blank, topology=PLAIN):
    """The paths of T frames that spell the labels and use only moves that the topology allows."""
    return [path for path in itertools.product(range(C), repeat=T) if spells(path, labels, blank, topology)]


def spells(path, labels, blank, topology=PLAIN):
    """Whether a path is an alignment of the labels."""
    pairs = list(zip(path, path[1:]))
    if not topology.skip and any(blank not in pair and (pair[0] != pair[1] or not topology.collapse)
                                 for pair in pairs):
        return False
    if not topology.collapse:
        return [c for c in path if c != blank] == list(labels)
    if not topology.stay_on_labels and any(a == b != blank for a, b in pairs):
        return False
    return collapse(path, blank) == list(labels)


def first_frames(path, blank, topology=PLAIN):
    """The frame at which each label of a path begins."""
    return [t for t, c in enumerate(path)
            if c != blank and (t == 0 or c != path[t - 1] or not topology.collapse)]


def last_frames(path, blank):
    """The last frame of each label of a path (CTC's own topology)."""
    return [t for t, c in enumerate(path) if c != blank and (t == len(path) - 1 or c != path[t + 1])]


def starred_alignments(T, C, labels, blank, positions):
    """A list of (path, starred), all ways to read T frames as the labels; starred[t]: is frame t starred?

    At the given positions, from 0 to U, any class but the blank may stand wherever a blank may: such a frame
    is starred. A path that can be read in several ways occurs once for each.
    """
    U, ways = len(labels), []

    def go_on(t, state, path, starred):
        if t == T:
            if state >= 2 * U - 1:
                ways.append((path, starred))
            return
        for move in range(3):
            s = state + move
            if s > 2 * U or (move == 2 and (s % 2 == 0 or s < 3 or labels[s // 2] == labels[s // 2 - 1])):
                continue
            if s % 2 == 1:
                go_on(t + 1, s, (*path, labels[s // 2]), (*starred, False))
                continue
            go_on(t + 1, s, (*path, blank), (*starred, False))
            for c in range(C) if s // 2 in positions else ():
                if c != blank:
                    go_on(t + 1, s, (*path, c), (*starred, True))

    go_on(0, 0, (), ())     # before the first frame a path is in the blank before all labels
    return ways


def distribution(log_weights):
    """ln Z, and the probability of each alignment (n,); -inf and zeros if none has a weight above 0."""
    log_weights = np.asarray(log_weights, dtype=np.float64)
    top = log_weights.max(initial=-np.inf)
    if top == -np.inf:
        return -np.inf, np.zeros(len(log_weights))
    log_z = top + np.log(np.exp(log_weights - top).sum())
    return log_z, np.exp(log_weights - log_z)


def moments(paths, probs, values, T, C):
    """The occupancy (T, C) of paths with these probabilities, and its covariance (T, C) with values (n,)."""
    occupancy, covariance = np.zeros((2, T, C))
    mean = np.dot(probs, values)
    for path, p, value in zip(paths, probs, values):
        occupancy[np.arange(T), list(path)] += p
        covariance[np.arange(T), list(path)] += p * (value - mean)
    return occupancy, covariance


def total(table, path):
    """The sum over t of table[t, path[t]]."""
    return float(sum(table[t, c] for t, c in enumerate(path)))
