"""The softmax of every frame: the emissions that the passes read, and the first term of the gradient."""

import numpy as np

from ...compiled.bits import unsigned
from ...compiled.exp import exp_below
from ...compiled.vector import (
    all_stored,
    eight,
    larger,
    largest_of,
    put,
    put_past_cache,
    splat,
    total_of,
    where_over,
    widened,
)
from .flags import inlined, kernel, part
from .frame import gathered

PAST_CACHE = 2**22  # bytes; a gradient larger than this does not stay in the cache until it is read


@inlined
def places_to_line(numbers, k):
    """How many numbers lie between number k of an array and the next aligned one."""
    return -(numbers.ctypes.data // numbers.itemsize + k) % 8


# ---- loops over one row of logits ------------------------------------------------------------------
# Rows are read as rows[r, c] and not through a view rows[r]: counting the view's reference costs as much as
# a short row. The indices are unsigned for the reason given in `frame`.


@kernel
def row_exp(rows, r, top, line, grad, q, other, factor):
    """line = e^(rows[r] - top). Returns its sum, in which 512 terms at a time are added in their own type.

    Unless q is -1, grad[q] = other * factor is written past the cache meanwhile, since it is not read again
    soon: the processor computes while memory stores what was written.
    """
    C, total = rows.shape[1], 0.0
    whole, zeros, factors = C // 8 * 8, splat(line.dtype.type(0)), splat(factor)
    done = C
    if q >= 0:
        done = min(places_to_line(grad, q * C), C)
        write_some(other, factor, grad, q, 0, done)
    for start in range(0, whole, 512):
        partial = zeros
        for k in range(start, min(start + 512, whole), 8):
            y = exp_below(eight(rows, r * C + k), top)
            put(line, k, y)
            partial = partial + y
            if done + 8 <= C:
                put_past_cache(grad, q * C + done, eight(other, done) * factors)
                done += 8
        total += total_of(partial)
    for c in range(unsigned(whole), unsigned(C)):
        y = exp_below(rows[unsigned(r), c], top)
        line[c] = y
        total += y
    if done < C:
        write_some(other, factor, grad, q, done, C)
    return total


@inlined
def write_some(line, factor, rows, r, first, after):
    """rows[r, c] = line[c] * factor for classes c = first..after-1."""
    r = unsigned(r)
    for c in range(unsigned(first), unsigned(after)):
        rows[r, c] = line[c] * factor


@inlined
def row_largest(rows, r):
    """The largest entry of a row."""
    C = rows.shape[1]
    k, stop = r * C, (r + 1) * C
    top = rows[unsigned(r), unsigned(0)]
    if C >= 8:
        most = eight(rows, k)
        while k + 8 <= stop:
            most = larger(most, eight(rows, k))
            k += 8
        top = largest_of(most)
    for c in range(unsigned(k - r * C), unsigned(C)):
        top = rows[unsigned(r), c] if rows[unsigned(r), c] > top else top
    return top


# ---- emissions ------------------------------------------------------------------------------------


@part
def emission_floor(rows):
    """The least emission before division: far enough above 2^-126 or 2^-1022 to stay normal after it."""
    return 2.0**-120 if rows.itemsize == 4 else 2.0**-200


@part
def marked(value, inverse, floor):
    """value * inverse, or -floor * inverse if the value is below the floor: the sign marks it as raised."""
    return value * inverse if value > floor else -floor * inverse


@inlined
def mark(w, values, inverse, floor, emit):
    """w[emit + c] = the marked emission of class c, for all classes."""
    emit = unsigned(emit)
    for c in range(unsigned(len(values))):
        w[emit + c] = marked(np.float64(values[c]), inverse, floor)


@inlined
def mark_columns(w, values, columns, inverse, floor, emit):
    """w[emit + k] = the marked emission of class columns[k], for all k."""
    emit = unsigned(emit)
    for k in range(unsigned(len(columns))):
        w[emit + k] = marked(np.float64(values[columns[k]]), inverse, floor)


@part
def emissions(w, at, group, rows, tops, n_stride, t_stride, weights, normalise, grad):
    """Fill at.emit with the softmax of every frame of one sequence, and grad with weight * softmax.

    Only the columns go to at.emit. Where all classes are columns, the backward pass writes the whole
    gradient, so grad is left alone. Without `normalise` the emissions are e^(score - largest score).
    Returns the sum of the largest scores that were subtracted, 0 with `normalise`.
    """
    columns, n, C = group.columns, group.members[0], rows.shape[1]
    line, other = np.empty(C, rows.dtype), np.empty(C, rows.dtype)
    floor, shift, inverse, factor = emission_floor(rows), 0.0, 1.0, rows.dtype.type(0)
    past_cache = not at.dense and group.T * C * rows.itemsize > PAST_CACHE
    for t in range(group.T):
        emit, r = at.emit + t * at.emit_width, n * n_stride + t * t_stride
        w[emit + at.K] = 0.0
        top = tops[r] if len(tops) > 0 else row_largest(rows, r)
        before = r - t_stride if past_cache and t > 0 else -1
        total = row_exp(rows, r, top, line, grad, before, other, factor)
        if normalise:
            inverse = 1.0 / total
        else:
            shift += top
        if at.dense:
            mark(w, line, inverse, floor, emit)
        else:
            mark_columns(w, line, columns, inverse, floor, emit)
            factor = rows.dtype.type(weights[n] * inverse)
            if not past_cache or t == group.T - 1:
                write_some(line, factor, grad, r, 0, C)
            line, other = other, line
    if past_cache:
        all_stored()
    return shift


@part
def emissions_in_lanes(w, at, group, lanes, rows, n_stride, t_stride):
    """Fill at.emit with the softmax of every frame of eight sequences, class by class, eight lanes each.

    A lane that has ended, or has no sequence, gets the softmax of another row. This does no harm: none of
    its labels is in the window, its beta does not use the blank's emission, and its gradient is not written.
    """
    L, C, members, lengths = len(lanes), rows.shape[1], group.members, group.lengths
    floor, line = emission_floor(rows), np.zeros(8 * C, rows.dtype)
    zeros, lowest = splat(rows.dtype.type(0)), splat(rows.dtype.type(-np.inf))
    flat, starts = rows.ravel(), np.zeros(L, np.uintp)
    for t in range(group.T):
        emit = at.emit + t * at.emit_width
        w[emit + L * C] = 0.0
        for j in range(L):
            if t < lengths[j]:
                starts[unsigned(j)] = unsigned((members[j] * n_stride + t * t_stride) * C)
        top = lowest
        for c in range(C):
            x = gathered(flat, c, starts, 0)
            top = larger(top, x)
            put(line, 8 * c, x)
        total = zeros
        for k in range(0, 8 * C, 8):
            y = exp_below(eight(line, k), top)
            put(line, k, y)
            total = total + y
        inverse = 1.0 / widened(total)
        for k in range(0, 8 * C, 8):
            value = widened(eight(line, k))
            put(w, emit + k, where_over(value, splat(floor), value, splat(-floor)) * inverse)
