"""The arrays that the kernels of one sequence work on.

States are stored with two zeros before them and two after, so that no move needs a case of its own: state s
stands at index s + 2. A row of states is (2, S + 4), mantissas first, then exponents.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled.targets import find_first_frames, find_windows, number_classes
from .flags import kernel, part

# The comments give shapes: T frames, S states, C classes, K of them used, blocks of B frames.


class Frames(NamedTuple):
    """The logits, or scores, of one sequence: one of the two arrays, according to their type."""

    single: NDArray  # (T, C) float32, or (0, C)
    double: NDArray  # (T, C) float64, or (0, C)
    normalise: bool  # whether the emissions are the softmax, or e^score


class Target(NamedTuple):
    """The target of one sequence, in the form that the recursion uses."""

    classes: NDArray  # (K,) the classes used, the blank first
    slots: NDArray  # (S,) which of them each state emits
    skips: NDArray  # (S + 2,) 1.0 where a state may be skipped into, else 0.0
    windows: NDArray  # (T + 1, 2) first and end of the states before frame 0 and at each frame


class Memory(NamedTuple):
    """Scratch: states of one block of frames, checkpoints between the blocks, and rows for one frame."""

    alpha: NDArray  # (B + 1, 2, S + 4) of one block, the states before it first
    emit: NDArray  # (B, 2, K) its emissions, as pairs
    norms: NDArray  # (B, 2) its largest logit and the sum of e^(x - largest)
    checkpoints: NDArray  # (ceil(T / B), 2, S + 4) alpha before each block
    betas: NDArray  # (2, 2, S + 4) of this frame and of the next, in turn
    joints: NDArray  # (S,) alpha beta of one frame
    sums: NDArray  # (S + 2,)
    occupancy: NDArray  # (K,) of one frame
    row: NDArray  # (C,)
    probs: NDArray  # (C,)


class Answer(NamedTuple):
    """Where the gradient of one sequence goes (single or double), and the posterior of its states."""

    single: NDArray  # (T, C) float32, or (0, C)
    double: NDArray  # (T, C) float64, or (0, C)
    gamma: NDArray  # (T, S), or (T, 0) if it is not asked for
    weight: float  # the factor of the loss in a reduction


@kernel
def describe_target(labels, blank, T, C):
    """The Target of these labels in T frames of C classes."""
    U = labels.shape[0]
    numbers, first_frames = np.empty(C, np.intp), np.empty(U, np.intp)
    numbers[:] = -1
    classes, slots = np.empty(min(U + 1, C), np.intp), np.empty(2 * U + 1, np.uintp)
    skips, windows = np.empty(2 * U + 3), np.empty((T + 1, 2), np.intp)
    K = number_classes(labels, blank, numbers, classes)
    slots[:] = 0
    skips[:] = 0.0
    for u in range(U):
        slots[2 * u + 1] = numbers[labels[u]]
        skips[2 * u + 1] = 1.0 if u > 0 and labels[u] != labels[u - 1] else 0.0
    windows[0, 0], windows[0, 1] = 0, 1  # before the first frame all mass is in the first blank
    find_first_frames(labels, first_frames)
    find_windows(first_frames, windows[1:])
    return Target(classes[:K], slots, skips, windows)


@part
def allocate(T, C, S, K, budget):
    """The Memory of a sequence: one block if that takes at most `budget` bytes, else of sqrt(T)."""
    B = T if T * 16 * (S + 4 + K + 1) <= budget else int(math.ceil(math.sqrt(T)))
    return Memory(
        np.empty((B + 1, 2, S + 4)), np.empty((B, 2, K)), np.empty((B, 2)),
        np.empty(((T + B - 1) // B, 2, S + 4)), np.empty((2, 2, S + 4)),
        np.empty(S), np.empty(S + 2), np.empty(K), np.empty(C), np.empty(C))
