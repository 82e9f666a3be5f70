"""The second pass: backward in a band, dropped. It keeps beta times the emissions for the third pass."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....compiled.bits import unsigned
from ....compiled.exponents import eight_whole, put_whole
from ....compiled.fused import inlined, part
from ....compiled.memory import copy, fill
from ....compiled.vector import eight, larger, largest_of, put, splat, where_over
from .exponents import descend, dropped_power, find_sizes, set_moves
from .frame import dropped, step_backward
from .layout import LEAD, OF_ZERO, PERIOD, period_room
from .tiles import spread

MARGIN = 90.0
"""A block leaves the band if alpha beta is below 2^-MARGIN Z, by their exponents, for each of its labels."""


class Band(NamedTuple):
    """Where the band is in each period, and where its numbers are kept. A block is eight labels.

    At the end of period p the first pass writes the exponents of alpha to row p + 1 of `kept`, and to low[p]
    and high[p] which blocks it wrote there. When the second pass has chosen the band of period p, it replaces
    row p + 1 by the exponents of period p, and low[p] and high[p] by the band. Row 0 is unused.
    """

    kept: NDArray  # int32 (periods + 1, width), as one row
    exponent: float  # that of Z
    low: NDArray  # (periods,) the first block
    high: NDArray  # (periods,) the last block
    rows: NDArray  # (periods,) the index in the workspace at which the rows of the period begin
    tops: NDArray  # (segments,) the last period of each segment; segment 0 is at the end of the sequence


@part
def make_band(kept, exponent, low, high):
    """A Band that is not chosen yet; it has at most as many segments as periods."""
    return Band(kept, exponent, low, high, np.zeros(len(low), np.intp), np.zeros(len(low), np.intp))


@part
def begin_backward(w, at, sequence, band):
    """Fill at.beta for the last frame, after which a path is in the last blank, and choose the last band."""
    U, last = sequence.U, sequence.periods - 1
    fill(w, 2 * at.width, at.beta, 0.0)
    w[at.beta + LEAD + U] = 1.0
    # Going back, a path descends at most eight labels in a period: the block of label U - 1 and one below it.
    band.high[last], band.low[last] = U // 8, max(max(U - 1, 0) // 8 - 1, 0)
    for k in range(LEAD + 8 * band.low[last], LEAD + 8 * band.high[last] + 8, 8):
        put_whole(band.kept, (last + 1) * at.width + k, splat(0.0))


@part
def backward(w, at, sequence, band, top, periods):
    """beta of the frames of `periods` periods, from period `top` down, from what at.beta holds.

    The first time, the bands are chosen on the way, and where there is no room for the rows of a period, a
    new segment begins, whose rows overwrite those of the segment before. The second time, the bands and the
    places of the rows are known, and the same bits are computed again. Returns how many segments have begun.
    """
    segments, used = 0, at.room
    for p in range(top, top - periods, -1):
        known = band.rows[p] > 0  # index 0 of the workspace is no row of beta
        if not known:
            needed = period_room(8 * (band.high[p] - band.low[p] + 1))
            if used + needed > at.room:  # a new segment
                copy(w, 2 * at.width, at.beta, at.starts + segments * 2 * at.width)
                band.tops[segments] = p
                segments += 1
                used = 0
            band.rows[p] = at.rows + used
            used += needed
        backward_period(w, at, sequence, band, p)
        if p > top - periods + 1:
            find_beta_sizes(w, at, band, p)
            if not known:
                choose_band(w, at, band, p)
            renew_backward(w, at, band, p)
    return segments


@part
def backward_period(w, at, sequence, band, p):
    """beta of the frames of period p, from what at.beta holds."""
    T, start = sequence.T, p * PERIOD
    first, labels = 8 * band.low[p], 8 * (band.high[p] - band.low[p] + 1)
    row, step, after = band.rows[p], 2 * labels, min(start + PERIOD, T)
    load_exponents(w, at, band.kept, p, first, labels)
    tile = at.emit + p * at.tile_size
    spread(w, tile, sequence.slots, first, labels // 8, at.y + LEAD + first, at.width, False)
    blanks, emitted = at.beta + LEAD + first, at.beta + at.width + LEAD + first
    # A step reads one number after the last label, times 0, as the last label's move is 0 in `set_moves`.
    put(w, row + (after - start) * step, splat(0.0))
    for t in range(after - 1, start - 1, -1):
        new = row + (t - start) * step
        blank = 1.0 if t == T - 1 else blank_emission(w, at, t + 1)
        step_backward(w, labels // 8, blanks, emitted, blank, at.y + (t - start) * at.width + LEAD + first,
                      at.move + LEAD + first, at.skip_move + LEAD + first, new, new + labels)
        blanks, emitted = new, new + labels


@inlined
def blank_emission(w, at, t):
    """The blank's emission at frame t; 0 if it is marked as below its floor."""
    return max(w[unsigned(at.emit + t // PERIOD * at.tile_size + at.blank * PERIOD + t % PERIOD)], 0.0)


@part
def load_exponents(w, at, kept, p, first, labels):
    """Take the exponents of period p into use, and the factors of its moves."""
    for k in range(LEAD + first, LEAD + first + labels, 8):
        put(w, at.exponents + k, eight_whole(kept, (p + 1) * at.width + k))
    set_moves(w, at, LEAD + first, labels // 8)


@part
def find_beta_sizes(w, at, band, p):
    """at.sizes: the exponents of beta at the first frame of period p; OF_ZERO in the block below the band."""
    first, labels = LEAD + 8 * band.low[p], 8 * (band.high[p] - band.low[p] + 1)
    row = band.rows[p]
    find_sizes(w, at.sizes + first, at.exponents + first, row, row + labels, labels // 8)
    if band.low[p] > 0:
        put(w, at.sizes + first - 8, splat(OF_ZERO))


@part
def choose_band(w, at, band, p):
    """Choose the band of period p - 1: that of period p without the blocks at its edges that are too small.

    Where the first pass has written no exponents, alpha is 0. The band then grows by one block at its lower
    end, because beta can reach eight labels down within a period.
    """
    row, least = p * at.width, band.exponent - MARGIN
    low = min(max(band.low[p], band.low[p - 1]), band.high[p])
    high = max(min(band.high[p], band.high[p - 1]), low)
    while high > low and block_size(w, at, band.kept, row, high) < least:
        high -= 1
    while low < high and block_size(w, at, band.kept, row, low) < least:
        low += 1
    band.low[p - 1], band.high[p - 1] = max(low - 1, 0), high


@inlined
def block_size(w, at, kept, row, block):
    """The exponent of the largest product of alpha and beta in a block.

    alpha is that of the frame before beta's, so label u is entered from label u itself or from label u - 1.
    """
    k = LEAD + 8 * block
    size = eight(w, at.sizes + k)
    alpha = larger(eight_whole(kept, row + k), eight_whole(kept, row + k - 1))
    return largest_of(where_over(size, splat(OF_ZERO), size + alpha, splat(OF_ZERO)))


@part
def renew_backward(w, at, band, p):
    """Renew the exponents for period p - 1, whose band is known, and fill at.beta for it."""
    first, stop = LEAD + 8 * band.low[p - 1], LEAD + 8 * band.high[p - 1] + 8
    source = band.rows[p] - LEAD - 8 * band.low[p]
    labels = 8 * (band.high[p] - band.low[p] + 1)
    descend(w, at.sizes, first, stop)
    if band.low[p - 1] < band.low[p]:  # nothing has been computed there yet
        put(w, at.exponents + first, eight(w, at.sizes + first))
    for k in range(first, stop, 8):
        size = eight(w, at.sizes + k)
        factor = dropped_power(eight(w, at.exponents + k) - size)
        if k < LEAD + 8 * band.low[p]:
            put(w, at.beta + k, splat(0.0))
            put(w, at.beta + at.width + k, splat(0.0))
        else:
            put(w, at.beta + k, dropped(eight(w, source + k) * factor))
            put(w, at.beta + at.width + k, dropped(eight(w, source + labels + k) * factor))
        put_whole(band.kept, p * at.width + k, size)
