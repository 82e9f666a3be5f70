"""The probabilities of one frame: as pairs for the classes of the target, as plain floats for all classes."""

import numpy as np

from ...compiled.bits import EMPTY
from ...compiled.exp import exp_row, exp_split
from .flags import part
from .pairs import fold

LARGEST_LOGIT = 2.0**1000
"""Finite logits saturate here, so that the difference of any two is finite."""


@part
def load(frames, t, x):
    """x = the logits of frame t as float64, saturated, EMPTY for -inf: all their differences are finite."""
    for c in range(x.shape[0]):
        value = frames.double[t, c] if frames.double.shape[0] > 0 else np.float64(frames.single[t, c])
        x[c] = min(max(value, -LARGEST_LOGIT), LARGEST_LOGIT) if value > -np.inf else EMPTY


@part
def emissions(x, classes, normalise, emit, norm):
    """emit = e^(x_c - top) / total for the classes used, as pairs; norm = top, total; x is overwritten."""
    top, total = 0.0, 1.0
    if normalise:
        top = x[0]
        for c in range(x.shape[0]):
            top = max(top, x[c])
    for k in range(classes.shape[0]):
        emit[1, k] = x[classes[k]]
    split_all(emit[0], emit[1], top)
    if normalise:
        exp_row(x, top)
        fold(x, 1)
        total = x[0]
    for k in range(classes.shape[0]):
        emit[0, k] /= total
    norm[0], norm[1] = top, total


@part
def split_all(m, x, top):
    """m[k], n = exp_split(x[k], top) for all k; the exponents n replace x."""
    for k in range(m.shape[0]):
        m[k], x[k] = exp_split(x[k], top)


@part
def softmax(x, norm):
    """Turn the logits x of a frame into its probabilities, with the norm that `emissions` found."""
    exp_row(x, norm[0])
    for c in range(x.shape[0]):
        x[c] /= norm[1]


@part
def store(probs, t, answer):
    """Frame t of the gradient = weight * probs, in the type of the gradient."""
    for c in range(probs.shape[0]):
        if answer.double.shape[0] > 0:
            answer.double[t, c] = answer.weight * probs[c]
        else:
            answer.single[t, c] = answer.weight * probs[c]
