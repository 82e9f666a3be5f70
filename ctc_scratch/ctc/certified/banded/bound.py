"""The first pass: forward over all states, raised. It gives Z_up, and shows where the band can be."""

import numpy as np

from ....compiled.bits import bits_of_float64, power_of_two, unsigned
from ....compiled.fused import inlined, part
from ....compiled.memory import copy, fill
from ....compiled.vector import eight, largest_of
from .exponents import LIMIT, keep_exponents, renew_forward
from .frame import step_raised
from .layout import LEAD, OF_ZERO, PERIOD
from .tiles import spread

STRIP = 192
"""Labels of a strip, which does all frames of a period before the next strip; it fits in the first cache."""

NEGLIGIBLE = -60.0
"""Paths may be left out of the first pass if together they are less than 2^NEGLIGIBLE of Z."""

BELOW_GUESS = 200.0
"""With a guess of Z, states are left out if they are this many bits below it. Z may be 100 bits below it."""

BELOW_Z = 150.0
"""With a known exponent of Z, states are left out if they are this many bits below Z."""

HOPELESS = -300.0
"""A pass gives up once its last block is below 2^(least + HOPELESS): the guess of Z was far too high."""


@part
def first_pass(w, at, sequence, kept, low, high, guess):
    """Z_up as m, e with m 2^e = Z_up and 1 <= m < 2, and r: what is left out of Z_up is at most 2^r of it.

    For kept, low and high see `backward.Band`. guess: an exponent that Z might have, or OF_ZERO; it decides
    how small a state must be to be left out. If Z turns out too small for that, the pass is repeated with the
    exponent it has found, if any, and in the end with all states. m is 0 if the states became infinite or 0.
    """
    least, found = max(guess - BELOW_GUESS, OF_ZERO), False
    while True:
        m, e, r = upper_bound(w, at, sequence, kept, low, high, least)
        if least == OF_ZERO or m > 0.0 and r < NEGLIGIBLE:
            return m, e, r
        least = e - BELOW_Z if m > 0.0 and not found else OF_ZERO
        found = True


@part
def upper_bound(w, at, sequence, kept, low_blocks, high_blocks, least):
    """What `first_pass` returns; blocks of labels below 2^least are left out. m is 0 too if it gives up."""
    narrow = least > OF_ZERO
    T, U, windows, edge = sequence.T, sequence.U, np.zeros((PERIOD, 3), np.intp), np.zeros(PERIOD + 1)
    begin_forward(w, at)
    for p in range(sequence.periods):
        start, stop, first = p * PERIOD, min((p + 1) * PERIOD, T), windows[PERIOD - 1, 0] // 8 * 8
        move_windows(sequence, p, windows, narrow)
        high = windows[stop - start - 1, 1]
        before = at.alpha + (1 - (start & 1)) * 2 * at.width + at.width + LEAD + first
        fill(edge, PERIOD + 1, 0, 0.0)
        edge[0] = w[unsigned(before - 1)]
        after = high // 8 * 8 + 8
        for strip in range(first, after, STRIP):
            forward_strip(w, at, sequence, p, windows, edge, strip, min(strip + STRIP, after))
        if stop < T:
            first, front = windows[PERIOD - 1, 0] // 8 * 8, windows[PERIOD - 1, 2] - 1
            after = min(high + PERIOD, U) // 8 * 8 + 8
            new = at.alpha + ((stop - 1) & 1) * 2 * at.width
            renew_forward(w, at, new, new + at.width, first, front, after)
            if narrow:
                first, front = leave_out(w, at, new, first, front, least)
                if front < first + 8 and largest_of(eight(w, at.sizes + LEAD + first)) < least + HOPELESS:
                    return 0.0, 0.0, 0.0
                windows[PERIOD - 1, 0] = max(windows[PERIOD - 1, 0], first)
                windows[PERIOD - 1, 1], windows[PERIOD - 1, 2] = min(high, front + 1), front + 1
            keep_exponents(w, at, kept, (p + 1) * at.width, first, front)
            low_blocks[p], high_blocks[p] = first // 8, (front + 1) // 8
    last = at.alpha + ((T - 1) & 1) * 2 * at.width + LEAD + U
    m, e = final_sum(w, last, last + at.width - 1, at.exponents + LEAD + U, U)
    # The two states of a label of size n are less than 2^(n + 1), a block is eight labels, and there are
    # fewer blocks than (U + 8) T. The computed emissions of a frame sum to less than 2^(2^-15).
    return m, e, least + 4.0 + np.log2((U + 8.0) * T) + T * 2.0**-15 - e


