"""The layout of one sequence: its sizes and tables, and where its numbers are in the workspace."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....compiled.fused import part, sized

PERIOD = 8
"""Frames between two renewals of the exponents. The code that transposes 8 x 8 numbers is written for 8."""

LEAD = 8
"""Entries of a row before label 0: a cache line."""

OF_ZERO = -2.0**30
"""The exponent that stands for a number 0: below those of all others, and still an int32."""


class Sequence(NamedTuple):
    """All that is the same for every frame of a sequence of T frames and U labels.

    A column is a class whose probability the states need: every class or, if there are too many, the blank
    (column 0) and each different label of the target.
    """

    row: int  # the row of its first frame in the batch's rows
    t_stride: int  # rows from one frame to the next
    weight: float  # the factor of its loss in the gradient
    normalise: bool  # whether the emissions are the softmax, or e^score
    T: int
    U: int
    periods: int  # of PERIOD frames; the last one may be shorter
    dense: bool  # whether every class is a column
    columns: NDArray  # (K,) the class of each column, if not every class is one
    slots: NDArray  # (U + 16,) where the column of each label begins in a tile; row K after the last label
    need: NDArray  # (U,) the first frame at which label u can be reached
    left: NDArray  # (U,) how many frames a path needs from label u to the last label


class Places(NamedTuple):
    """The index in the workspace w at which each array begins, with its shape, and some sizes.

    Blank u and label u are entry LEAD + u of their rows. The integers of a sequence, `Band.kept`, are no part
    of w: with both kinds of numbers in one array, LLVM could no longer tell that writing one leaves the other
    as it is.
    """

    K: int  # columns
    blank: int  # the blank's column
    width: int  # entries of a row of states
    emit: int  # (periods, tile_size) emissions; a tile is (K + 1, PERIOD), and its row K is 0
    tile_size: int  # (K + 1) * PERIOD
    y: int  # (PERIOD, width) the emissions of the labels in a period
    alpha: int  # (2, 2, width) alpha of this frame and of the one before, in turn: blanks, labels
    beta: int  # (2, width) what a period of the backward pass begins with: blanks, labels times emission
    exponents: int  # (width,) of this period
    sizes: int  # (width,) the next exponents: first as the states ask for them, then raised to the ladder
    skip: int  # (width,) 1 where a label differs from the one before, else 0
    move: int  # (width,) the factor of the move into label u, in the first pass, and out of it, in the others
    skip_move: int  # (width,) the same for a skip, 0 where none is allowed
    products: int  # (PERIOD, width) alpha beta of the labels
    scratch: int  # (PERIOD, PERIOD) products of eight labels on their way to the occupancy
    totals: int  # (PERIOD,) the sum of alpha beta over all states, Q_t
    occupancy: int  # (tile_size,) of the columns, in eight frames
    starts: int  # (segments, 2, width) what at.beta held when each segment began
    rows: int  # (room,) beta of the frames of a segment, in their band: blanks, labels times emission
    room: int  # how many numbers these rows may take
    end: int  # how many numbers the workspace must hold


@sized
def is_dense(C, U):
    """Whether every class is a column: loops over few classes are then simpler than loops over indices."""
    return C <= 4 * (U + 1)


@sized
def row_width(U):
    """Entries of a row of states: whole blocks of eight, and eight zeros on either side."""
    return LEAD + (U + 8) // 8 * 8 + 8


@sized
def period_room(labels):
    """How many numbers a period keeps for a band of so many labels: all states, and eight zeros."""
    return PERIOD * 2 * labels + 8


@sized
def make_places(T, U, C, blank, budget):
    """The Places of a sequence of this size.

    The rows of a segment may take `budget` numbers or, if that is too little, what sqrt(T) frames need.
    """
    K = C if is_dense(C, U) else min(U + 1, C)
    width, tile_size = row_width(U), (K + 1) * PERIOD
    root = int(math.sqrt(T))
    room = max(budget, (root // PERIOD + 1) * period_room(width))
    emit = 0
    y = emit + (T + PERIOD - 1) // PERIOD * tile_size
    alpha = y + PERIOD * width
    beta = alpha + 4 * width
    exponents = beta + 2 * width
    products = exponents + 5 * width
    scratch = products + PERIOD * width
    totals = scratch + PERIOD * PERIOD
    occupancy = totals + PERIOD
    starts = occupancy + tile_size
    rows = starts + (root + 10) * 2 * width  # every segment but the last to begin has at least sqrt(T) frames
    return Places(K, blank if is_dense(C, U) else 0, width, emit, tile_size, y, alpha, beta, exponents,
                  exponents + width, exponents + 2 * width, exponents + 3 * width, exponents + 4 * width,
                  products, scratch, totals, occupancy, starts, rows, room, rows + room)


@lru_cache(maxsize=64)  # shapes come again and again
def workspace_size(T, U, C, budget):
    """How many float64 and how many int32 numbers a sequence of at most T frames and U labels needs."""
    return make_places(T, U, C, 0, budget).end, (T // PERIOD + 2) * row_width(U)


@part
def make_sequence(n, lengths, labels, offsets, blank, shape, weights, normalise):
    """Sequence n of the batch; shape: C, rows from one sequence to the next, and from frame to frame."""
    C, n_stride, t_stride = shape
    T, first = lengths[n], offsets[n]
    U = offsets[n + 1] - first
    dense = is_dense(C, U)
    K = C if dense else min(U + 1, C)
    columns, slots = np.zeros(K, np.uintp), np.zeros(U + 16, np.uintp)
    need, left = np.zeros(U, np.intp), np.zeros(U, np.intp)
    columns[0], taken, repeats = blank, 1, 0
    # `compiled.targets` is not used: views of labels and need would add a tenth to the compile time.
    column_of = np.zeros(0 if dense else C, np.intp)
    for u in range(U):
        label = labels[first + u]
        repeats += u > 0 and label == labels[first + u - 1]
        need[u] = u + repeats
        if not dense:
            if column_of[label] == 0:  # column 0 is the blank's
                column_of[label] = taken
                columns[taken] = label
                taken += 1
            label = column_of[label]
        slots[u] = PERIOD * label
    for u in range(U):
        left[u] = need[U - 1] - need[u]
    for u in range(U, U + 16):
        slots[u] = PERIOD * K
    return Sequence(n * n_stride, t_stride, weights[n], normalise, T, U, (T + PERIOD - 1) // PERIOD, dense,
                    columns[:K if dense else taken], slots, need, left)
