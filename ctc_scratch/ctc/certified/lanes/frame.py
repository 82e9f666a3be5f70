"""The loops over one frame of eight sequences: stay, step and skip, forward and backward, and the gradient.

All numbers of a group are in one array w, because one array is passed faster than ten. A function gets the
index in w at which each of its rows begins. Indices are unsigned, because Numba tests signed ones for being
negative. k runs over the labels; the eight numbers from k on are those of the eight lanes.
"""

from ....compiled.bits import unsigned
from ....compiled.fused import inlined, part
from ....compiled.vector import absolute, eight, eight_of, larger, narrowed, put, splat, where_over

LANES = 8
"""Sequences side by side: as many as an Eight has numbers."""

HEADROOM = 460
TOP = 2.0**HEADROOM  # the sum of the states starts here and is brought back here, so A B stays below 2^1022
FLOOR = 2.0**-800  # a state below it is raised or dropped; times an emission's floor it is a normal number


@inlined
def raised(states):
    """The states, raised to FLOOR where they are below it, but not 0."""
    return where_over(states, splat(0.0), larger(states, splat(FLOOR)), splat(0.0))


@inlined
def dropped(states):
    """The states, replaced by 0 where they are below FLOOR."""
    return where_over(splat(FLOOR), states, splat(0.0), states)


@inlined
def gathered(numbers, start, slots, k):
    """numbers[start + slots[k..k+7]], as an Eight."""
    start, k = unsigned(start), unsigned(k)
    return eight_of(
        numbers[start + slots[k]], numbers[start + slots[k + unsigned(1)]],
        numbers[start + slots[k + unsigned(2)]], numbers[start + slots[k + unsigned(3)]],
        numbers[start + slots[k + unsigned(4)]], numbers[start + slots[k + unsigned(5)]],
        numbers[start + slots[k + unsigned(6)]], numbers[start + slots[k + unsigned(7)]])


@inlined
def step_forward(w, n, blanks, labels, blank, emit, slots, slot, y, skip, new_blanks, new_labels):
    """ab'[u] = (ab[u] + al[u-1]) y(blank);  al'[u] = (al[u] + ab[u] + skip[u] al[u-1]) y(label u).

    `blank` holds the blank's emission of each lane. y keeps the labels' emissions for the backward pass.
    """
    for k in range(0, n * LANES, LANES):
        label = gathered(w, emit, slots, slot + k)
        stay, step = eight(w, blanks + k), eight(w, labels - LANES + k)
        here = eight(w, labels + k) + stay + eight(w, skip + k) * step
        put(w, new_blanks + k, raised((stay + step) * blank))
        put(w, new_labels + k, raised(here * absolute(label)))
        put(w, y + k, label)


@inlined
def step_backward(w, n, blanks, emitted, blank, skip, y, ab, al, new_blanks, new_emitted, products):
    """The backward step from frame t + 1 to frame t, and the products alpha beta of frame t.

    bb'[u] = bb[u] y(blank) + el[u];  bl'[u] = el[u] + bb[u+1] y(blank) + skip[u+1] el[u+1];

    where `emitted` holds el[u] = bl[u] y(label u), and `new_emitted` gets bl'[u] y'(label u). `products` get
    al'[u] bl'[u], or 0 where the emission was below its floor. Returns two Eights: the sums of ab'[u] bb'[u]
    and of the products.
    """
    blank_sum, label_sum = splat(0.0), splat(0.0)
    for k in range(0, n * LANES, LANES):
        label, stay, step = eight(w, y + k), eight(w, emitted + k), eight(w, emitted + LANES + k)
        bb = dropped(eight(w, blanks + k) * blank + stay)
        bl = dropped(stay + eight(w, blanks + LANES + k) * blank + eight(w, skip + LANES + k) * step)
        bl = where_over(label, splat(0.0), bl, splat(0.0))
        product = eight(w, al + k) * bl
        put(w, new_blanks + k, bb)
        put(w, new_emitted + k, bl * label)
        put(w, products + k, product)
        blank_sum += eight(w, ab + k) * bb
        label_sum += product
    return blank_sum, label_sum


@part
def scatter(w, n, products, slots, first, occupancy):
    """Add each of n products to the occupancy of its label's class."""
    products, first, occupancy = unsigned(products), unsigned(first), unsigned(occupancy)
    for k in range(unsigned(n)):
        w[occupancy + slots[first + k]] += w[products + k]


@inlined
def sum_of_two(w, n, a, b):
    """The sum of two rows of n states in each lane, as an Eight."""
    total = splat(0.0)
    for k in range(0, n, 8):
        total += eight(w, a + k) + eight(w, b + k)
    return total


@inlined
def scale(w, n, start, factor):
    """Multiply a row of n states by an Eight."""
    for k in range(start, start + n, 8):
        put(w, k, eight(w, k) * factor)


@inlined
def write_lanes(w, n, emit, occupancy, total, weight, line):
    """line = weight * (y - occupancy / total), as n classes by eight lanes."""
    factor = splat(1.0) / total
    for k in range(0, 8 * n, 8):
        y = larger(eight(w, emit + k), splat(0.0))
        put(line, k, narrowed(weight * (y - factor * eight(w, occupancy + k)), line))


@inlined
def copy_lane(line, j, rows, r):
    """rows[r] = lane j of `line`."""
    j = unsigned(j)
    for c in range(unsigned(rows.shape[1])):
        rows[r, c] = line[unsigned(LANES) * c + j]
