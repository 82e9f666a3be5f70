"""The recursion, one frame at a time: stay, step and skip, forward and backward.

`before` holds the states of the frame before, beginning two states earlier than those that are computed;
`after` holds the states of the frame after, ending two states later. `_exp` marks the exponents.
"""

from ...compiled.bits import EMPTY
from .flags import part
from .pairs import joined


@part
def forward(before, before_exp, skips, m, e):
    """alpha_t without its emission: for each state the sum of stay, step and skip into it."""
    for s in range(m.shape[0]):
        m[s], e[s] = joined(before[s + 2], before_exp[s + 2], before[s + 1], before_exp[s + 1],
                            before[s], before_exp[s], skips[s])


@part
def backward(after, after_exp, skips, m, e):
    """beta_t: for each state the sum of stay, step and skip out of it; `after` includes its emissions."""
    for s in range(m.shape[0]):
        m[s], e[s] = joined(after[s], after_exp[s], after[s + 1], after_exp[s + 1],
                            after[s + 2], after_exp[s + 2], skips[s + 2])


@part
def emitting(states, emit, slots, lo, hi):
    """Multiply the states lo..hi-1 by their emissions, and put two zeros on either side, which moves read."""
    multiply(states[0, lo + 2:hi + 2], states[1, lo + 2:hi + 2], emit[0], emit[1], slots[lo:hi])
    for s in (lo, lo + 1, hi + 2, hi + 3):
        states[0, s], states[1, s] = 0.0, EMPTY


@part
def multiply(m, e, y, y_exp, slots):
    """Multiply each state by the emission of its class."""
    for s in range(m.shape[0]):
        m[s] *= y[slots[s]]
        e[s] += y_exp[slots[s]]
