"""The softmax of every frame: the emissions that the passes read, and the first term of the gradient.

Emissions are kept in tiles, one for each period of eight frames: row k of a tile is column k in eight frames.
Where every class is a column, the softmax is computed in this form, eight frames side by side, so that no
maximum and no sum runs across a vector. Where there are too many classes, it is computed row by row.
"""

import math

import numpy as np

from ....compiled.bits import LN2, unsigned
from ....compiled.exp import exp_below, exp_of_eight, largest_of_eight
from ....compiled.fused import inlined, kernel, part
from ....compiled.vector import (
    all_stored,
    eight,
    larger,
    largest_of,
    put,
    put_columns,
    put_past_cache,
    splat,
    total_of,
    widened,
)
from .layout import OF_ZERO, PERIOD

PAST_CACHE = 2**22  # bytes; a gradient larger than this does not stay in the cache until it is read

LEAST = 2.0**-500
"""The least emission before division by the sum. A smaller one is replaced by -LEAST.

The sign is a mark: the first pass raises the emission to LEAST, the others drop it to 0.
"""

MANY = 32
"""Fewer labels are not worth a guess: the first pass takes little time then."""


# ---- every class is a column ------------------------------------------------------------------------


@part
def tiles_of_classes(w, at, sequence, rows):
    """Fill at.emit with the softmax of every frame, a tile of eight frames at a time.

    Without a softmax the emissions are e^(score - largest score). Returns two numbers: the sum of the
    largest scores that were subtracted (0 with a softmax), and a guess of the exponent of Z. The guess is
    the exponent of the product of the largest probability of each frame, or OF_ZERO: it counts only if these
    classes have between U / 2 and 2 U runs of frames without a blank.
    """
    C, t_stride, normalise, shift = rows.shape[1], sequence.t_stride, sequence.normalise, 0.0
    guessing, heard, silent, greedy = normalise and sequence.U >= MANY, 0, True, 0.0
    line = np.empty(PERIOD * C, rows.dtype)
    for p in range(sequence.periods):
        tile, first = at.emit + p * at.tile_size, sequence.row + p * PERIOD * t_stride
        frames = min(PERIOD, sequence.T - p * PERIOD)
        turn_rows(rows, first, t_stride, frames, line)
        top = largest_of_eight(line, C)
        total, least = exp_of_eight(line, C, top)
        inverse = 1.0 / total if normalise else splat(1.0)
        if guessing:
            put(w, tile, total)
            product = 1.0
            for f in range(frames):
                product *= w[unsigned(tile + f)]
                blank = line[unsigned(PERIOD * at.blank + f)] == 1.0  # e^(x - max) of the largest
                heard += silent and not blank
                silent = blank
            greedy -= math.log(product)
        for k in range(0, 8 * C, 8):
            put(w, tile + k, widened(eight(line, k)) * inverse)
        if -largest_of(splat(line.dtype.type(0)) - least) < faint_below(rows):
            put(w, tile + 8 * C, inverse)
            mark_faint(w, tile, rows, first, t_stride, frames, line)
        put(w, tile + 8 * C, splat(0.0))
        if not normalise:
            put(line, 0, top)
            subtracted = 0.0
            for f in range(frames):
                subtracted += line[f]
            shift += subtracted
    if guessing and sequence.U <= 2 * heard <= 4 * sequence.U:
        return shift, greedy / LN2
    return shift, OF_ZERO


@part
def turn_rows(rows, first, t_stride, frames, line):
    """line (C, 8) = the logits of eight frames, class by class; the last frame stands for missing ones."""
    C = rows.shape[1]
    if C < 8 or frames < PERIOD:
        for f in range(PERIOD):
            r = unsigned(first + min(f, frames - 1) * t_stride)
            for c in range(unsigned(C)):
                line[unsigned(8) * c + unsigned(f)] = rows[r, c]
        return
    c, step = 0, t_stride * C
    while c < C:
        c = min(c, C - 8)  # the last block overlaps the one before it
        k = first * C + c
        put_columns(line, 8 * c, 8, eight(rows, k), eight(rows, k + step), eight(rows, k + 2 * step),
                    eight(rows, k + 3 * step), eight(rows, k + 4 * step), eight(rows, k + 5 * step),
                    eight(rows, k + 6 * step), eight(rows, k + 7 * step))
        c += 8


@part
def faint_below(rows):
    """Where e^(x - max), in the type of the rows, is less than this, it is computed again in float64."""
    return 2.0**-120 if rows.itemsize == 4 else LEAST


@inlined
def faint(x, top):
    """e^(x - top) in float64; -LEAST if x - top <= -347 (LEAST is e^-346.6), but 0 for a logit -inf."""
    far = np.float64(x) - np.float64(top)
    return math.exp(far) if far > -347.0 else -LEAST if far > -np.inf else 0.0


@part
def mark_faint(w, tile, rows, first, t_stride, frames, line):
    """Compute the faint emissions of a tile, those below `faint_below` in `line`, once more in float64."""
    least, C = faint_below(rows), rows.shape[1]
    for f in range(frames):
        r, top = unsigned(first + f * t_stride), row_largest(rows, first + f * t_stride)
        inverse = w[unsigned(tile + 8 * C + f)]
        for c in range(unsigned(C)):
            k = unsigned(8) * c + unsigned(f)
            if line[k] < least:
                w[unsigned(tile) + k] = faint(rows[r, c], top) * inverse


# ---- the columns are the classes of the target ------------------------------------------------------


@part
def tiles_of_columns(w, at, sequence, rows, tops, grad):
    """Fill all tiles, and grad = weight * softmax, or 0 without a softmax, if it has rows.

    Returns the sum of the largest scores that were subtracted, 0 with a softmax.
    """
    columns, t_stride, C = sequence.columns, sequence.t_stride, rows.shape[1]
    line, other = np.empty(C, rows.dtype), np.empty(C, rows.dtype)
    least, shift, inverse, factor = faint_below(rows), 0.0, 1.0, rows.dtype.type(0)
    wanted = grad.shape[0] > 0
    past_cache = wanted and sequence.T * C * rows.itemsize > PAST_CACHE
    for t in range(sequence.T):
        tile, r = at.emit + t // PERIOD * at.tile_size + t % PERIOD, sequence.row + t * t_stride
        w[tile + at.K * PERIOD] = 0.0
        top = tops[r] if len(tops) > 0 else row_largest(rows, r)
        total = row_exp(rows, r, top, line, grad, r - t_stride if past_cache and t > 0 else -1, other, factor)
        if sequence.normalise:
            inverse = 1.0 / np.float64(total)
        else:
            shift += top
        for k in range(unsigned(len(columns))):
            y = np.float64(line[columns[k]])
            if y < least:
                y = faint(rows[unsigned(r), columns[k]], top)
            w[unsigned(tile) + k * unsigned(PERIOD)] = y * inverse
        factor = rows.dtype.type(sequence.weight * inverse if sequence.normalise else 0.0)
        if wanted and (not past_cache or t == sequence.T - 1):
            write_some(line, factor, grad, r, 0, C)
        line, other = other, line
    if past_cache:
        all_stored()
    return shift


# ---- loops over one row of logits ------------------------------------------------------------------
# Rows are read as rows[r, c] and not through a view rows[r]: counting the view's reference costs as much as
# a short row. The indices are unsigned for the reason given in `frame`.


@inlined
def places_to_line(numbers, k):
    """How many numbers lie between number k of an array and the next aligned one."""
    return -(numbers.ctypes.data // numbers.itemsize + k) % 8


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
