"""One group of eight sequences: what its frames share, and where its numbers lie in the workspace."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....compiled.fused import part, sized
from .frame import LANES


class Group(NamedTuple):
    """What the frames of a group share: L = 8 lanes, U labels in the longest target.

    In arrays with one entry per label and lane, entry u * L + j is label u of lane j.
    """

    T: int  # frames of the longest sequence
    U: int
    members: NDArray  # (L,) the sequence in each lane, -1 if it has none
    lengths: NDArray  # (L,) how many frames it has
    widths: NDArray  # (L,) how many labels it has
    slots: NDArray  # ((U + 1) * L,) where the class of each label is in a row of emissions; C * L without one
    need: NDArray  # (U * L,) the first frame at which label u can be reached
    left: NDArray  # (U * L,) how many frames a path needs from label u to the last label
    shortest: int  # frames of the shortest sequence; 0 if a lane has none
    steady: int  # from this frame on every label can be reached
    unsteady: int  # before this frame every label can still finish


class Places(NamedTuple):
    """The index in the workspace at which each array begins, with its shape, and some sizes.

    Blank u and label u of lane j are entry LEAD + u * L + j of their rows: the LEAD entries
    before the first are 0, and may be read.
    """

    width: int  # entries of a row of states
    blank: int  # where the blank is in a row of emissions
    emit: int  # (T, emit_width) emissions, the lanes of a class side by side, raised ones negated; then zeros
    emit_width: int  # entries of a row of emissions
    y: int  # (G, width) emissions of the labels
    ab: int  # (G + 1, width) alpha of the blanks, row 0 being the frame before
    al: int  # (G + 1, width) alpha of the labels
    starts: int  # (segments, 2, width) alpha before each segment
    beta: int  # (2, 2, width) beta of this frame and of the next, in turn: blanks, labels times emission
    products: int  # (width,) alpha beta of one frame's labels
    y_low: int  # (8,) the blank's emission as beta sees it, one frame later
    skip: int  # (width,) 1 where a label differs from the one before, else 0
    occupancy: int  # (emit_width,) of one frame
    sums: int  # (L,)
    scales: int  # (3, L) which power of two alpha, alpha once more, beta are relative to
    final: int  # (2, L) the sum of the states that end a path, and its power of two
    end: int  # how many numbers the workspace must hold


LEAD = 8  # entries before label 0: a cache line


@part
def segment_length(T, width, budget):
    """How many frames of alpha are kept at a time: T if they fit the budget (in numbers), else sqrt(T)."""
    return T if 3 * (T + 1) * width <= budget else int(math.ceil(math.sqrt(T)))


@sized
def row_width(U):
    """Entries of a row of states, with zeros after the last label, which are read."""
    return LEAD + (U + 3) * LANES


@sized
def emit_width(C):
    """Entries of a row of emissions: the classes, and the 0 of a label that is none."""
    return (C + 1) * LANES


@part
def make_places(T, U, C, blank, budget):
    """The Places of a group of this size."""
    width, columns = row_width(U), emit_width(C)
    G = segment_length(T, width, budget)
    emit = 0
    y = emit + T * columns
    ab = y + G * width
    al = ab + (G + 1) * width
    starts = al + (G + 1) * width
    beta = starts + (T + G - 1) // G * 2 * width
    products = beta + 4 * width
    y_low = products + width
    skip = y_low + LANES
    occupancy = skip + width
    sums = occupancy + columns
    scales = sums + LANES
    return Places(width, blank * LANES, emit, columns, y, ab, al, starts, beta, products, y_low, skip,
                  occupancy, sums, scales, scales + 3 * LANES, scales + 5 * LANES)


@part
def make_group(members, C, lengths, labels, offsets, blank):
    """The Group of these sequences."""
    T, U, shortest = 0, 0, np.iinfo(np.intp).max
    frames, widths = np.zeros(LANES, np.intp), np.zeros(LANES, np.intp)
    for j in range(LANES):
        n = members[j]
        if n >= 0:
            frames[j], widths[j] = lengths[n], offsets[n + 1] - offsets[n]
        T, U, shortest = max(T, frames[j]), max(U, widths[j]), min(shortest, frames[j])
    slots = np.full((U + 1) * LANES, C * LANES, np.uintp)
    need, left = np.full(U * LANES, T, np.intp), np.zeros(U * LANES, np.intp)
    steady, unsteady = 0, T
    for j in range(LANES):
        if widths[j] == 0:
            continue
        # Not with `compiled.targets`: views of labels and need would add a tenth to the compile time.
        first, last, repeats = offsets[members[j]], widths[j] - 1, 0
        for u in range(widths[j]):
            label = labels[first + u]
            slots[u * LANES + j] = label * LANES + j
            repeats += u > 0 and label == labels[first + u - 1]
            need[u * LANES + j] = u + repeats
        for u in range(widths[j]):
            left[u * LANES + j] = need[last * LANES + j] - need[u * LANES + j]
        steady = max(steady, need[last * LANES + j])
        unsteady = min(unsteady, frames[j] - left[j])
    return Group(T, U, members, frames, widths, slots, need, left, shortest, steady, unsteady)


@part
def window(t, group, low, high):
    """Move low[j]..high[j] - 1 to the labels that can be reached at frame t and can still finish.

    Blank high[j] belongs to the window, too, as it may be reached; label high[j] is then
    computed as 0. Returns the union over the lanes.
    """
    lengths, widths, need, left = group.lengths, group.widths, group.need, group.left
    lowest, highest = group.U, 0
    for j in range(LANES):
        first, after = low[j], high[j]
        while after < widths[j] and need[after * LANES + j] <= t:
            after += 1
        while after > 0 and need[(after - 1) * LANES + j] > t:
            after -= 1
        while first < widths[j] and left[first * LANES + j] >= lengths[j] - t:
            first += 1
        while first > 0 and left[(first - 1) * LANES + j] < lengths[j] - t:
            first -= 1
        low[j], high[j] = first, after
        lowest, highest = min(lowest, first), max(highest, after)
    return lowest, highest


def workspace_size(T, U, C, budget):
    """How many numbers of workspace are enough for every group with at most T frames and U labels."""
    width, G = row_width(U), math.ceil(math.sqrt(T))
    alpha = max(budget, (3 * G + 2) * width) + 2 * (G + 1) * width
    return (T + 1) * emit_width(C) + alpha + 6 * width + 16 * LANES
