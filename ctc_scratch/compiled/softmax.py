"""e^(x - max) over the classes, for eight frames side by side: the softmax of each before division."""

from .exp import exp_below
from .fused import inlined
from .vector import eight, larger, put, smaller, splat, widened

BLOCK = 64
"""How many terms of a sum are added in the type of the logits; the sums of blocks are added in float64."""


@inlined
def largest_of_eight(line, C):
    """The largest logit of each of eight frames, as an Eight; line (C, 8) holds one class after the other."""
    top = eight(line, 0)
    for k in range(8, 8 * C, 8):
        top = larger(top, eight(line, k))
    return top


@inlined
def exp_of_eight(line, C, top):
    """Replace x in line (C, 8) by e^(x - top). Returns two Eights: the sums in float64, the least values."""
    total, least, zeros = splat(0.0), splat(line.dtype.type(1)), splat(line.dtype.type(0))
    for start in range(0, 8 * C, 8 * BLOCK):
        partial = zeros
        for k in range(start, min(start + 8 * BLOCK, 8 * C), 8):
            y = exp_below(eight(line, k), top)
            put(line, k, y)
            partial = partial + y
            least = smaller(least, y)
        total = total + widened(partial)
    return total, least
