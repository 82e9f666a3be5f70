"""The softmax of every frame of eight sequences: the emissions that the passes read."""

import numpy as np

from ....compiled.bits import unsigned
from ....compiled.exp import exp_of_eight, largest_of_eight
from ....compiled.fused import part
from ....compiled.vector import eight, put, splat, where_over, widened
from .frame import LANES, gathered


@part
def emission_floor(rows):
    """The least emission before division: far enough above 2^-126 or 2^-1022 to stay normal after it."""
    return 2.0**-120 if rows.itemsize == 4 else 2.0**-200


@part
def emissions(w, at, group, rows, n_stride, t_stride):
    """Fill at.emit with the softmax of every frame of eight sequences, class by class, eight lanes each.

    A lane that has ended, or has no sequence, gets the softmax of another row. This does no harm: none of
    its labels is in the window, its beta does not use the blank's emission, and its gradient is not written.
    """
    C, members, lengths = rows.shape[1], group.members, group.lengths
    floor, line = emission_floor(rows), np.zeros(8 * C, rows.dtype)
    flat, starts = rows.ravel(), np.zeros(LANES, np.uintp)
    for t in range(group.T):
        emit = at.emit + t * at.emit_width
        put(w, emit + LANES * C, splat(0.0))
        for j in range(LANES):
            if t < lengths[j]:
                starts[unsigned(j)] = unsigned((members[j] * n_stride + t * t_stride) * C)
        for c in range(C):
            put(line, 8 * c, gathered(flat, c, starts, 0))
        total, _ = exp_of_eight(line, C, largest_of_eight(line, C))
        inverse = 1.0 / total
        for k in range(0, 8 * C, 8):
            value = widened(eight(line, k))
            put(w, emit + k, where_over(value, splat(floor), value, splat(-floor)) * inverse)
