"""The passes over the frames of a group: alpha forward, then beta and the gradient backward."""

import numpy as np

from ....compiled.bits import bits_of_float64, float64_from_bits, unsigned
from ....compiled.fused import inlined, part
from ....compiled.memory import fill
from ....compiled.vector import absolute, eight, larger, put, splat, where_over
from .frame import (
    HEADROOM,
    LANES,
    TOP,
    copy_lane,
    scale,
    scatter,
    step_backward,
    step_forward,
    sum_of_two,
    write_lanes,
)
from .layout import LEAD, window

RESCALE_BELOW, RESCALE_ABOVE = 2.0 ** (HEADROOM - 32), 2.0 ** (HEADROOM + 20)
RESCALE_MASK = 3  # sums are checked at every fourth frame


@part
def forward(w, at, start, stop, group, scales):
    """Fill rows 1.. of at.ab and at.al with alpha of frames start..stop-1; row 0 holds the frame before."""
    slots, lengths, widths = group.slots, group.lengths, group.widths
    low, high = np.zeros(LANES, np.intp), np.zeros(LANES, np.intp)
    for t in range(start, stop):
        whole = group.steady <= t < group.unsteady
        lowest, highest = (0, group.U) if whole else window(t, group, low, high)
        first, n = LEAD + lowest * LANES, highest + 1 - lowest
        emit, row = at.emit + t * at.emit_width, (t - start) * at.width
        b0, l0, b, l, y = (at.ab + row, at.al + row, at.ab + row + at.width, at.al + row + at.width,
                           at.y + row)
        step_forward(w, n, b0 + first, l0 + first, absolute(eight(w, emit + at.blank)), emit, slots,
                     first - LEAD, y + first, at.skip + first, b + first, l + first)
        close_window(w, whole, low, high, first, n, b, l)
        if t >= group.shortest - 1 and scales == at.scales:  # not when alpha is computed again
            for j in range(LANES):
                if t == lengths[j] - 1:
                    end = LEAD + widths[j] * LANES + j
                    w[at.final + j] = w[b + end] + w[l + end - LANES]
                    w[at.final + LANES + j] = w[scales + j]
        if t & RESCALE_MASK == 0:
            rescale(w, n * LANES, b + first, l + first, at.sums, scales)


@part
def backward(w, at, start, stop, group, n_stride, t_stride, weights, grad):
    """Beta of frames stop-1 down to start, in at.beta, and the gradient of these frames, if it has rows."""
    slots, lengths, widths, members = group.slots, group.lengths, group.widths, group.members
    C, p, blank_low = grad.shape[1], at.products, eight(w, at.y_low)
    line, weight = np.zeros(LANES * C, grad.dtype), np.zeros(LANES)
    for j in range(LANES):
        weight[j] = weights[members[j]]
    low, high = np.zeros(LANES, np.intp), np.zeros(LANES, np.intp)
    for t in range(stop - 1, start - 1, -1):
        whole = group.steady <= t < group.unsteady
        lowest, highest = (0, group.U) if whole else window(t, group, low, high)
        first, n = LEAD + lowest * LANES, highest + 1 - lowest
        emit, row = at.emit + t * at.emit_width, (t - start) * at.width
        ab, al, y = at.ab + row + at.width, at.al + row + at.width, at.y + row
        b, b_next = at.beta + (t & 1) * 2 * at.width, at.beta + (1 - (t & 1)) * 2 * at.width
        e, e_next = b + at.width, b_next + at.width
        if t >= group.shortest - 1:
            for j in range(LANES):
                if t == lengths[j] - 1:  # after its last frame a path is in the last blank, with factor 1
                    w[b_next + LEAD + widths[j] * LANES + j] = TOP
        blank_sum, label_sum = step_backward(
            w, n, b_next + first, e_next + first, blank_low, at.skip + first, y + first, ab + first,
            al + first, b + first, e + first, p + first)
        close_window(w, whole, low, high, first, n, b, e)

        blank = eight(w, emit + at.blank)
        if grad.shape[0] > 0:
            fill(w, at.emit_width, at.occupancy, 0.0)
            scatter(w, (min(highest + 1, group.U) - lowest) * LANES, p + first, slots, first - LEAD,
                    at.occupancy)
            # The blank's sum is 0 where its emission was raised.
            blank_sum = where_over(blank, splat(0.0), blank_sum, splat(0.0))
            total = blank_sum + label_sum
            put(w, at.occupancy + at.blank, blank_sum)
            put(w, at.sums, total)
            write_lanes(w, C, emit, at.occupancy, total, eight(weight, 0), line)
            for j in range(LANES):
                if w[at.sums + j] > 0.0:
                    copy_lane(line, j, grad, unsigned(members[j] * n_stride + t * t_stride))
        if t & RESCALE_MASK == 0:
            rescale(w, n * LANES, b + first, e + first, at.sums, at.scales + 2 * LANES)
        blank_low = larger(blank, splat(0.0))
        if t >= group.shortest:  # a path that has ended stays in its last blank, with factor 1
            put(w, at.y_low, blank_low)
            for j in range(LANES):
                if t >= lengths[j]:
                    w[at.y_low + j] = 1.0
            blank_low = eight(w, at.y_low)
    put(w, at.y_low, blank_low)


@inlined
def close_window(w, whole, low, high, first, n, blanks, labels):
    """Put zeros on both sides of the n labels from `first` on, and of each lane's own window.

    The blanks before `first` are never read: going forward the window has passed them, and going backward it
    has not reached them yet, so that they are still 0.
    """
    after = first + n * LANES
    put(w, labels + first - LANES, splat(0.0))
    put(w, blanks + after, splat(0.0))
    put(w, labels + after, splat(0.0))
    if not whole:
        for j in range(LANES):
            for u in (low[j] - 1, high[j] + 1):
                edge = LEAD + u * LANES + j
                w[blanks + edge] = w[labels + edge] = 0.0


@inlined
def rescale(w, n, blanks, labels, sums, scales):
    """Multiply each lane whose sum is far from TOP by a power of two that brings it back; nothing rounds."""
    todo = False
    put(w, sums, sum_of_two(w, n, blanks, labels))
    for j in range(LANES):
        state, factor = w[sums + j], 1.0
        if 0.0 < state < RESCALE_BELOW or state > RESCALE_ABOVE:
            up = HEADROOM + 1023 - (bits_of_float64(state) >> 52)
            w[scales + j] -= up
            factor, todo = float64_from_bits((up + 1023) << 52), True
        w[sums + j] = factor
    if todo:
        factors = eight(w, sums)
        scale(w, n, blanks, factors)
        scale(w, n, labels, factors)
