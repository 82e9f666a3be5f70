"""One frame of the backward pass: beta as pairs m 2^e, and the share of each move.

Rows of states have two zeros at either end, so that moves at the ends need no special case. `joint` is beta
times the emission: joint_t(s) sums all ways to finish from state s at frame t, with the emission of t.
"""

from ...compiled.bits import EMPTY, bits_of_float64, float64_from_bits, power_of_two
from ...compiled.exp import exp_split
from ..exact.flags import part
from ..exact.pairs import COUNT_BIAS, COUNT_BITS, FRACTION, ONE


@part
def emissions(scores, m, e):
    """Fill m and e so that m 2^e = e^score for each column; a score of -inf becomes the pair that means 0."""
    for k in range(scores.shape[0]):
        m[k], e[k] = exp_split(max(scores[k], EMPTY), 0.0)


@part
def enter_labels(joint, enter, lo, hi, entered):
    """entered = joint, times e^enter if the state is a label; for the states lo - 2 to hi + 1."""
    weight, exponent = exp_split(max(enter, EMPTY), 0.0)
    for s in range(lo, hi + 4):
        label = s % 2 == 1  # state s - 2
        entered[0, s] = joint[0, s] * weight if label else joint[0, s]
        entered[1, s] = joint[1, s] + exponent if label else joint[1, s]


@part
def moves_out(joint, entered, states, lo, hi, shares, beta):
    """Fill beta, a sum over the moves out of a state, and the share of each move, for the states lo..hi-1.

    joint : (2, S + 4) of the frame that the moves lead to
    entered : `joint` after `enter_labels`, for the moves step and skip
    shares : (3, S + 2), filled, for stay, step and skip; zeros for a state from which no path can finish
    beta : (2, S + 4), filled
    """
    # All of these slices begin with state lo, so that the loop below compiles to vector instructions.
    stayed, stayed_exp = joint[0, lo + 2:hi + 2], joint[1, lo + 2:hi + 2]
    next_, next_exp = entered[0, lo + 3:hi + 4], entered[1, lo + 3:hi + 4]
    stays, skips = states.stays[lo:hi], states.skips[lo + 2:hi + 2]
    stay, step, skip = shares[0, lo + 2:hi + 2], shares[1, lo + 2:hi + 2], shares[2, lo + 2:hi + 2]
    m, e = beta[0, lo + 2:hi + 2], beta[1, lo + 2:hi + 2]
    for s in range(m.shape[0]):
        top = next_exp[s]
        top = max(top, stayed_exp[s]) if stays[s] > 0.0 else top
        top = max(top, next_exp[s + 1]) if skips[s] > 0.0 else top
        # A term below 2^-960 of the largest does not change the sum.
        a = stays[s] * stayed[s] * power_of_two(min(max(stayed_exp[s] - top, -960.0), 0.0))
        b = next_[s] * power_of_two(max(next_exp[s] - top, -960.0))
        c = skips[s] * next_[s + 1] * power_of_two(min(max(next_exp[s + 1] - top, -960.0), 0.0))
        total = a + b + c
        reciprocal = 1.0 / total if total > 0.0 else 0.0
        stay[s], step[s], skip[s] = a * reciprocal, b * reciprocal, c * reciprocal
        bits = bits_of_float64(total)
        exponent = top + (float64_from_bits(COUNT_BITS | (bits >> 52)) - COUNT_BIAS)
        m[s] = float64_from_bits((bits & FRACTION) | ONE) if total > 0.0 else 0.0
        e[s] = exponent if total > 0.0 else EMPTY
