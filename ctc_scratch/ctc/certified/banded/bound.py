"""The first pass: forward over all states, raised. It gives Z_up, and shows where the band can be."""

import numpy as np

from ....compiled.bits import bits_of_float64, power_of_two, unsigned
from ....compiled.fused import inlined, part
from ....compiled.vector import eight, largest_of
from .exponents import LIMIT, OF_ZERO, keep_exponents, renew_forward
from .frame import fill, step_raised
from .layout import LEAD, PERIOD
from .tiles import spread

STRIP = 192
"""Labels that go through a period before the next ones do; what they need fits in the first cache."""

NEGLIGIBLE = -60.0
"""Paths may be left out of the first pass if together they are less than 2^NEGLIGIBLE of Z."""


@part
def first_pass(w, at, sequence, kept, guess):
    """Z_up as m, e with m 2^e = Z_up and 1 <= m < 2, and r: what is left out of Z_up is at most 2^r of it.

    guess: an exponent that Z might have, or OF_ZERO. It decides how small a state must be to be left out. If
    Z turns out to be too small for that, the pass is repeated: first with the exponent that it has found, and
    in the end with all states. m is 0 if the states have become infinite or 0.
    """
    least, found = max(guess - 200.0, OF_ZERO), False
    while True:
        m, e, r = upper_bound(w, at, sequence, kept, least)
        if least == OF_ZERO or m > 0.0 and r < NEGLIGIBLE:
            return m, e, r
        least = e - 150.0 if m > 0.0 and e > -1000.0 and not found else OF_ZERO
        found = True


@part
def upper_bound(w, at, sequence, kept, least):
    """What `first_pass` returns, for blocks of labels left out once their states are less than 2^least.

    The exponents that each period begins with go to `kept`.
    """
    narrow = least > OF_ZERO
    T, U, low, high, front = sequence.T, sequence.U, 0, 0, -1
    windows, edge = np.zeros((PERIOD, 3), np.intp), np.zeros(PERIOD + 1)
    begin_forward(w, at)
    for p in range(sequence.periods):
        start, stop, first = p * PERIOD, min((p + 1) * PERIOD, T), low // 8 * 8
        for t in range(start, stop):
            low, high = move_window(t, sequence, low, high, windows, front + 2 + t - start if narrow else U)
        before = at.alpha + (1 - (start & 1)) * 2 * at.width + at.width + LEAD + first
        for f in range(PERIOD + 1):
            edge[f] = w[unsigned(before - 1)] if f == 0 else 0.0
        after = high // 8 * 8 + 8
        for strip in range(first, after, STRIP):
            forward_strip(w, at, sequence, p, windows, edge, strip, min(strip + STRIP, after))
        if stop < T:
            first, front = low // 8 * 8, windows[PERIOD - 1, 2] - 1
            after = min(high + PERIOD, U) // 8 * 8 + 8
            new = at.alpha + ((stop - 1) & 1) * 2 * at.width
            renew_forward(w, at, new, new + at.width, first, front, after)
            if narrow:
                first, front = leave_out(w, at, new, first, front, least)
                low, high = max(low, first), min(high, front + 1)
            keep_exponents(w, at, kept, (p + 1) * at.width, first, front, after)
    last = at.alpha + ((T - 1) & 1) * 2 * at.width + LEAD + U
    m, e = final_sum(w, last, last + at.width - 1, at.exponents + LEAD + U, U)
    # The two states of a label of size n are less than 2^(n + 1), a block is eight labels, and there are
    # fewer blocks than (U + 8) T. The computed emissions of a frame sum to less than 2^(2^-15).
    return m, e, least + 4.0 + np.log2((U + 8.0) * T) + T * 2.0**-15 - e


@part
def leave_out(w, at, states, first, front, least):
    """Leave out the blocks at both edges of labels first..front that are below 2^least; returns the rest."""
    sizes, last = at.sizes + LEAD, front // 8 * 8
    while first < last and largest_of(eight(w, sizes + first)) < least:
        first += 8
        w[unsigned(states + at.width + LEAD + first - 1)] = 0.0  # the label below
    while last > first and largest_of(eight(w, sizes + last)) < least:
        for row in range(4):
            fill(w, 8, at.alpha + row * at.width + LEAD + last, 0.0)
        last -= 8
        front = last + 7
    return first, front


