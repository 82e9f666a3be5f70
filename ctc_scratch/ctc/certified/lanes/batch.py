"""The groups of a batch: threads call one kernel, which solves group after group until none is left."""

import math

import numpy as np

from ....compiled.bits import LN2, near_one
from ....compiled.counter import DONE, TAKEN, count
from ....compiled.fused import kernel
from ....compiled.memory import copy, fill
from .emissions import emissions
from .frame import HEADROOM, LANES, TOP
from .layout import LEAD, make_group, make_places, segment_length
from .passes import backward, forward


@kernel
def solve_groups(groups, progress, rows, n_stride, t_stride, lengths, labels, offsets, blank, weights, budget,
                 w, grad, losses, gaps):
    """Solve the groups (G, 8) that no other thread takes: losses, gaps and gradients.

    gaps: (Z_up - Z_low) / Z_low. grad has no rows if it is not wanted. progress: the record of
    `compiled/counter` that all threads share. The workspace w must hold `workspace_size` numbers. The loop is
    here, and not around a function for one group, because each call level costs LLVM another optimisation
    pass.
    """
    while True:
        g = count(progress, TAKEN, 1)
        if g >= len(groups):
            break
        members = groups[g]
        group = make_group(members, rows.shape[1], lengths, labels, offsets, blank)
        T, U = group.T, group.U
        at = make_places(T, U, rows.shape[1], blank, budget)
        G = segment_length(T, at.width, budget)
        segments = (T + G - 1) // G
        fill(w, 3 * LANES, at.scales, float(-HEADROOM))
        emissions(w, at, group, rows, n_stride, t_stride)

        fill(w, at.width, at.skip, 0.0)
        for k in range(U * LANES):
            w[at.skip + LEAD + k] = 1.0 if k < LANES or group.slots[k] != group.slots[k - LANES] else 0.0
        fill(w, at.width, at.ab, 0.0)
        fill(w, at.width, at.al, 0.0)
        fill(w, LANES, at.ab + LEAD, TOP)  # before the first frame a path is in the first blank
        for s in range(segments):
            start, stop, kept = s * G, min((s + 1) * G, T), at.starts + s * 2 * at.width
            copy(w, at.width, at.ab, kept)
            copy(w, at.width, at.al, kept + at.width)
            forward(w, at, start, stop, group, at.scales)
            if stop < T:
                copy(w, at.width, at.ab + G * at.width, at.ab)
                copy(w, at.width, at.al + G * at.width, at.al)

        fill(w, 4 * at.width, at.beta, 0.0)
        fill(w, LANES, at.y_low, 1.0)
        for s in range(segments - 1, -1, -1):
            start, stop, kept = s * G, min((s + 1) * G, T), at.starts + s * 2 * at.width
            if stop < T:
                copy(w, at.width, kept, at.ab)
                copy(w, at.width, kept + at.width, at.al)
                forward(w, at, start, stop, group, at.scales + LANES)
            backward(w, at, start, stop, group, n_stride, t_stride, weights, grad)

        for j in range(LANES):
            n = members[j]
            if n >= 0:
                lower = w[at.beta + LEAD + j] * w[at.y_low + j] + w[at.beta + at.width + LEAD + j]
                final, final_scale = w[at.final + j], int(w[at.final + LANES + j])
                mantissa, exponent = near_one(final, final_scale)
                losses[n] = 0.0 - (math.log(mantissa) + exponent * LN2)
                if lower > 0.0:
                    apart = min(max(final_scale - int(w[at.scales + 2 * LANES + j]), -1000), 1000)
                    gaps[n] = final / lower * math.ldexp(1.0, apart) - 1.0
                else:
                    gaps[n] = np.inf
        count(progress, DONE, 1)
