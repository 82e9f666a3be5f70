"""One group of sequences: what its frames share, and where its numbers lie in the workspace.

A group is one sequence, or eight of them side by side, one in each lane.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .flags import part, sized


class Group(NamedTuple):
    """What the frames of a group share: L lanes, U labels in the longest target, K columns.

    A column is a class whose probability the states need: every class, or each class of the
    sequence's own target. In arrays with one entry per label and lane, entry u * L + j is
    label u of lane j.
    """

    T: int  # frames of the longest sequence
    U: int
    members: NDArray  # (L,) the sequence in each lane, -1 if it has none
    lengths: NDArray  # (L,) how many frames it has
    widths: NDArray  # (L,) how many labels it has
    columns: NDArray  # (K,) the class of each column, where not every class is one
    slots: NDArray  # (U * L,) and more: the column of each label, L * K where there is no label
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

    K: int  # columns of a lane
    dense: bool  # whether all classes are columns
    width: int  # entries of a row of states
    blank: int  # the blank's column
    emit: int  # (T, emit_width) emissions of the columns, raised ones negated, and a 0 at L * K
    emit_width: int  # entries of a row of emissions
    y: int  # (G, width) emissions of the labels
    ab: int  # (G + 1, width) alpha of the blanks, row 0 being the frame before
    al: int  # (G + 1, width) alpha of the labels
    starts: int  # (segments, 2, width) alpha before each segment
    beta: int  # (2, 2, width) beta of this frame and of the next, in turn: blanks, labels times emission
    products: int  # (width,) alpha beta of one frame's labels
    y_low: int  # (8,) the blank's emission as beta sees it, one frame later
    skip: int  # (width,) 1 where a label differs from the one before, else 0
    occupancy: int  # (L * K,) of one frame
    sums: int  # (2, L)
    scales: int  # (3, L) which power of two alpha, alpha once more, beta are relative to
    final: int  # (2, L) the sum of the states that end a path, and its power of two
    end: int  # how many numbers the workspace must hold


LEAD = 8  # entries before label 0: a cache line


@sized
def is_dense(C, U, L):
    """Whether every class is a column: loops over few classes are then simpler than loops over indices."""
    return L > 1 or C <= 4 * (U + 1)


@part
def segment_length(T, width, budget):
    """How many frames of alpha are kept at a time: T if they fit the budget (in numbers), else sqrt(T)."""
    return T if 3 * (T + 1) * width <= budget else int(math.ceil(math.sqrt(T)))


@sized
def row_width(U, L):
    """Entries of a row of states, with zeros after the last block, which are read."""
    return LEAD + ((U + 1) * L + 7) // 8 * 8 + 16


@sized
def emit_width(K, L):
    """Entries of a row of emissions: the columns and a 0, rounded up to a whole cache line."""
    return (L * K + 8) // 8 * 8


@part
def make_places(T, U, C, L, blank, budget):
    """The Places of a group of this size."""
    dense = is_dense(C, U, L)
    K = C if dense else min(U + 1, C)
    width, columns = row_width(U, L), emit_width(K, L)
    G = segment_length(T, width, budget)
    emit = 0
    y = emit + T * columns
    ab = y + G * width
    al = ab + (G + 1) * width
    starts = al + (G + 1) * width
    beta = starts + (T + G - 1) // G * 2 * width
    products = beta + 4 * width
    y_low = products + width
    skip = y_low + 8
    occupancy = skip + width
    sums = occupancy + columns
    scales = sums + 2 * L
    return Places(K, dense, width, blank if dense else 0, emit, columns, y, ab, al, starts, beta, products,
                  y_low, skip, occupancy, sums, scales, scales + 3 * L, scales + 5 * L)


@part
def make_group(members, lanes, C, lengths, labels, offsets, blank):
    """The Group of these sequences."""
    L = len(lanes)  # on a line of its own, so that Numba knows it and compiles for this number only
    T, U, shortest = 0, 0, np.iinfo(np.intp).max
    frames, widths = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for j in range(L):
        n = members[j]
        if n >= 0:
            frames[j], widths[j] = lengths[n], offsets[n + 1] - offsets[n]
        T, U, shortest = max(T, frames[j]), max(U, widths[j]), min(shortest, frames[j])
    dense = is_dense(C, U, L)
    K = C if dense else min(U + 1, C)
    columns, slots = np.zeros(K, np.uintp), np.zeros((U + 1) * L + 16, np.uintp)
    columns[0] = blank
    for k in range(len(slots)):
        slots[k] = L * K
    need, left = np.zeros(U * L, np.intp), np.zeros(U * L, np.intp)
    for k in range(U * L):
        need[k] = T
    column_of, steady, unsteady, taken = np.zeros(C, np.intp), 0, T, K
    for j in range(L):
        if widths[j] == 0:
            continue
        # Not with `compiled.targets`: views of labels and need would add a tenth to the compile time.
        first, last = offsets[members[j]], offsets[members[j] + 1] - 1
        if L == 1 and not dense:
            taken = 1  # column 0 is the blank's
            for k in range(first, last + 1):
                if column_of[labels[k]] == 0:
                    column_of[labels[k]] = taken
                    columns[taken] = labels[k]
                    taken += 1
        repeats = 0
        for u in range(widths[j]):
            label = labels[first + u]
            slots[u * L + j] = (label if dense else column_of[label]) * L + j
            repeats += u > 0 and label == labels[first + u - 1]
            need[u * L + j] = u + repeats
        for u in range(widths[j]):
            left[u * L + j] = need[(widths[j] - 1) * L + j] - need[u * L + j]
        steady = max(steady, need[(widths[j] - 1) * L + j])
        unsteady = min(unsteady, frames[j] - left[j])
    return Group(T, U, members, frames, widths, columns[:taken], slots, need, left, shortest, steady,
                 unsteady)


@part
def window(t, lanes, lengths, widths, need, left, low, high):
    """Move low[j]..high[j] - 1 to the labels that can be reached at frame t and can still finish.

    Blank high[j] belongs to the window, too, as it may be reached; label high[j] is then
    computed as 0. Returns the union over the lanes.
    """
    L = len(lanes)
    lowest, highest = len(need) // L, 0
    for j in range(L):
        first, after = low[j], high[j]
        while after < widths[j] and need[after * L + j] <= t:
            after += 1
        while after > 0 and need[(after - 1) * L + j] > t:
            after -= 1
        while first < widths[j] and left[first * L + j] >= lengths[j] - t:
            first += 1
        while first > 0 and left[(first - 1) * L + j] < lengths[j] - t:
            first -= 1
        low[j], high[j] = first, after
        lowest, highest = min(lowest, first), max(highest, after)
    return lowest, highest


def workspace_size(T, U, C, L, budget):
    """How many numbers of workspace are enough for every group with at most T frames and U labels."""
    K = C if is_dense(C, U, L) else min(U + 1, C)
    width, G = row_width(U, L), math.ceil(math.sqrt(T))
    alpha = max(budget, (3 * G + 2) * width) + 2 * (G + 1) * width
    return (T + 1) * emit_width(K, L) + alpha + 6 * width + 8 + 7 * L
