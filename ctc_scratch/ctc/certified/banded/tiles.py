"""From the classes of eight frames to the labels of each frame, and back.

A step of a pass reads the emissions of eight neighbouring labels at one frame. In a row of the softmax they
are scattered, and fetching them one by one takes longer than the rest of the step. But a label has the same
class in all frames. So the emissions of a period are kept in a *tile*: its row k holds column k in eight
frames. Eight rows are fetched for eight labels, and 24 vector shuffles transpose the 8 x 8 numbers:

    rows of the tile    frame  0 1 2 ... 7        at.y    label  u  u+1 ... u+7
    label u                    a b c ... h        frame 0        a  i   ...
    label u+1                  i j k ... p   ->   frame 1        b  j   ...
    ...                                           ...
    label u+7                                     frame 7        h  p   ...

What the labels add to the occupancy of their classes goes the other way.
"""

from ....compiled.bits import unsigned
from ....compiled.fused import inlined, part
from ....compiled.vector import absolute, eight, larger, narrowed, put, put_columns, splat
from .layout import PERIOD


@inlined
def of_label(w, tile, slots, u, raised):
    """The emissions of label u in eight frames; a negative, marked one becomes its absolute value, or 0."""
    emissions = eight(w, tile + slots[unsigned(u)])
    return absolute(emissions) if raised else larger(emissions, splat(0.0))


@part
def spread(w, tile, slots, first, blocks, rows, step, raised):
    """Write the emissions of 8 * blocks labels from `first` on to eight rows, one per frame, `step` apart."""
    tile = unsigned(tile)
    for k in range(0, 8 * blocks, 8):
        u = first + k
        put_columns(w, rows + k, step,
                    of_label(w, tile, slots, u, raised), of_label(w, tile, slots, u + 1, raised),
                    of_label(w, tile, slots, u + 2, raised), of_label(w, tile, slots, u + 3, raised),
                    of_label(w, tile, slots, u + 4, raised), of_label(w, tile, slots, u + 5, raised),
                    of_label(w, tile, slots, u + 6, raised), of_label(w, tile, slots, u + 7, raised))


@part
def collect(w, at, slots, first, blocks, products):
    """Add the products of 8 * blocks labels from `first` on, a row per frame, to their columns' occupancy."""
    occupancy, scratch = unsigned(at.occupancy), at.scratch
    for k in range(products, products + 8 * blocks, 8):
        put_columns(w, scratch, PERIOD, eight(w, k), eight(w, k + at.width), eight(w, k + 2 * at.width),
                    eight(w, k + 3 * at.width), eight(w, k + 4 * at.width), eight(w, k + 5 * at.width),
                    eight(w, k + 6 * at.width), eight(w, k + 7 * at.width))
        for j in range(8):
            column = occupancy + slots[unsigned(first + k - products + j)]
            put(w, column, eight(w, column) + eight(w, scratch + 8 * j))


@inlined
def gradient_of(w, emissions, occupancy, c, factor, weight, grad):
    """weight * (y - factor * occupancy) of column c in eight frames."""
    y = larger(eight(w, emissions + 8 * c), splat(0.0))
    return narrowed(weight * (y - factor * eight(w, occupancy + 8 * c)), grad)


@part
def write_gradient(w, emissions, occupancy, factor, weight, rows, first, t_stride):
    """Write the gradient of eight frames to rows first, first + t_stride, ...; for at least 8 classes."""
    C, c = rows.shape[1], 0
    weight = splat(weight)
    while c < C:
        c = min(c, C - 8)  # the last block overlaps the one before it
        put_columns(rows, first * C + c, t_stride * C,
                    gradient_of(w, emissions, occupancy, c, factor, weight, rows),
                    gradient_of(w, emissions, occupancy, c + 1, factor, weight, rows),
                    gradient_of(w, emissions, occupancy, c + 2, factor, weight, rows),
                    gradient_of(w, emissions, occupancy, c + 3, factor, weight, rows),
                    gradient_of(w, emissions, occupancy, c + 4, factor, weight, rows),
                    gradient_of(w, emissions, occupancy, c + 5, factor, weight, rows),
                    gradient_of(w, emissions, occupancy, c + 6, factor, weight, rows),
                    gradient_of(w, emissions, occupancy, c + 7, factor, weight, rows))
        c += 8
