"""One frame of the forward pass: gamma, the sums over the states of a column, centred values, entropy.

Rows of states begin with two zeros: state s has index s + 2. `shares` (3, S + 2) has the share of each move
into the frame, at the index of the state that the move leaves.

Loops over states run over slices that are indexed from 0, because the compiler turns only such loops into
vector instructions: an index such as lo - 1 might be negative for all it knows, and count from the end.
"""

from ...compiled.bits import LN2, bits_of_float64, float64_from_bits
from ..exact.flags import part
from ..exact.pairs import COUNT_BIAS, COUNT_BITS, FRACTION, ONE

ROOT_HALF = 0.7071067811865476
LEAST = 2.0**-1000
"""For smaller shares, the logarithm of LEAST is used, which changes an entropy by less than 1e-298."""


@part
def not_tiny(x):
    """x, or 0 if |x| <= 1e-290: products with it would soon be subnormal, which makes processors slow."""
    return x if abs(x) > 1e-290 else 0.0


@part
def clear_ends(after, lo, hi):
    """Set to zero the two states on either side of lo..hi-1, which the next frame reads."""
    after[lo] = after[lo + 1] = 0.0
    for s in range(hi + 2, min(hi + 4, after.shape[0])):
        after[s] = 0.0


@part
def move(before, shares, lo, hi, after):
    """after(s) = the sum of before * share over the moves into each of the states lo..hi-1."""
    stay, step, skip = shares[0, lo + 2:hi + 2], shares[1, lo + 1:hi + 1], shares[2, lo:hi]
    a, b, c = before[lo + 2:hi + 2], before[lo + 1:hi + 1], before[lo:hi]
    sums = after[lo + 2:hi + 2]
    for s in range(sums.shape[0]):
        sums[s] = not_tiny(a[s] * stay[s] + b[s] * step[s] + c[s] * skip[s])
    clear_ends(after, lo, hi)


@part
def move_valued(before, weighted, shares, values, lo, hi, after):
    """after(s) = the sum of (before + weighted * value) * share over the moves into each of lo..hi-1.

    values : (3, S + 2), laid out as shares are
    """
    stay, step, skip = shares[0, lo + 2:hi + 2], shares[1, lo + 1:hi + 1], shares[2, lo:hi]
    v, w, x = values[0, lo + 2:hi + 2], values[1, lo + 1:hi + 1], values[2, lo:hi]
    a, b, c = before[lo + 2:hi + 2], before[lo + 1:hi + 1], before[lo:hi]
    d, e, f = weighted[lo + 2:hi + 2], weighted[lo + 1:hi + 1], weighted[lo:hi]
    sums = after[lo + 2:hi + 2]
    for s in range(sums.shape[0]):
        sums[s] = not_tiny((a[s] + d[s] * v[s]) * stay[s] + (b[s] + e[s] * w[s]) * step[s]
                           + (c[s] + f[s] * x[s]) * skip[s])
    clear_ends(after, lo, hi)


@part
def occupancy_of(gamma, slots, lo, hi, occupancy):
    """occupancy[k] = the sum of gamma over the states lo..hi-1 that emit column k."""
    occupancy[:] = 0.0
    blank = 0.0  # in a register: half of all states emit column 0
    for s in range(lo + lo % 2, hi, 2):
        if slots[s] == 0:
            blank += gamma[s + 2]
        else:  # a starred blank
            occupancy[slots[s]] += gamma[s + 2]
    for s in range(lo + 1 - lo % 2, hi, 2):
        occupancy[slots[s]] += gamma[s + 2]
    occupancy[0] = blank


@part
def add_values(weights, values, slots, lo, hi, out):
    """Add weight * value to out for each of the states lo..hi-1; values (K,) holds one for each column."""
    for s in range(lo, hi):
        out[s + 2] += weights[s + 2] * values[slots[s]]


@part
def sum_of(x):
    """The sum of a row, as four sums side by side, since each addition waits for the one before it."""
    n, a, b, c, d = x.shape[0], 0.0, 0.0, 0.0, 0.0
    for s in range(0, n - 3, 4):
        a, b, c, d = a + x[s], b + x[s + 1], c + x[s + 2], d + x[s + 3]
    for s in range(n - n % 4, n):
        a += x[s]
    return (a + b) + (c + d)


@part
def centre(values, occupancy, terms, out):
    """out = values - their mean under occupancy.

    The mean is taken twice. Where the occupancy of one class is nearly 1, what is left of its value may be as
    small as the rounding error of the first mean. The second, of what is left, removes this error.
    """
    for k in range(occupancy.shape[0]):
        terms[k] = occupancy[k] * values[k]
    mean = sum_of(terms[:occupancy.shape[0]])
    for k in range(occupancy.shape[0]):
        out[k] = values[k] - mean
        terms[k] = occupancy[k] * out[k]
    mean = sum_of(terms[:occupancy.shape[0]])
    for k in range(occupancy.shape[0]):
        out[k] -= mean


@part
def log_share(share, others):
    """ln share for a share in [2^-1000, 1], where share + others = 1; the relative error is about 2^-52.

    A share near 1 has lost the digits that its logarithm needs, but `others` has them. With
    s = (x - 1) / (x + 1), ln x = 2 (s + s^3 / 3 + s^5 / 5 + ...). A power of two is split off, so that x is
    within a factor of sqrt(2) of 1, and s^2 < 0.0295.
    """
    bits = bits_of_float64(share)
    mantissa = float64_from_bits((bits & FRACTION) | ONE)
    exponent = float64_from_bits(COUNT_BITS | (bits >> 52)) - COUNT_BIAS
    large = mantissa > 2.0 * ROOT_HALF
    mantissa, exponent = 0.5 * mantissa if large else mantissa, exponent + 1.0 if large else exponent
    near = share > ROOT_HALF
    s = -others / (2.0 - others) if near else (mantissa - 1.0) / (mantissa + 1.0)
    exponent = 0.0 if near else exponent
    q = s * s
    series = 1 / 21
    series = series * q + 1 / 19
    series = series * q + 1 / 17
    series = series * q + 1 / 15
    series = series * q + 1 / 13
    series = series * q + 1 / 11
    series = series * q + 1 / 9
    series = series * q + 1 / 7
    series = series * q + 1 / 5
    series = series * q + 1 / 3
    return (2.0 * s + 2.0 * s * (q * series)) + exponent * LN2


@part
def entropy_of(gamma, shares, lo, hi, terms):
    """The sum over the states lo..hi-1 of gamma times the entropy of the moves out of the state [nats]."""
    surprises(gamma[lo + 2:hi + 2], shares[0, lo + 2:hi + 2], shares[1, lo + 2:hi + 2],
              shares[2, lo + 2:hi + 2], terms[:hi - lo])
    return sum_of(terms[:hi - lo])


@part
def surprises(gamma, stay, step, skip, out):
    """out(s) = - gamma(s) times the sum of share ln share over the three moves."""
    for s in range(out.shape[0]):
        a, b, c = stay[s], step[s], skip[s]
        out[s] = -gamma[s] * (a * log_share(max(a, LEAST), b + c) + b * log_share(max(b, LEAST), a + c)
                              + c * log_share(max(c, LEAST), a + b))
