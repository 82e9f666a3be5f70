"""The third pass: forward again in the band, dropped, in the exponents of beta; and the gradient.

The backward pass has kept label u relative to 2^e[u], and Z is about 2^E. This pass keeps label u relative to
2^(E - e[u]). So alpha beta / 2^E is the product of the two numbers as they are kept, and alpha needs no
exponents of its own.
"""

import numpy as np

from ....compiled.bits import power_of_two, unsigned
from ....compiled.exponents import eight_whole
from ....compiled.fused import part
from ....compiled.memory import fill
from ....compiled.vector import eight, put, smaller, splat, total_of
from .backward import blank_emission, load_exponents
from .exponents import HIGHEST, LIMIT, dropped_power
from .frame import step_forward
from .layout import LEAD, PERIOD
from .tiles import collect, spread, write_gradient


@part
def posterior(w, at, sequence, band, bottom, top, grad, gamma):
    """The gradient of the frames of periods bottom..top, whose beta is at hand, if `grad` has rows.

    Returns the least and the largest Q_t, relative to 2^band.exponent. If one is 0, the gradient is left
    incomplete.
    """
    least, most = np.inf, 0.0
    for p in range(bottom, top + 1):
        begin_period(w, at, band, p)
        first, labels = 8 * band.low[p], 8 * (band.high[p] - band.low[p] + 1)
        frames, step = min(PERIOD, sequence.T - p * PERIOD), 2 * labels
        fill(w, at.tile_size, at.occupancy, 0.0)
        tile = at.emit + p * at.tile_size
        spread(w, tile, sequence.slots, first, labels // 8, at.y + LEAD + first, at.width, False)
        for f in range(frames):
            t, bb = p * PERIOD + f, band.rows[p] + f * step
            old = at.alpha + (1 - (t & 1)) * 2 * at.width + LEAD + first
            new = at.alpha + (t & 1) * 2 * at.width + LEAD + first
            blank_sums, label_sums = step_forward(
                w, labels // 8, old, old + at.width, blank_emission(w, at, t),
                at.y + f * at.width + LEAD + first, at.move + LEAD + first, at.skip_move + LEAD + first,
                bb, bb + labels, new, new + at.width, at.products + f * at.width)
            if f == 0:  # the label below the band flows in at the first frame only
                w[unsigned(old + at.width - 1)] = 0.0
            blank_sum = total_of(blank_sums)
            total = blank_sum + total_of(label_sums)
            if not total > 0.0:
                return 0.0, np.inf
            least, most = min(least, total), max(most, total)
            w[unsigned(at.totals + f)] = total
            w[unsigned(at.occupancy + at.blank * PERIOD + f)] = blank_sum
            if gamma.shape[0] > 0:
                write_gamma(w, at, sequence, gamma, t, first, labels, bb)
        if grad.shape[0] > 0:
            collect(w, at, sequence.slots, first, labels // 8, at.products)
            write_period(w, at, sequence, p, frames, grad)
    return least, most


@part
def begin_period(w, at, band, p):
    """Bring alpha of the frame before period p to the exponents and to the band of period p."""
    first, labels = 8 * band.low[p], 8 * (band.high[p] - band.low[p] + 1)
    load_exponents(w, at, band.kept, p, first, labels)
    states = at.alpha + (1 - (p * PERIOD & 1)) * 2 * at.width + LEAD
    if p == 0:  # before the first frame a path is in the first blank
        fill(w, 4 * at.width, at.alpha, 0.0)
        change = w[at.exponents + LEAD] - band.exponent
        w[states] = min(power_of_two(min(change, LIMIT)), HIGHEST) if change >= -LIMIT else 0.0
        return
    row, kept = p * at.width + LEAD, band.kept
    low, high = band.low[p - 1], band.high[p - 1]
    for block in range(band.low[p], band.high[p] + 1):
        k = 8 * block
        if low <= block <= high:
            factor = dropped_power(eight_whole(kept, row + at.width + k) - eight_whole(kept, row + k))
            for s in (states + k, states + at.width + k):
                put(w, s, smaller(eight(w, s) * factor, splat(HIGHEST)))
        else:
            put(w, states + k, splat(0.0))
            put(w, states + at.width + k, splat(0.0))
    # The label below the band flows into it at the first frame, if it has been in the band until now. It has
    # no exponent in this period, and takes that of the band's first label. So the factor of its move is 1.
    below = unsigned(states + at.width + first - 1)
    w[unsigned(at.move + LEAD + first - 1)] = 1.0
    w[unsigned(at.skip_move + LEAD + first - 1)] = w[unsigned(at.skip + LEAD + first)]
    if low < band.low[p] <= high + 1:
        change = w[unsigned(at.exponents + LEAD + first)] - kept[unsigned(row + first - 1)]
        w[below] *= power_of_two(min(change, LIMIT)) if change >= -LIMIT else 0.0
    else:
        w[below] = 0.0
    w[unsigned(at.alpha + (p * PERIOD & 1) * 2 * at.width + at.width + LEAD + first - 1)] = 0.0


@part
def write_period(w, at, sequence, p, frames, grad):
    """weight * (y - occupancy / Q_t), for the frames of period p; y = 0 if there is no softmax."""
    tile, t_stride, weight = at.emit + p * at.tile_size, sequence.t_stride, sequence.weight
    row = sequence.row + p * PERIOD * t_stride
    if not sequence.normalise:
        fill(w, at.tile_size, tile, 0.0)  # this tile has been used for the last time
    if sequence.dense and grad.shape[1] >= 8 and frames == PERIOD:
        write_gradient(w, tile, at.occupancy, splat(1.0) / eight(w, at.totals), weight, grad, row, t_stride)
        return
    for f in range(frames):
        r, factor = unsigned(row + f * t_stride), 1.0 / w[at.totals + f]
        for k in range(unsigned(len(sequence.columns))):
            entry = k * unsigned(PERIOD) + unsigned(f)
            share = w[unsigned(at.occupancy) + entry]
            # Where not every class is a column, weight * y has been written already.
            if sequence.dense or share > 0.0:
                y = max(w[unsigned(tile) + entry], 0.0)
                grad[r, k if sequence.dense else sequence.columns[k]] = weight * (y - factor * share)


@part
def write_gamma(w, at, sequence, gamma, t, first, labels, bb):
    """The posterior of the blanks and labels of the band at frame t, which begins with label `first`."""
    total, products = w[at.totals + t % PERIOD], at.products + t % PERIOD * at.width
    ab, r = at.alpha + (t & 1) * 2 * at.width + LEAD + first, sequence.row + t * sequence.t_stride
    for k in range(min(labels, sequence.U + 1 - first)):
        u = first + k
        gamma[r, 2 * u] = w[ab + k] * w[bb + k] / total
        if u < sequence.U:
            gamma[r, 2 * u + 1] = w[products + k] / total