@part
def leave_out(w, at, states, first, front, least):
    """Leave out blocks below 2^least at both edges of labels first..front. Returns the new first, front."""
    sizes, last = at.sizes + LEAD, front // 8 * 8
    while first < last and largest_of(eight(w, sizes + first)) < least:
        first += 8
        w[unsigned(states + at.width + LEAD + first - 1)] = 0.0  # the new label below must not flow in
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
    new = at.alpha + (1 - (p * PERIOD & 1)) * 2 * at.width + LEAD  # of the frame before the period
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
            # The label below the window has now flowed into it for the last time. This row still holds its
            # value of two frames ago, which must not flow in at the next frame.
            below = unsigned(new + at.width + start - 1)
            if w[below] != 0.0:  # a number that was just written is slow to read as part of a vector
                w[below] = 0.0
            if reached <= sequence.U and stop > high:  # FLOOR must not stay in states not reached yet
                clear(w, new + reached, new + stop)
                clear(w, new + at.width + high, new + at.width + stop)
        incoming = edge[unsigned(f + 1)]
        if more:
            edge[unsigned(f + 1)] = w[unsigned(new + at.width + after - 1)] if start < stop == after else 0.0
    w[unsigned(new + at.width + first - 1)] = incoming


@inlined
def move_windows(sequence, p, windows, narrow):
    """Fill windows for the frames of period p; its last row still belongs to the period before.

    A row holds low, high and reached. Labels low..high - 1 can be reached and can still finish. Blanks up to
    reached - 1 can be reached: `reached` is high + 1, or high at the very frame that reaches label high - 1.
    If `narrow`, only labels count that can be reached from those that the period before has kept.
    """
    need, left, T, U = sequence.need, sequence.left, sequence.T, sequence.U
    low, high, reached = windows[PERIOD - 1, 0], windows[PERIOD - 1, 1], windows[PERIOD - 1, 2]
    start, frames = p * PERIOD, min(PERIOD, T - p * PERIOD)
    early = U > 0 and need[U - 1] >= start  # some labels cannot be reached yet
    late = U > 0 and left[0] >= T - (start + frames - 1)  # some labels can no longer finish
    for f in range(unsigned(frames)):
        t, most = start + f, min(reached + 1 + f, U) if narrow else U
        if early:
            while high < most and need[unsigned(high)] <= t:
                high += 1
        else:
            high = most
        if late:
            while low < U and left[unsigned(low)] >= T - t:
                low += 1
        windows[f, 0], windows[f, 1] = low, high
        windows[f, 2] = high if early and high > 0 and need[unsigned(high - 1)] == t else high + 1


@part
def begin_forward(w, at):
    """The states before the first frame, where a path is in the first blank, and exponents of 0."""
    fill(w, 4 * at.width, at.alpha, 0.0)
    fill(w, at.width, at.exponents, 0.0)
    fill(w, at.width, at.move, 1.0)
    copy(w, at.width, at.skip, at.skip_move)
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
def clear(w, k, stop):
    """w[k:stop] = 0, for fewer than eight numbers: `fill` is slower, because it calls C's memset."""
    for j in range(unsigned(k), unsigned(stop)):
        w[j] = 0.0
