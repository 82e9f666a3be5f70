"""The loops over one frame: stay, step and skip, in each of the three passes.

All numbers of a sequence are in one array w, because passing one array is faster than passing ten. The
arguments of a step are indices: where each row's first label is in w. k runs over the labels, eight at a
time. Indices of single numbers are unsigned, because Numba tests signed ones for being negative.

Each label has an exponent of its own. So what flows from one label to the next (backward: from u + 1 into u)
is multiplied by a factor from the row `move`, a power of two that rounds nothing. `skip_move` holds the same
factor, or 0 where no skip is allowed. The formulas below leave both factors out.
"""

from ....compiled.fused import inlined, part
from ....compiled.vector import eight, put, splat, where_over
from .exponents import FLOOR


@inlined
def dropped(states):
    """The states, replaced by 0 where they are not above FLOOR."""
    return where_over(states, splat(FLOOR), states, splat(0.0))


@part
def step_raised(w, blocks, blanks, labels, blank, y, move, skip_move, new_blanks, new_labels):
    """ab'[u] = (ab[u] + al[u-1]) y(blank);  al'[u] = (al[u] + ab[u] + skip[u] al[u-1]) y(label u).

    FLOOR is added to each state, fused with the product at no cost. Whatever underflows is far below FLOOR,
    so every state is an upper bound.
    """
    floor, blank = splat(FLOOR), splat(blank)
    for k in range(0, 8 * blocks, 8):
        stay, before = eight(w, blanks + k), eight(w, labels - 1 + k)
        inflow = eight(w, labels + k) + stay + before * eight(w, skip_move + k)
        put(w, new_blanks + k, (stay + before * eight(w, move + k)) * blank + floor)
        put(w, new_labels + k, inflow * eight(w, y + k) + floor)


@part
def step_backward(w, blocks, blanks, emitted, blank, y, move, skip_move, new_blanks, new_emitted):
    """bb'[u] = bb[u] y(blank) + el[u];  bl'[u] = el[u] + bb[u+1] y(blank) + skip[u+1] el[u+1].

    `emitted` holds el[u] = bl[u] y(label u), beta times the emission; `new_emitted` gets bl'[u] y'(label u).
    The frame before and the posterior need this product, and never bl' alone.
    """
    blank = splat(blank)
    for k in range(0, 8 * blocks, 8):
        stay = eight(w, emitted + k)
        bl = (stay + eight(w, blanks + 1 + k) * blank * eight(w, move + k)
              + eight(w, emitted + 1 + k) * eight(w, skip_move + k))
        put(w, new_blanks + k, dropped(eight(w, blanks + k) * blank + stay))
        put(w, new_emitted + k, dropped(bl * eight(w, y + k)))


@part
def step_forward(w, blocks, blanks, labels, blank, y, move, skip_move, bb, emitted, new_blanks, new_labels,
                 products):
    """ab' and al' as in `step_raised`, but dropped, and their products with beta.

    Returns two Eights, the sums of ab'[u] bb'[u] and of al'[u] bl'[u], and writes the latter to `products`.
    al'[u] is what flows into label u, times its emission; so al'[u] bl'[u] is what flows in, times el'[u].
    `move` and `skip_move` hold the factor out of label u at u, as in `step_backward`; hence the - 1.
    """
    blank, blank_sum, label_sum = splat(blank), splat(0.0), splat(0.0)
    for k in range(0, 8 * blocks, 8):
        stay, before = eight(w, blanks + k), eight(w, labels - 1 + k)
        inflow = eight(w, labels + k) + stay + before * eight(w, skip_move - 1 + k)
        ab = dropped((stay + before * eight(w, move - 1 + k)) * blank)
        product = inflow * eight(w, emitted + k)
        put(w, new_blanks + k, ab)
        put(w, new_labels + k, dropped(inflow * eight(w, y + k)))
        put(w, products + k, product)
        blank_sum += ab * eight(w, bb + k)
        label_sum += product
    return blank_sum, label_sum
