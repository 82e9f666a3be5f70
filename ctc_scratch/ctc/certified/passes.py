"""The passes over the frames of a group: alpha forward, then beta and the gradient backward."""

import numpy as np

from ...compiled.bits import bits_of_float64, float64_from_bits, unsigned
from ...compiled.vector import (
    absolute,
    eight,
    first_of,
    larger,
    put,
    splat,
    total_of,
    where_over,
)
from .flags import inlined, part
from .frame import (
    HEADROOM,
    TOP,
    copy_lane,
    fill,
    of_lanes,
    scale,
    scatter,
    step_backward,
    step_forward,
    sum_of_two,
    write_columns,
    write_grad,
    write_lanes,
)
from .layout import LEAD, window

RESCALE_BELOW, RESCALE_ABOVE = 2.0 ** (HEADROOM - 32), 2.0 ** (HEADROOM + 20)
RESCALE_MASK = 3  # sums are checked at every fourth frame


@inlined
def close_window(w, lanes, all_labels, low, high, first, last, blocks, blanks, labels):
    """Put zeros on both sides of entries first..last-1, and of each lane's own window.

    The blanks before `first` are never read: going forward the window has passed them, and going backward it
    has not reached them yet, so that they are still 0.
    """
    L, end = len(lanes), first + 8 * blocks
    fill(w, L, labels + first - L, 0.0)
    fill(w, 8, blanks + end, 0.0)
    fill(w, 8, labels + end, 0.0)
    if all_labels:
        return
    fill(w, end - last, blanks + last, 0.0)
    fill(w, end - last, labels + last, 0.0)
    if L > 1:
        for j in range(L):
            for u in (low[j] - 1, high[j] + 1):
                edge = LEAD + u * L + j
                w[blanks + edge] = w[labels + edge] = 0.0


@inlined
def rescale(w, lanes, first, blocks, blanks, labels, sums, scales):
    """Multiply each lane whose sum is far from TOP by a power of two that brings it back; nothing rounds."""
    L, todo = len(lanes), False
    total = sum_of_two(w, blocks, blanks + first, labels + first)
    if L == 1:
        w[sums] = total_of(total)
    else:
        put(w, sums, total)
    for j in range(L):
        state, factor = w[sums + j], 1.0
        if 0.0 < state < RESCALE_BELOW or state > RESCALE_ABOVE:
            up = HEADROOM + 1023 - (bits_of_float64(state) >> 52)
            w[scales + j] -= up
            factor, todo = float64_from_bits((up + 1023) << 52), True
        w[sums + j] = factor
    if todo:
        factors = of_lanes(w, lanes, sums)
        scale(w, blocks, blanks + first, factors)
        scale(w, blocks, labels + first, factors)


@part
def forward(w, at, start, stop, group, lanes, scales):
    """Fill rows 1.. of at.ab and at.al with alpha of frames start..stop-1; row 0 holds the frame before."""
    slots, lengths, widths, need, left = (
        group.slots, group.lengths, group.widths, group.need, group.left)
    L = len(lanes)
    U, steady, unsteady = group.U, group.steady, group.unsteady
    low, high = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for t in range(start, stop):
        if steady <= t < unsteady:
            lowest, highest = 0, U
        else:
            lowest, highest = window(t, lanes, lengths, widths, need, left, low, high)
        first, last = LEAD + lowest * L, LEAD + (highest + 1) * L
        blocks = (last - first + 7) // 8
        emit, row = at.emit + t * at.emit_width, (t - start) * at.width
        b0, l0, b, l, y = (at.ab + row, at.al + row, at.ab + row + at.width, at.al + row + at.width,
                           at.y + row)
        blank = absolute(of_lanes(w, lanes, emit + at.blank * L))
        step_forward(w, L, blocks, b0 + first, l0 + first, blank, emit, slots, first - LEAD, y + first,
                     at.skip + first, b + first, l + first)
        close_window(w, lanes, steady <= t < unsteady, low, high, first, last, blocks, b, l)
        if t >= group.shortest - 1 and scales == at.scales:  # not when alpha is computed again
            for j in range(L):
                if t == lengths[j] - 1:
                    end = LEAD + widths[j] * L + j
                    w[at.final + j] = w[b + end] + w[l + end - L]
                    w[at.final + L + j] = w[scales + j]
        if t & RESCALE_MASK == 0:
            rescale(w, lanes, first, blocks, b, l, at.sums, scales)