@part
def forward_strip(w, at, sequence, p, windows, edge, first, after):
    """alpha of labels first..after-1, whole blocks, at the frames of period p.

    edge[f] is al of label first - 1 at the frame before frame f of the period. It becomes that of label
    after - 1, for the next strip.
    """
    tile, step = at.emit + p * at.tile_size, after - first + 8
    frames = min(PERIOD, sequence.T - p * PERIOD)
    more = after <= windows[frames - 1, 1]  # whether another strip follows
    spread(w, tile, sequence.slots, first, (after - first) // 8, at.y, step, True)
    new = at.alpha + (1 - (p * PERIOD & 1)) * 2 * at.width + LEAD  # of the frame before, in the first turn
    incoming, edge[0] = edge[0], w[new + at.width + after - 1]
    for f in range(frames):
        old, new = new, at.alpha + (p * PERIOD + f & 1) * 2 * at.width + LEAD
        low, high, reached = windows[unsigned(f), 0], windows[unsigned(f), 1], windows[unsigned(f), 2]
        start, stop = max(first, low // 8 * 8), min(after, high // 8 * 8 + 8)
        if start < stop:
            if start == first and w[unsigned(old + at.width + first - 1)] != incoming:
                w[unsigned(old + at.width + first - 1)] = incoming
            blank, y = abs(w[unsigned(tile + at.blank * PERIOD + f)]), at.y + f * step + start - first
            step_raised(
                w, (stop - start) // 8, old + start, old + at.width + start, blank, y, at.move + LEAD + start,
                at.skip_move + LEAD + start, new + start, new + at.width + start)
            # The label below the window has just moved into it, from `old`, for the last time. From the next
            # frame on it must count as 0, and not as what this row held two frames ago.
            w[unsigned(new + at.width + start - 1)] = 0.0
            if reached <= sequence.U and stop > high:  # FLOOR must not stay in states not reached yet
                clear(w, new + reached, stop - reached)
                clear(w, new + at.width + high, stop - high)
        incoming = edge[unsigned(f + 1)]
        if more:
            edge[unsigned(f + 1)] = w[unsigned(new + at.width + after - 1)] if start < stop == after else 0.0
    w[unsigned(new + at.width + first - 1)] = incoming


@inlined
def move_window(t, sequence, low, high, windows, most):
    """Move low, high on to frame t: labels low..high - 1 can be reached, and can still finish.

    high is at most `most`. Blank `high` can be reached as well, unless label high - 1 has only just been
    reached. The frame's row of windows gets low, high, and how many blanks can be reached.
    """
    need, left = sequence.need, sequence.left
    while high < min(most, sequence.U) and need[unsigned(high)] <= t:
        high += 1
    while low < sequence.U and left[unsigned(low)] >= sequence.T - t:
        low += 1
    f = unsigned(t % PERIOD)
    windows[f, 0], windows[f, 1] = low, high
    windows[f, 2] = high if high > 0 and need[unsigned(high - 1)] == t else high + 1
    return low, high


@part
def begin_forward(w, at):
    """The states before the first frame, where a path is in the first blank, and exponents of 0."""
    fill(w, 4 * at.width, at.alpha, 0.0)
    fill(w, at.width, at.exponents, 0.0)
    fill(w, at.width, at.move, 1.0)
    for k in range(unsigned(at.width)):
        w[unsigned(at.skip_move) + k] = w[unsigned(at.skip) + k]
    w[at.alpha + 2 * at.width + LEAD] = 1.0


@inlined
def final_sum(w, blank, label, exponent, U):
    """The sum of the last blank and the last label, as m, e with 1 <= m < 2."""
    total, e = w[unsigned(blank)], w[unsigned(exponent)]
    if U > 0:
        total += w[unsigned(label)] * power_of_two(max(w[unsigned(exponent - 1)] - e, -LIMIT))
    if not 0.0 < total < 1e308:
        return 0.0, 0.0
    own = float((bits_of_float64(total) >> 52) - 1023)
    return total * power_of_two(-own), e + own


@inlined
def clear(w, k, n):
    """w[k:k+n] = 0, for a few numbers."""
    for j in range(unsigned(k), unsigned(k + n)):
        w[j] = 0.0
