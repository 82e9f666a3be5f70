"""The whole batch: threads call one kernel, which solves sequence after sequence until none is left."""

import math

import numpy as np

from ....compiled.bits import LN2, near_one
from ....compiled.counter import DONE, TAKEN, count
from ....compiled.fused import inlined, kernel, part
from ....compiled.memory import copy, fill
from .backward import backward, begin_backward, make_band
from .bound import first_pass
from .emissions import tiles_of_classes, tiles_of_columns
from .layout import LEAD, OF_ZERO, make_places, make_sequence
from .posterior import posterior

LONGEST = 2**20
"""Sequences with more frames than this are left to the exact kernel.

An exponent falls by at most 1000 in a period: in 2^17 periods by 2^27, which is well above OF_ZERO.
"""


@inlined
def gap_between(upper, least, most, T):
    """(Z_up - min Q_t) / min Q_t; inf if the least Q_t is 0.

    If the largest Q_t is above Z_up by more than rounding, which a correct program rules out, the gap is
    negative.
    """
    if not least > 0.0:
        return np.inf
    excess = most / upper - 1.0
    return -excess if excess > 8 * 2.0**-53 * T else max(upper, most) / least - 1.0


@part
def mark_skips(w, at, sequence):
    """at.skip: 1 for each label that differs from the one before, else 0."""
    fill(w, at.width, at.skip, 0.0)
    for u in range(sequence.U):
        if u == 0 or sequence.slots[u] != sequence.slots[u - 1]:
            w[at.skip + LEAD + u] = 1.0


@kernel
def solve_sequences(samples, progress, rows, tops, n_stride, t_stride, lengths, labels, offsets, blank,
                    weights, normalise, budget, w, kept, grad, gamma, losses, gaps):
    """Solve the sequences in `samples` that no other thread takes: losses, gaps and gradients.

    gaps: (Z_up - min Q_t) / min Q_t, plus the share of Z_up that the first pass may have left out; inf if
    there is no answer, negative if the program is at fault. progress: the record of `compiled/counter` that
    all threads share. The workspaces w and `kept` must hold `workspace_size` numbers. gamma is empty, or
    holds zeros, and gets the posteriors of frame t in the row in which grad gets its gradient; grad is
    -occupancy without `normalise`, and has no rows if it is not wanted. The three passes are called from
    here, and not from functions between, because each call level costs LLVM another optimisation pass.
    """
    C = rows.shape[1]
    while True:
        k = count(progress, TAKEN, 1)
        if k >= len(samples):
            break
        n = samples[k]
        sequence = make_sequence(n, lengths, labels, offsets, blank, (C, n_stride, t_stride), weights,
                                 normalise)
        if sequence.T > LONGEST:
            gaps[n] = np.inf
            count(progress, DONE, 1)
            continue
        at = make_places(sequence.T, sequence.U, C, blank, budget)
        if sequence.dense:
            shift, guess = tiles_of_classes(w, at, sequence, rows)
        else:
            guess = OF_ZERO
            shift = tiles_of_columns(w, at, sequence, rows, tops, grad)
        mark_skips(w, at, sequence)

        low, high = np.zeros(sequence.periods, np.intp), np.zeros(sequence.periods, np.intp)
        upper, exponent, left_out = first_pass(w, at, sequence, kept, low, high, guess)
        least, most = 0.0, 0.0
        if upper > 0.0:
            least, band = np.inf, make_band(kept, exponent, low, high)
            begin_backward(w, at, sequence, band)
            segments = backward(w, at, sequence, band, sequence.periods - 1, sequence.periods)
            for s in range(segments - 1, -1, -1):  # from the beginning of the sequence to its end
                top, bottom = band.tops[s], band.tops[s + 1] + 1 if s < segments - 1 else 0
                if bottom > 0:  # later segments have overwritten the rows of this one
                    copy(w, 2 * at.width, at.starts + s * 2 * at.width, at.beta)
                    backward(w, at, sequence, band, top, top - bottom + 1)
                smallest, largest = posterior(w, at, sequence, band, bottom, top, grad, gamma)
                least, most = min(least, smallest), max(most, largest)
                if not least > 0.0:
                    break
            mantissa, whole = near_one(upper, int(exponent))
            losses[n] = 0.0 - (math.log(mantissa) + whole * LN2) - shift
        gaps[n] = gap_between(upper, least, most, sequence.T) + math.exp(left_out * LN2)
        count(progress, DONE, 1)