@part
def backward(w, at, start, stop, group, lanes, n_stride, t_stride, weights, grad, gamma):
    """Beta of frames stop-1 down to start, in at.beta, and the gradient of these frames."""
    columns, slots, lengths, widths, need, left, members = (
        group.columns, group.slots, group.lengths, group.widths, group.need, group.left, group.members)
    L = len(lanes)
    U, steady, unsteady = group.U, group.steady, group.unsteady
    p, blank_low = at.products, of_lanes(w, lanes, at.y_low)
    line, weight = np.zeros(8 * at.K, grad.dtype), np.zeros(8)
    for j in range(L):
        weight[j] = weights[members[j]]
    low, high = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for t in range(stop - 1, start - 1, -1):
        if steady <= t < unsteady:
            lowest, highest = 0, U
        else:
            lowest, highest = window(t, lanes, lengths, widths, need, left, low, high)
        first, last = LEAD + lowest * L, LEAD + (highest + 1) * L
        blocks = (last - first + 7) // 8
        emit, row = at.emit + t * at.emit_width, (t - start) * at.width
        ab, al, y = at.ab + row + at.width, at.al + row + at.width, at.y + row
        b, b_next = at.beta + (t & 1) * 2 * at.width, at.beta + (1 - (t & 1)) * 2 * at.width
        e, e_next = b + at.width, b_next + at.width
        if t >= group.shortest - 1:
            for j in range(L):
                if t == lengths[j] - 1:  # after its last frame a path is in the last blank, with factor 1
                    w[b_next + LEAD + widths[j] * L + j] = TOP
        blank_sum, label_sum = step_backward(
            w, L, blocks, b_next + first, e_next + first, blank_low, at.skip + first, y + first, ab + first,
            al + first, b + first, e + first, p + first)
        close_window(w, lanes, steady <= t < unsteady, low, high, first, last, blocks, b, e)

        fill(w, at.emit_width, at.occupancy, 0.0)
        scatter(w, (min(highest + 1, U) - lowest) * L, p + first, slots, first - LEAD, at.occupancy)
        blank = of_lanes(w, lanes, emit + at.blank * L)
        if L == 1:
            blank_sum, label_sum = splat(total_of(blank_sum)), splat(total_of(label_sum))
        blank_sum = where_over(blank, splat(0.0), blank_sum, splat(0.0))  # 0 where the emission was raised
        total = blank_sum + label_sum
        if L == 1:
            w[at.occupancy + at.blank], w[at.sums] = first_of(blank_sum), first_of(total)
        else:
            put(w, at.occupancy + 8 * at.blank, blank_sum)
            put(w, at.sums, total)
            write_lanes(w, at.K, emit, at.occupancy, total, eight(weight, 0), line)
        for j in range(L):
            if w[at.sums + j] > 0.0:
                r, factor = unsigned(members[j] * n_stride + t * t_stride), 1.0 / w[at.sums + j]
                if L > 1:
                    copy_lane(line, j, grad, r)
                elif at.dense:
                    write_grad(w, at.K, emit, at.occupancy, factor, weight[0], grad, r)
                else:
                    write_columns(w, emit, at.occupancy, factor, weight[0], grad, r, columns)
        if L == 1:
            if gamma.shape[0] > 0 and w[at.sums] > 0.0:
                for u in range(lowest, highest + 1):
                    k = LEAD + u
                    if w[emit + at.blank] > 0.0:
                        gamma[t, 2 * u] = w[ab + k] * w[b + k] / w[at.sums]
                    if u < U:
                        gamma[t, 2 * u + 1] = w[p + k] / w[at.sums]
        if t & RESCALE_MASK == 0:
            rescale(w, lanes, first, blocks, b, e, at.sums, at.scales + 2 * L)
        blank_low = larger(blank, splat(0.0))
        if t >= group.shortest:  # a path that has ended stays in its last blank, with factor 1
            put(w, at.y_low, blank_low)
            for j in range(L):
                if t >= lengths[j]:
                    w[at.y_low + j] = 1.0
            blank_low = eight(w, at.y_low)
    put(w, at.y_low, blank_low)
