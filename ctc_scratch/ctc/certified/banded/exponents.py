"""The exponent of each label: how it is chosen, how it is renewed, and the factors of moves between labels.

Blank u and label u are kept as numbers times 2^e[u]. Every eight frames the exponents are renewed: e[u]
becomes the exponent of the sum of the two states, so that the sum is kept as a number between 1 and 2. It
becomes more only where the *ladder* demands it:

    going forward:   e[u] >= e[u-1] - LADDER,      going backward:   e[u] >= e[u+1] - LADDER.

So what flows into label u at a frame is at most 2^LADDER times a state of its neighbour. In the eight frames
of a period a number grows by about 2^(8 LADDER) = 2^800 at most, and nothing overflows. Only in the third
pass can a state that begins at HIGHEST overflow; the answer is then not used.
"""

from ....compiled.bits import unsigned
from ....compiled.exponents import exponents_of, powers_of_two, put_whole
from ....compiled.fused import inlined, part
from ....compiled.vector import absolute, eight, larger, largest_of, put, smaller, splat, where_over
from .layout import LEAD, OF_ZERO

LADDER = 100.0

FLOOR = 2.0**-900
"""The floor of states, relative to their exponents: the first pass adds it, the others drop what is below."""

HIGHEST = 2.0**900
"""The largest state at the beginning of a period of the third pass; a larger one is lowered to it."""

LIMIT = 1000.0
"""A difference n of exponents can be anything. It is clipped to -LIMIT..LIMIT, where 2^n is normal."""


@inlined
def raised_power(n):
    """2^n, or 2^-LIMIT if n is below -LIMIT: never less than 2^n for a state that is reached.

    For such a state n is at most LADDER in a move, and at most 900 in a renewal, as no state is below FLOOR.
    So the clip at LIMIT is for states that are 0: their old exponents may ask for any n, and 0 stays 0.
    """
    return powers_of_two(larger(smaller(n, splat(LIMIT)), splat(-LIMIT)))


@inlined
def dropped_power(n):
    """2^n, or 0 if n is not above -LIMIT, or 2^LIMIT if n is above LIMIT: never more than 2^n."""
    clipped = smaller(n, splat(LIMIT))
    return where_over(clipped, splat(-LIMIT), powers_of_two(larger(clipped, splat(-LIMIT))), splat(0.0))


@inlined
def find_sizes(w, sizes, exponents, blanks, labels, blocks):
    """sizes[u] = the exponent of blank u + label u, kept relative to 2^exponents[u]; OF_ZERO for a 0."""
    for k in range(0, 8 * blocks, 8):
        total = eight(w, blanks + k) + eight(w, labels + k)
        size = eight(w, exponents + k) + exponents_of(total)
        put(w, sizes + k, where_over(total, splat(0.0), size, splat(OF_ZERO)))


# ---- forward, raised --------------------------------------------------------------------------------


@part
def climb(w, sizes, first, front, stop):
    """Enforce sizes[u] >= sizes[u-1] - LADDER; sizes[front+1..stop-1] first become equal to sizes[front].

    Labels after `front` are still empty, and their old exponents mean nothing. What flows into them in the
    coming period would vanish beside FLOOR if they were too high, and overflow if they were too low.
    """
    sizes, steepest = unsigned(sizes), splat(0.0)
    first, front, stop = sizes + unsigned(first), sizes + unsigned(front), sizes + unsigned(stop)
    w[first - unsigned(1)] = w[first]
    for k in range(front + unsigned(1), stop):
        w[k] = w[front]
    for k in range(first, stop, unsigned(8)):
        steepest = larger(steepest, eight(w, k - unsigned(1)) - eight(w, k))
    if largest_of(steepest) <= LADDER:
        return
    last = w[first]
    for k in range(first, stop):
        least, size = last - LADDER, w[k]
        last = size if size > least else least
        w[k] = last


@part
def renew_forward(w, at, blanks, labels, first, front, stop):
    """Renew the exponents of labels first..stop-1, whole blocks, of which those up to front are reached.

    States are raised where their exponent cannot hold them. at.move and at.skip_move get the factors of the
    moves into each label. The label below `first` has an old exponent, but its state is 0.
    """
    first, front, stop = LEAD + first, LEAD + front, LEAD + stop
    blocks = (stop - first) // 8
    find_sizes(w, at.sizes + first, at.exponents + first, blanks + first, labels + first, blocks)
    climb(w, at.sizes, first, front, stop)
    for k in range(first, stop, 8):
        size = eight(w, at.sizes + k)
        factor = raised_power(eight(w, at.exponents + k) - size)
        for states in (blanks, labels):
            put(w, states + k, eight(w, states + k) * factor + splat(FLOOR))
        put(w, at.exponents + k, size)
    for states in (blanks, labels):
        for k in range(unsigned(states + front + 1), unsigned(states + stop)):
            w[k] = 0.0  # not reached: FLOOR must not stay here
    for k in range(first, stop, 8):
        move = raised_power(eight(w, at.exponents + k - 1) - eight(w, at.exponents + k))
        put(w, at.move + k, move)
        put(w, at.skip_move + k, move * eight(w, at.skip + k))


@part
def keep_exponents(w, at, kept, row, first, front):
    """Write the exponents of labels first..front to a row of `kept`, in whole blocks.

    Label first - 1 gets OF_ZERO, and so do the labels after `front`, to the end of the block of front + 1.
    The second pass reads them: a frame later a path can have moved up by one label.
    """
    first, front = LEAD + first, LEAD + front
    put_whole(kept, row + (front + 1) // 8 * 8, splat(OF_ZERO))
    for k in range(first, front + 1, 8):
        put_whole(kept, row + k, eight(w, at.exponents + k))
    kept[unsigned(row + first - 1)] = OF_ZERO
    for k in range(unsigned(row + front + 1), unsigned(row + front // 8 * 8 + 8)):
        kept[k] = OF_ZERO


# ---- backward and forward again, dropped ------------------------------------------------------------


@part
def descend(w, sizes, first, stop):
    """Enforce sizes[u] >= sizes[u+1] - LADDER; an entry OF_ZERO becomes that above it, at the top that below.

    Only steps up from u to u + 1 are limited. The quick test takes the absolute difference, so that it also
    notices a step down to OF_ZERO.
    """
    sizes, steepest = unsigned(sizes), splat(0.0)
    first, stop = sizes + unsigned(first), sizes + unsigned(stop)
    w[stop] = w[stop - unsigned(1)]
    for k in range(first, stop, unsigned(8)):
        steepest = larger(steepest, absolute(eight(w, k + unsigned(1)) - eight(w, k)))
    if largest_of(steepest) <= LADDER:
        return
    top = stop - unsigned(1)
    while top > first and w[top] == OF_ZERO:
        top -= unsigned(1)
    for k in range(top + unsigned(1), stop):
        w[k] = w[top]
    last, k = w[top], top
    while k > first:
        k -= unsigned(1)
        least, size = last - LADDER, w[k]
        last = last if size == OF_ZERO else size if size > least else least
        w[k] = last


@inlined
def set_moves(w, at, first, blocks):
    """Fill at.move and at.skip_move with the factors of the moves from each label to the next one.

    The last label of the band has no next one in it: the factor is 0.
    """
    last = first + 8 * blocks
    for k in range(first, last, 8):
        move = dropped_power(eight(w, at.exponents + k + 1) - eight(w, at.exponents + k))
        put(w, at.move + k, move)
        put(w, at.skip_move + k, move * eight(w, at.skip + k + 1))
    w[unsigned(at.move + last - 1)] = 0.0
    w[unsigned(at.skip_move + last - 1)] = 0.0
